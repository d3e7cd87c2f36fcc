"""Controls of a model's symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Controls of each symbol of a batch, (B, N) each; None: nothing is changed.

    Args:
        duration: factor on the frames.
        pitch: semitones added.
        range: factor on the deviation of the predicted pitch from the speaker's mean.
        energy: dB added.
    """

    duration: Tensor | None = None
    pitch: Tensor | None = None
    range: Tensor | None = None
    energy: Tensor | None = None
