"""A text encoder: an embedding and one convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from intona.data.pieces import Pieces
from intona.encoders.base import TextEncoderConfig
from intona.nn.masks import length_mask


@dataclass(frozen=True, kw_only=True)
class OutsideEncoderConfig(TextEncoderConfig):
    """Sizes of the encoder."""

    reads_blanks: ClassVar[bool] = True
    kind: Literal["outside"] = "outside"
    dim: int = 32

    def build(self, *, n_tokens: int, speaker_dim: int = 0) -> OutsideEncoder:
        return OutsideEncoder(self, n_tokens=n_tokens, speaker_dim=speaker_dim)


class OutsideEncoder(nn.Module):
    """Implements `intona.encoders.base.TextEncoder`."""

    def __init__(self, config: OutsideEncoderConfig, *, n_tokens: int, speaker_dim: int = 0) -> None:
        super().__init__()
        self.dim = config.dim
        self.embedding = nn.Embedding(n_tokens, config.dim)
        self.speaker = nn.Linear(speaker_dim, config.dim) if speaker_dim else None
        self.conv = nn.Conv1d(config.dim, config.dim, 3, padding=1)

    def forward(
        self, tokens: Tensor, lengths: Tensor, speaker: Tensor | None = None, pieces: Pieces | None = None
    ) -> tuple[Tensor, Tensor]:
        mask = length_mask(lengths, tokens.shape[1])
        x = self.embedding(tokens)
        if self.speaker is not None and speaker is not None:
            x = x + self.speaker(speaker)[:, None, :]
        x = x * mask[..., None]
        x = x + self.conv(x.transpose(1, 2)).transpose(1, 2)
        return x * mask[..., None], mask
