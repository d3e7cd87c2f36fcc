"""Mel spectrogram to sound: HiFi-GAN, and Griffin-Lim as the check."""

from __future__ import annotations

from intona.vocoder.base import Vocoder, find, load_vocoder
from intona.vocoder.griffin_lim import GriffinLim
from intona.vocoder.hifigan import HifiGan, HifiGanConfig

__all__ = ["GriffinLim", "HifiGan", "HifiGanConfig", "Vocoder", "find", "load_vocoder"]
