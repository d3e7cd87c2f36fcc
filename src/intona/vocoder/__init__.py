"""Mel spectrogram to sound: HiFi-GAN, two fast ones at frame rate, and Griffin-Lim as the check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intona import lazy

if TYPE_CHECKING:
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

_MODULES = {
    "base": ("Vocoder",),
    "griffin_lim": ("GriffinLim",),
    "hifigan": ("HifiGan", "HifiGanConfig"),
    "load": ("find", "load_vocoder"),
    "source_filter": ("SourceFilter", "SourceFilterConfig"),
    "vocos": ("Vocos", "VocosConfig"),
}
# The runtime without torch finds a vocoder by `load.find`.
__getattr__, __dir__ = lazy.names(
    __name__, {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
)
