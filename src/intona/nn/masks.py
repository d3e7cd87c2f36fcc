"""The one home of length masks: boolean, True = valid."""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int | None = None) -> Tensor:
    """(B,) lengths -> (B, L) boolean mask, True where the position is inside the sequence.

    Args:
        lengths: (B,) integers.
        size: L; the longest length if None.
    """
    size = int(lengths.max()) if size is None else size
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


def expand_by_durations(x: Tensor, durations: Tensor, size: int | None = None) -> Tensor:
    """Repeat each token state for its number of frames.

    Args:
        x: (B, N, D) token states.
        durations: (B, N) non-negative integer frames a token; 0 on padding.
        size: T, the number of frames out; the longest sum if None.

    Returns:
        (B, T, D); zeros after the last frame of an item.
    """
    ends = durations.cumsum(1)
    size = int(ends[:, -1].max()) if size is None else size
    frames = torch.arange(size, device=x.device).expand(x.shape[0], size).contiguous()
    index = torch.searchsorted(ends, frames, right=True)
    valid = index < x.shape[1]
    out = x.gather(1, index.clamp(max=x.shape[1] - 1)[..., None].expand(-1, -1, x.shape[2]))
    return out * valid[..., None]
