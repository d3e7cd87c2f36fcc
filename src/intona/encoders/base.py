"""The one interface between a text encoder and whatever it feeds.

Grad-TTS, the latent diffusion model and any outsider's model take anything that satisfies `TextEncoder`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class TextEncoder(Protocol):
    """Tokens, lengths and an optional speaker vector in; states and a mask out.

    `dim` is the width D of the states. `forward(tokens, lengths, speaker)` takes (B, N) int64 ids, (B,)
    lengths and a (B, S) speaker vector or None and returns ((B, N, D) states, (B, N) boolean mask). States of
    an item must not depend on the padding beside it nor on its neighbours in the batch.
    """

    dim: int

    def __call__(
        self, tokens: Tensor, lengths: Tensor, speaker: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...
