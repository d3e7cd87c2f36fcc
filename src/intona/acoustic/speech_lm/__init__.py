"""MELD (Yeh et al. 2026, arXiv 2605.29859): one model that speaks and listens."""

from intona.acoustic.speech_lm.config import SpeechLMConfig, Vocabulary
from intona.acoustic.speech_lm.generate import Generated, generate, stream, whole
from intona.acoustic.speech_lm.listen import Hypothesis, listen, surprise
from intona.acoustic.speech_lm.model import SpeechLM

__all__ = [
    "Generated",
    "Hypothesis",
    "SpeechLM",
    "SpeechLMConfig",
    "Vocabulary",
    "generate",
    "listen",
    "stream",
    "surprise",
    "whole",
]
