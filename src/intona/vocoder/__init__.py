"""Mel spectrogram to sound: HiFi-GAN, and Griffin-Lim as the check."""

from __future__ import annotations

from intona.vocoder.base import Vocoder
from intona.vocoder.griffin_lim import GriffinLim
from intona.vocoder.hifigan import HifiGan, HifiGanConfig
from intona.vocoder.load import find, load_vocoder

__all__ = ["GriffinLim", "HifiGan", "HifiGanConfig", "Vocoder", "find", "load_vocoder"]
