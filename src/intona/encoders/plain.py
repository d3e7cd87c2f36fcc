"""The text encoder of Glow-TTS and Grad-TTS: embedding, conv prenet, transformer, relative positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from intona import config as configs
from intona.data.pieces import Pieces
from intona.encoders.base import TextEncoderConfig
from intona.nn.conv import Conv
from intona.nn.masks import length_mask
from intona.nn.transformer import EncoderBlock


@dataclass(frozen=True, kw_only=True)
class PlainEncoderConfig(TextEncoderConfig):
    """Defaults are Grad-TTS's own: width 192, 6 layers, 2 heads, filter 768, kernel 3, window 4."""

    reads_blanks: ClassVar[bool] = True
    kind: Literal["plain"] = "plain"
    dim: int = 192
    layers: int = 6
    heads: int = 2
    hidden: int = 768
    kernel: int = 3
    window: int = 4
    dropout: float = 0.1
    prenet: bool = True

    def __post_init__(self) -> None:
        configs.at_least(self, dim=1, heads=1, hidden=1)
        if self.layers < 0 or self.window < 0:
            raise ValueError("layers and window must not be below 0")
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be a multiple of heads {self.heads}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must lie in 0..1, without 1")

    def rows(self, symbols: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {"embedding.weight": tuple(symbols)}

    def build(self, *, n_tokens: int, speaker_dim: int = 0) -> PlainEncoder:
        return PlainEncoder(self, n_tokens=n_tokens, speaker_dim=speaker_dim)


class Prenet(nn.Module):
    """Three conv(k5) -> LN -> ReLU -> dropout, then a zero-initialised linear and the residual."""

    def __init__(self, dim: int, *, layers: int = 3, kernel: int = 5, dropout: float = 0.5) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Conv(dim, dim, kernel) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], mask: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        h = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            h = self.dropout(torch.relu(norm(conv(h, mask))))
        return x + self.out(h)


class PlainEncoder(nn.Module):
    """Implements `encoders.base.TextEncoder`.

    Args:
        config: sizes.
        n_tokens: vocabulary size (pad is 0).
        speaker_dim: width of the speaker vector, 0 for one voice. Grad-TTS concatenates it to the encoder's
            input; we add its projection, which leaves the width free (ours).
    """

    def __init__(self, config: PlainEncoderConfig, *, n_tokens: int, speaker_dim: int = 0) -> None:
        super().__init__()
        self.dim = config.dim
        self.embedding = nn.Embedding(n_tokens, config.dim)
        nn.init.normal_(self.embedding.weight, 0.0, config.dim**-0.5)
        self.prenet = Prenet(config.dim) if config.prenet else None
        self.speaker = nn.Linear(speaker_dim, config.dim) if speaker_dim else None
        self.blocks = nn.ModuleList(
            EncoderBlock(
                config.dim,
                config.hidden,
                config.heads,
                kernel=config.kernel,
                window=config.window,
                dropout=config.dropout,
            )
            for _ in range(config.layers)
        )

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        lengths: Int[Tensor, " batch"],
        speaker: Float[Tensor, "batch speaker_width"] | None = None,
        pieces: Pieces | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]]:
        mask = length_mask(lengths, tokens.shape[1])
        x = self.embedding(tokens) * math.sqrt(self.dim)
        if self.prenet is not None:
            x = self.prenet(x, mask)
        if self.speaker is not None and speaker is not None:
            x = x + self.speaker(speaker)[:, None, :]
        for block in self.blocks:
            x = block(x, mask)
        return x * mask[..., None], mask
