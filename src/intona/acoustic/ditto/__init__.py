"""Latent diffusion without durations (DiTTo-TTS, Lee et al. 2024, arXiv 2406.11427)."""

from intona.acoustic.ditto.config import DittoConfig, LengthConfig
from intona.acoustic.ditto.model import Ditto, Speech

__all__ = ["Ditto", "DittoConfig", "LengthConfig", "Speech"]
