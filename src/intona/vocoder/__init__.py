"""Mel spectrogram to sound: HiFi-GAN, the fast Vocos, and Griffin-Lim as the check."""

from __future__ import annotations

from intona.vocoder.base import Vocoder
from intona.vocoder.griffin_lim import GriffinLim
from intona.vocoder.hifigan import HifiGan, HifiGanConfig
from intona.vocoder.load import find, load_vocoder
from intona.vocoder.vocos import Vocos, VocosConfig

__all__ = [
    "GriffinLim",
    "HifiGan",
    "HifiGanConfig",
    "Vocoder",
    "Vocos",
    "VocosConfig",
    "find",
    "load_vocoder",
]
