"""Grad-TTS (Popov et al. 2021, arXiv 2105.06337): mean-reverting diffusion from an aligned text prior."""

from intona.systems.gradtts.config import DecoderConfig, DurationConfig, GradTTSConfig, VarianceConfig
from intona.systems.gradtts.model import GradTTS, GradTTSSpeech

__all__ = ["DecoderConfig", "DurationConfig", "GradTTS", "GradTTSConfig", "GradTTSSpeech", "VarianceConfig"]
