"""The one interface between a text encoder and whatever it feeds.

Grad-TTS, the latent diffusion model and any outsider's model take anything that satisfies `TextEncoder`;
`encoders.conformance.check` says whether something does.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from intona.data.pieces import Pieces


@runtime_checkable
class TextEncoder(Protocol):
    """Phonemes, an optional speaker vector and optional BPE pieces in; states and a mask out.

    `dim` is the width of the states. `forward(tokens, lengths, speaker, pieces)` takes int64 ids of phonemes,
    the number of them in each row, a speaker vector or None, and the same texts as BPE `Pieces` or None. It
    returns the states and a boolean mask, True = valid. The states of an item must not depend on its padding
    nor on the rest of the batch. An encoder that reads only phonemes ignores the pieces.
    """

    dim: int

    def __call__(
        self,
        tokens: Int[Tensor, "batch tokens"],
        lengths: Int[Tensor, " batch"],
        speaker: Float[Tensor, "batch speaker_width"] | None = None,
        pieces: Pieces | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]]: ...
