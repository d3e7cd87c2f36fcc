"""Masks of valid positions, and token states repeated by their durations."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def length_mask(lengths: Int[Tensor, " batch"], size: int | None = None) -> Bool[Tensor, "batch size"]:
    """True where the position is inside the sequence. `size` is the longest length if None."""
    size = int(lengths.max()) if size is None else size
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def expand_by_durations(
    x: Float[Tensor, "batch tokens width"],
    durations: Int[Tensor, "batch tokens"],
    size: int | None = None,
) -> Float[Tensor, "batch frames width"]:
    """Repeat each token state for its number of frames; zeros after the last frame of an item.

    Args:
        durations: frames per token, not below 0; 0 on padding.
        size: number of frames of the result; the longest sum if None.
    """
    ends = durations.cumsum(1)
    size = int(ends[:, -1].max()) if size is None else size
    frames = torch.arange(size, device=x.device).expand(x.shape[0], size).contiguous()
    index = torch.searchsorted(ends, frames, right=True)
    valid = index < x.shape[1]
    out = x.gather(1, index.clamp(max=x.shape[1] - 1)[..., None].expand(-1, -1, x.shape[2]))
    return out * valid[..., None]
