"""Scaled dot-product attention, and attention with relative positions (Shaw et al. 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

# Number of query-key pairs per head up to which plain matrix products are faster than the fused kernel's
# backward pass in bf16 on a CPU (docs/notebook/speed.md); the scores of more pairs do not fit into the cache.
FEW_PAIRS = 640 * 640


def attend(
    q: Float[Tensor, "batch heads queries width"],
    k: Float[Tensor, "batch heads keys width"],
    v: Float[Tensor, "batch heads keys width"],
    mask: Shaped[Tensor, "*#batch_heads_queries_keys"] | None = None,
    *,
    causal: bool = False,
) -> Float[Tensor, "batch heads queries width"]:
    """softmax(q k^T / sqrt(width) + mask) v.

    Torch's fused kernel, except when training in bf16 on a CPU, where its backward pass takes three to five
    times as long as plain matrix products.

    Args:
        mask: boolean, True = attend, with at least one True per row; or numbers to add to the scores. Any
            shape that broadcasts to (batch, heads, queries, keys).
        causal: query i attends only to keys up to i; without a mask and with as many queries as keys.
    """
    n, s = q.shape[2], k.shape[2]
    learns = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if not (learns and q.dtype == torch.bfloat16 and q.device.type == "cpu" and n * s <= FEW_PAIRS):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    if causal:
        mask = torch.ones(n, s, dtype=torch.bool, device=q.device).tril()
    added = q.new_zeros(()) if mask is None else mask
    if added.dtype == torch.bool:
        added = q.new_zeros(added.shape).masked_fill(~added, -torch.inf)
    b, h, _, d = q.shape
    rows = n if added.dim() > 1 and added.shape[-2] > 1 else 1
    added = added.expand(b, h, rows, s).reshape(b * h, rows, s)
    q, k, v = (x.reshape(b * h, -1, d) for x in (q, k, v))
    # Softmax sums in float32 for any input, and its input is already rounded by the product.
    weights = torch.baddbmm(added, q, k.transpose(1, 2), alpha=d**-0.5).softmax(-1)
    return torch.bmm(weights, v).view(b, h, n, d)


class RelativeAttention(nn.Module):
    """Multi-head self-attention with learned relative positions of keys and values within a window.

    score(i, j) = q_i (k_j + a_{j-i}) / sqrt(d), out_i = sum_j p_ij (v_j + b_{j-i}); a and b are zero
    outside |j - i| <= window and shared by the heads (Shaw et al., eq. 3 and 4).

    Args:
        dim: D, a multiple of heads.
        heads: number of heads.
        window: largest distance that has a learned vector.
        dropout: on the attention probabilities.
    """

    def __init__(self, dim: int, heads: int, window: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not a multiple of heads {heads}")
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        head = dim // heads
        self.key_offsets = nn.Parameter(torch.randn(2 * window + 1, head) * head**-0.5)
        self.value_offsets = nn.Parameter(torch.randn(2 * window + 1, head) * head**-0.5)

    def forward(
        self, x: Float[Tensor, "batch length width"], mask: Bool[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length width"]:
        """No query attends to masked positions."""
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scale = (d // self.heads) ** -0.5
        scores = (q @ k.transpose(-1, -2)) * scale
        offset = torch.arange(n, device=x.device)
        offset = offset[None, :] - offset[:, None]  # j - i
        inside = offset.abs() <= self.window
        index = (offset.clamp(-self.window, self.window) + self.window).expand(b, self.heads, n, n)
        relative = (q * scale) @ self.key_offsets.to(q.dtype).T  # (B, H, N, 2w+1)
        scores = scores + relative.gather(-1, index).masked_fill(~inside, 0)
        # softmax in float32: bf16 has 8 bits of mantissa, too few for a sum over a long sentence.
        scores = scores.float().masked_fill(~mask[:, None, None, :], -torch.inf)
        p = self.dropout(torch.nan_to_num(scores.softmax(-1)).to(v.dtype))
        out = p @ v
        near = torch.zeros(b, self.heads, n, 2 * self.window + 1, dtype=p.dtype, device=p.device)
        near = near.scatter_add(-1, index, p.masked_fill(~inside, 0))
        out = out + near @ self.value_offsets.to(p.dtype)
        return self.out(out.transpose(1, 2).reshape(b, n, d))
