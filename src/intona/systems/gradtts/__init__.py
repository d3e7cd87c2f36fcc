"""Grad-TTS (Popov et al. 2021, arXiv 2105.06337): mean-reverting diffusion from an aligned text prior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intona import lazy

if TYPE_CHECKING:
    from intona.systems.gradtts.config import DecoderConfig, DurationConfig, GradTTSConfig, VarianceConfig
    from intona.systems.gradtts.model import GradTTS, GradTTSSpeech

__all__ = ["DecoderConfig", "DurationConfig", "GradTTS", "GradTTSConfig", "GradTTSSpeech", "VarianceConfig"]

_CONFIG, _MODEL = "intona.systems.gradtts.config", "intona.systems.gradtts.model"
# The voice speaks without torch where it has graphs (`intona.runtime`).
__getattr__, __dir__ = lazy.names(
    __name__,
    {
        "DecoderConfig": _CONFIG,
        "DurationConfig": _CONFIG,
        "GradTTSConfig": _CONFIG,
        "VarianceConfig": _CONFIG,
        "GradTTS": _MODEL,
        "GradTTSSpeech": _MODEL,
    },
)
