"""Transformer blocks with a convolutional feed-forward (Glow-TTS / VITS / Grad-TTS encoder)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from intona.nn.attention import RelativeAttention
from intona.nn.conv import Conv


class ConvFeedForward(nn.Module):
    """Convolution -> ReLU -> dropout -> convolution; padding is zeroed before each convolution."""

    def __init__(self, dim: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.up = Conv(dim, hidden, kernel)
        self.down = Conv(hidden, dim, kernel)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length width"]:
        return self.down(self.dropout(torch.relu(self.up(x, mask))), mask)


class EncoderBlock(nn.Module):
    """Attention and convolutional feed-forward, each with a residual connection.

    condition = 0: LayerNorm after each residual (post-LN, as in Grad-TTS).
    condition > 0: AdaLN-Zero (Peebles & Xie 2023, section 3.2, DiT): LayerNorm without weights before each
    part, scaled and shifted by the conditioning vector, and a gate on the output. All six vectors come from
    one linear map that is initialised with zeros: the block starts as the identity.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        heads: int,
        *,
        kernel: int = 3,
        window: int = 4,
        dropout: float = 0.1,
        condition: int = 0,
    ) -> None:
        super().__init__()
        self.attention = RelativeAttention(dim, heads, window, dropout)
        self.feed_forward = ConvFeedForward(dim, hidden, kernel, dropout)
        plain = not condition
        eps = 1e-5 if plain else 1e-6
        self.norm1 = nn.LayerNorm(dim, eps=eps, elementwise_affine=plain)
        self.norm2 = nn.LayerNorm(dim, eps=eps, elementwise_affine=plain)
        self.dropout = nn.Dropout(dropout)
        self.modulation = None if plain else nn.Linear(condition, 6 * dim)
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
            nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"],
        condition: Float[Tensor, "batch condition"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """A block with AdaLN needs the `condition`."""
        if self.modulation is None:
            x = self.norm1(x + self.dropout(self.attention(x, mask)))
            return self.norm2(x + self.dropout(self.feed_forward(x, mask)))
        if condition is None:
            raise ValueError("an AdaLN block needs its conditioning vector")
        six = self.modulation(torch.nn.functional.silu(condition))[:, None, :].chunk(6, dim=-1)
        shift1, scale1, gate1, shift2, scale2, gate2 = six
        x = x + gate1 * self.dropout(self.attention(self.norm1(x) * (1 + scale1) + shift1, mask))
        return x + gate2 * self.dropout(self.feed_forward(self.norm2(x) * (1 + scale2) + shift2, mask))
