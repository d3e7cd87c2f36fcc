"""A decoder-only transformer: pre-norm, rotary positions, fused causal attention, a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Real
from torch import Tensor, nn

from intona.nn.attention import attend

Heads = Float[Tensor, "batch heads length width"]
Rotation = tuple[Float[Tensor, "batch 1 length half"], Float[Tensor, "batch 1 length half"]]


def rotation(positions: Real[Tensor, "batch length"], dim: int, *, base: float = 10_000.0) -> Rotation:
    """Cosines and sines of rotary positions (Su et al. 2021, eq. 15), float32.

    Args:
        positions: any real numbers: only differences matter.
        dim: width of one head, twice that of the result.
    """
    frequency = base ** (-torch.arange(0, dim, 2, device=positions.device).float() / dim)
    angle = positions.float()[:, None, :, None] * frequency
    return angle.cos(), angle.sin()


def rotate(
    x: Heads,
    cos: Float[Tensor, "batch 1 length half"],
    sin: Float[Tensor, "batch 1 length half"],
) -> Heads:
    """Rotate the pairs (x_i, x_{i + width/2}) by the angles of their position."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


@contextmanager
def single_rows() -> Iterator[None]:
    """Plain BLAS for products of a single row.

    oneDNN's faster float32 kernels (`nn.precision.set_fast_matmul`) reorder the weights at every call, which
    makes a single row 1.5 times slower. Do not `yield` inside this context: the setting is global.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class Cache:
    """Keys and values of all positions so far: (layers, 2, batch, heads, capacity, width of a head).

    Its dtype is that of the first keys.

    Args:
        capacity: the maximum number of positions.
    """

    def __init__(self, *, layers: int, capacity: int) -> None:
        self.layers, self.capacity = layers, capacity
        self.store: Tensor | None = None
        self.length = 0

    def extend(
        self,
        layer: int,
        k: Heads,
        v: Heads,
    ) -> tuple[Float[Tensor, "batch heads total width"], Float[Tensor, "batch heads total width"]]:
        """Append keys and values of one layer and return all of them so far. `advance` moves the length."""
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"{end} positions in a cache of {self.capacity}")
        if self.store is None:  # under autocast the keys may be bfloat16: their dtype is not known before
            b, h, _, d = k.shape
            self.store = k.new_zeros(self.layers, 2, b, h, self.capacity, d)
        self.store[layer, 0, :, :, self.length : end] = k
        self.store[layer, 1, :, :, self.length : end] = v
        return self.store[layer, 0, :, :, :end], self.store[layer, 1, :, :, :end]

    def advance(self, n: int) -> None:
        self.length += n

    def select(self, rows: Int[Tensor, " selected"]) -> Cache:
        """A new cache whose batch row i is row `rows[i]` of this one (beam search)."""
        new = Cache(layers=self.layers, capacity=self.capacity)
        new.store = None if self.store is None else self.store.index_select(2, rows)
        new.length = self.length
        return new


class CausalBlock(nn.Module):
    """x + attention(LN(x)), then x + MLP(LN(x)); GELU, no biases in the attention."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if dim % heads or (dim // heads) % 2:
            raise ValueError(f"dim {dim} must be an even multiple of heads {heads}")
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.up, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        turn: Rotation,
        cache: Cache | None = None,
        layer: int = 0,
    ) -> Float[Tensor, "batch length width"]:
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, *turn), rotate(k, *turn)
        mask, causal = None, n > 1
        if cache is not None:
            k, v = cache.extend(layer, k, v)
            if n > 1 and cache.length:
                # Several positions after a filled cache: row i sees the cache and the rows up to itself.
                mask = torch.ones(n, k.shape[2], dtype=torch.bool, device=x.device).tril(cache.length)
                causal = False
        # No dropout on the attention weights: the fused CPU kernel has none, and the plain one is far slower.
        y = attend(q, k, v, mask, causal=causal)
        x = x + self.dropout(self.out(y.transpose(1, 2).reshape(b, n, d)))
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")))


class CausalTransformer(nn.Module):
    """A stack of causal blocks and a final LayerNorm.

    Padding must follow the valid positions: the causal mask then hides it, so no other mask is needed and the
    fused kernel can be used.
    """

    def __init__(self, *, dim: int, heads: int, layers: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.blocks = nn.ModuleList(CausalBlock(dim, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        for block in self.blocks:
            for last in (block.out, block.down):  # the residual stream keeps its scale with depth (GPT-2)
                nn.init.normal_(last.weight, std=0.02 / (2 * layers) ** 0.5)  # type: ignore[union-attr]

    def new_cache(self, capacity: int) -> Cache:
        return Cache(layers=len(self.blocks), capacity=capacity)

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        positions: Real[Tensor, "batch length"],
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """The states of `x`; with a cache, `x` continues the sequence in it and is added to it."""
        turn = rotation(positions, self.dim // self.heads)
        for i, block in enumerate(self.blocks):
            x = block(x, turn, cache, i)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x)
