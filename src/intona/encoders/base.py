"""The one interface between a text encoder and whatever it feeds.

Grad-TTS, the latent diffusion model and any outsider's model take anything that satisfies `TextEncoder`;
`encoders.conformance.check` says whether something does.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from intona.data.pieces import Pieces


@runtime_checkable
class TextEncoder(Protocol):
    """Phonemes, an optional speaker vector and optional BPE pieces in; states and a mask out.

    `dim` is the width D of the states. `forward(tokens, lengths, speaker, pieces)` takes (B, N) int64 ids,
    (B,) lengths, a (B, S) speaker vector or None, and the same texts as BPE `Pieces` or None, and returns
    ((B, N, D) states, (B, N) boolean mask). States of an item must not depend on the padding beside it nor on
    its neighbours in the batch. An encoder that reads phonemes alone ignores the pieces.
    """

    dim: int

    def __call__(
        self, tokens: Tensor, lengths: Tensor, speaker: Tensor | None = None, pieces: Pieces | None = None
    ) -> tuple[Tensor, Tensor]: ...
