"""The diffusion transformer: rotary self-attention, cross-attention to text, global AdaLN, long skips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intona.nn.attention import attend
from intona.nn.causal import rotate, rotation

Turn = tuple[Tensor, Tensor]
GATE1, GATE3 = 2, 5  # of the six of a block


class Attention(nn.Module):
    """Multi-head attention of (B, L, D) over (B, S, D), with a mask of keys and rotary positions if given.

    Args:
        cross: keys and values come from another sequence.
    """

    def __init__(self, dim: int, heads: int, *, cross: bool = False) -> None:
        super().__init__()
        self.heads, self.cross = heads, cross
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, other: Tensor, mask: Tensor, turn_q: Turn | None, turn_k: Turn | None
    ) -> Tensor:
        """mask (B, S) True = may be looked at, at least one in each row; or (B, H, L, S), added to scores."""
        b, n, d = x.shape
        q = self.q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(other).view(b, other.shape[1], 2, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if turn_q is not None and turn_k is not None:
            q, k = rotate(q, *turn_q), rotate(k, *turn_k)
        # A mask of numbers stays with the fused kernel as long as nothing in it learns.
        y = attend(q, k, v, mask[:, None, None, :] if mask.dim() == 2 else mask.to(q.dtype))
        return self.out(y.transpose(1, 2).reshape(b, n, d))


class DiTBlock(nn.Module):
    """Self-attention, cross-attention, gated GELU feed-forward, each with a residual.

    The six scales, shifts and gates are the same for all blocks (global AdaLN), up to a learned table of the
    block's own (PixArt-alpha's adaLN-single, Chen et al. 2023). With `opening` 0 gates start at zero, and so
    does what cross-attention adds: the block starts as the identity, a skip included. Above 0 gates start at
    that, and cross-attention with that share of usual weights.
    """

    def __init__(
        self, dim: int, heads: int, expand: int, dropout: float, *, skip: bool, opening: float = 0.0
    ) -> None:
        super().__init__()
        self.norm1, self.norm3 = (nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.norm2 = nn.LayerNorm(dim)
        self.attention, self.cross = Attention(dim, heads), Attention(dim, heads, cross=True)
        self.up = nn.Linear(dim, 2 * expand * dim)
        self.down = nn.Linear(expand * dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.table = nn.Parameter(torch.zeros(6, dim))
        self.skip = nn.Linear(2 * dim, dim) if skip else None
        with torch.no_grad():
            self.cross.out.weight.mul_(opening)
            self.cross.out.bias.zero_()
            self.table[[GATE1, GATE3]] = opening
            if self.skip is not None:
                self.skip.weight.copy_(torch.eye(dim, 2 * dim))
                self.skip.bias.zero_()

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        text: Tensor,
        text_mask: Tensor,
        six: Tensor,
        turn: Turn,
        cross_turns: tuple[Turn | None, Turn | None],
        skipped: Tensor | None,
    ) -> Tensor:
        """x (B, L, D), text (B, N, D), six (B, 6, D); masks as `Attention` takes them."""
        if self.skip is not None and skipped is not None:
            x = self.skip(torch.cat([x, skipped], dim=-1))
        shift1, scale1, gate1, shift3, scale3, gate3 = (six + self.table)[:, :, None, :].unbind(1)
        h = self.norm1(x) * (1 + scale1) + shift1
        x = x + gate1 * self.dropout(self.attention(h, h, mask, turn, turn))
        x = x + self.dropout(self.cross(self.norm2(x), text, text_mask, *cross_turns))
        h, gate = self.up(self.norm3(x) * (1 + scale3) + shift3).chunk(2, dim=-1)
        return x + gate3 * self.dropout(self.down(h * F.gelu(gate, approximate="tanh")))


class DiT(nn.Module):
    """A stack of blocks over (B, L, c_in), conditioned on a vector (B, D) and on text (B, N, D).

    With `long_skips`, block depth - 1 - i also reads what block i was given (U-ViT, Bao et al. 2023).

    Args:
        opening: see `DiTBlock`. base: of the rotary positions.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        *,
        dim: int,
        depth: int,
        heads: int,
        expand: int,
        dropout: float = 0.0,
        long_skips: bool = True,
        opening: float = 0.0,
        base: float = 10_000.0,
    ) -> None:
        super().__init__()
        self.head, self.base = dim // heads, base
        self.inlet = nn.Linear(c_in, dim)
        self.modulation = nn.Linear(dim, 8 * dim)
        self.first_skip = (depth + 1) // 2 if long_skips else depth
        self.blocks = nn.ModuleList(
            DiTBlock(dim, heads, expand, dropout, skip=i >= self.first_skip, opening=opening)
            for i in range(depth)
        )
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.outlet = nn.Linear(dim, c_out)
        for last in (self.modulation, self.outlet):  # the first prediction is zero
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        positions: Tensor,
        text: Tensor,
        text_mask: Tensor,
        condition: Tensor,
        text_positions: Tensor | None = None,
    ) -> Tensor:
        """-> (B, L, c_out).

        Args:
            x: (B, L, c_in). mask, positions: (B, L), any real positions. text: (B, N, D). text_mask: (B, N),
                or (B, H, L, N) to add to scores.
            condition: (B, D). text_positions: (B, N), or None for cross-attention without positions.
        """
        eight = self.modulation(F.silu(condition)).view(x.shape[0], 8, -1)
        turn = rotation(positions, self.head, base=self.base)
        turns: tuple[Turn | None, Turn | None] = (None, None)
        if text_positions is not None:
            turns = (turn, rotation(text_positions, self.head, base=self.base))
        x = self.inlet(x)
        kept: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            mirror = len(self.blocks) - 1 - i
            if mirror >= self.first_skip:
                kept.append(x)
            skipped = kept.pop() if i >= self.first_skip else None
            x = block(x, mask, text, text_mask, eight[:, :6], turn, turns, skipped)
        shift, scale = eight[:, 6:, None, :].unbind(1)
        return self.outlet(self.norm(x) * (1 + scale) + shift)
