"""Transformer blocks with a convolutional feed-forward (Glow-TTS / VITS / Grad-TTS encoder)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intona.nn.attention import RelativeAttention
from intona.nn.conv import Conv


class ConvFeedForward(nn.Module):
    """Conv k -> ReLU -> dropout -> conv k over (B, N, D); padding is zeroed before each convolution."""

    def __init__(self, dim: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.up = Conv(dim, hidden, kernel)
        self.down = Conv(hidden, dim, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.down(self.dropout(torch.relu(self.up(x, mask))), mask)


class EncoderBlock(nn.Module):
    """Attention and convolutional feed-forward, LayerNorm after each residual (post-LN, as Grad-TTS)."""

    def __init__(
        self, dim: int, hidden: int, heads: int, *, kernel: int = 3, window: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.attention = RelativeAttention(dim, heads, window, dropout)
        self.feed_forward = ConvFeedForward(dim, hidden, kernel, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, N, D), (B, N) -> (B, N, D)."""
        x = self.norm1(x + self.dropout(self.attention(x, mask)))
        return self.norm2(x + self.dropout(self.feed_forward(x, mask)))
