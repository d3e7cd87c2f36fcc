"""The dual-stream text encoder: phonemes with stress and BPE pieces, joined by words (arXiv 2604.01247).

    phonemes  embedding -> 4 blocks ─────────────────────────────────┐
    pieces    embedding -> 4 blocks -> mean over a word -> expansion ─┴─ sum -> 4 blocks -> LayerNorm -> conv

Widths are not published; the defaults are those of the authors' earlier code (192, 4 heads, filter 768,
kernel 5, window 4), with pre-LN AdaLN-Zero blocks instead of its post-LN ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from intona.data.pieces import Pieces
from intona.encoders.base import TextEncoderConfig
from intona.nn.conv import Conv
from intona.nn.masks import length_mask
from intona.nn.transformer import EncoderBlock

EMBEDDING = "phonemes.embedding.weight"
MASK = "<mask>"  # the last row of an embedding


@dataclass(frozen=True, kw_only=True)
class DualStreamConfig(TextEncoderConfig):
    """Sizes. `n_tokens` and `n_pieces` are vocabulary sizes without the mask symbol.

    `adaln` False takes plain blocks, which hear nothing of the speaker. `out` is the width of the states
    (192 is Grad-TTS's).
    """

    reads_pieces: ClassVar[bool] = True
    pretrained: ClassVar[bool] = True
    kind: Literal["dual_stream"] = "dual_stream"
    n_tokens: int = 0
    n_pieces: int = 0
    dim: int = 192
    heads: int = 4
    hidden: int = 768
    kernel: int = 5
    window: int = 4
    dropout: float = 0.1
    stream_layers: int = 4
    shared_layers: int = 4
    out: int = 192
    out_kernel: int = 3
    adaln: bool = True
    speaker_dim: int = 256

    @property
    def condition_dim(self) -> int:
        return self.speaker_dim if self.adaln else 0

    def sized(self, *, n_tokens: int, n_pieces: int) -> DualStreamConfig:
        return dataclasses.replace(self, n_tokens=n_tokens, n_pieces=n_pieces)

    def rows(self, symbols: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {EMBEDDING: (*symbols, MASK)}

    def build(self, *, n_tokens: int, speaker_dim: int = 0) -> DualStreamEncoder:
        if self.n_tokens != n_tokens:
            raise ValueError(f"the encoder has {self.n_tokens} symbols, the voice has {n_tokens}")
        return DualStreamEncoder(self)


class Stack(nn.Module):
    """Blocks of one kind, all with the same condition."""

    def __init__(self, config: DualStreamConfig, layers: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config.dim,
                config.hidden,
                config.heads,
                kernel=config.kernel,
                window=config.window,
                dropout=config.dropout,
                condition=config.speaker_dim if config.adaln else 0,
            )
            for _ in range(layers)
        )

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"],
        condition: Float[Tensor, "batch condition"] | None,
    ) -> Float[Tensor, "batch length width"]:
        for block in self.blocks:
            x = block(x, mask, condition)
        return x


class Stream(nn.Module):
    """Embedding, scaled by sqrt(D), and its blocks. The last row of the embedding is the mask symbol."""

    def __init__(self, config: DualStreamConfig, vocabulary: int) -> None:
        super().__init__()
        self.mask_id = vocabulary
        self.scale = math.sqrt(config.dim)
        self.embedding = nn.Embedding(vocabulary + 1, config.dim)
        nn.init.normal_(self.embedding.weight, 0.0, config.dim**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        self.stack = Stack(config, config.stream_layers)

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"],
        condition: Float[Tensor, "batch condition"] | None,
    ) -> Float[Tensor, "batch length width"]:
        return self.stack(self.dropout(self.embedding(ids) * self.scale), mask, condition)


class DualStreamEncoder(nn.Module):
    """Implements `encoders.base.TextEncoder`; needs the pieces."""

    def __init__(self, config: DualStreamConfig) -> None:
        super().__init__()
        self.config, self.dim = config, config.out
        self.phonemes = Stream(config, config.n_tokens)
        self.pieces = Stream(config, config.n_pieces)
        self.shared = Stack(config, config.shared_layers)
        self.norm = nn.LayerNorm(config.dim)
        self.project = Conv(config.dim, config.out, config.out_kernel)
        # Learned: the speaker nobody knows. It stands in when no audio is at hand, and by dropout.
        self.nobody = nn.Parameter(torch.zeros(config.speaker_dim)) if config.adaln else None

    def condition(
        self,
        speaker: Float[Tensor, "{size} speaker_width"] | None,
        size: int,
        known: Bool[Tensor, " {size}"] | None = None,
    ) -> Float[Tensor, "{size} condition"] | None:
        """What the blocks are conditioned on, or None without AdaLN.

        Args:
            speaker: vectors of norm 1, or None for nobody.
            known: False where nobody's vector stands in; it does for a vector of zeros too.
        """
        if self.nobody is None:
            return None
        if speaker is None:
            return self.nobody.expand(size, -1)
        here = speaker.abs().sum(-1) > 0
        here = here if known is None else here & known
        # Norm 1 over S entries is small beside a linear map's start: scaled to variance 1 (ours).
        return torch.where(here[:, None], speaker * math.sqrt(speaker.shape[1]), self.nobody)

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        lengths: Int[Tensor, " batch"],
        speaker: Float[Tensor, "batch speaker_width"] | None = None,
        pieces: Pieces | None = None,
        known: Bool[Tensor, " batch"] | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]]:
        """States and their mask; `known` as in `condition`."""
        if pieces is None:
            raise ValueError("the dual-stream encoder needs the BPE pieces of the text")
        mask = length_mask(lengths, tokens.shape[1])
        piece_mask = length_mask(pieces.lengths, pieces.ids.shape[1])
        condition = self.condition(speaker, tokens.shape[0], known)
        x = self.phonemes(tokens, mask, condition)
        h = self.pieces(pieces.ids, piece_mask, condition)
        x = self.shared(x + words_to_phonemes(h, pieces), mask, condition)
        return self.project(self.norm(x), mask) * mask[..., None], mask


def words_to_phonemes(
    states: Float[Tensor, "batch pieces width"], pieces: Pieces
) -> Float[Tensor, "batch tokens width"]:
    """Mean of the piece states of each word, repeated for each of its phonemes.

    One product with a matrix of who belongs to whom; zeros where a phoneme has no word.
    """
    same = (pieces.token_words[:, :, None] == pieces.words[:, None, :]) & (pieces.words >= 0)[:, None, :]
    same = same & (pieces.token_words >= 0)[:, :, None]
    share = same.to(states.dtype)
    return (share / share.sum(-1, keepdim=True).clamp(min=1)) @ states
