"""MELD (Yeh et al. 2026, arXiv 2605.29859): one model that speaks and listens."""

from intona.systems.meld.config import SpeechLMConfig, Vocabulary
from intona.systems.meld.generate import Generated, generate, stream, whole
from intona.systems.meld.listen import Hypothesis, listen, surprise
from intona.systems.meld.model import SpeechLM

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
