"""Mel spectrogram to sound: HiFi-GAN, two fast ones at frame rate, and Griffin-Lim as the check."""

from __future__ import annotations

from intona.vocoder.base import Vocoder
from intona.vocoder.griffin_lim import GriffinLim
from intona.vocoder.hifigan import HifiGan, HifiGanConfig
from intona.vocoder.load import find, load_vocoder
from intona.vocoder.source_filter import SourceFilter, SourceFilterConfig
from intona.vocoder.vocos import Vocos, VocosConfig

__all__ = [
    "GriffinLim",
    "HifiGan",
    "HifiGanConfig",
    "SourceFilter",
    "SourceFilterConfig",
    "Vocoder",
    "Vocos",
    "VocosConfig",
    "find",
    "load_vocoder",
]
