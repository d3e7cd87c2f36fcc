"""Latent diffusion without durations (DiTTo-TTS, Lee et al. 2024, arXiv 2406.11427)."""

from intona.systems.ditto.config import DittoConfig, LengthConfig
from intona.systems.ditto.model import Ditto, DittoSpeech

__all__ = ["Ditto", "DittoConfig", "DittoSpeech", "LengthConfig"]
