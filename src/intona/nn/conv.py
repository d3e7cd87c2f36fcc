"""Convolutions over (B, T, C), channels last: no transpose between them and the linears around them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Conv(nn.Conv1d):
    """1-D convolution of (B, T, C_in) -> (B, T, C_out), same length; masked positions read as zero.

    A (B, T, C) tensor seen as (B, C, 1, T) is already in channels-last memory order, so the 2-D kernel
    runs without a copy.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, *, groups: int = 1, dilation: int = 1) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} is even: the output would be shifted by half a frame")
        super().__init__(
            c_in, c_out, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=groups
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        if mask is not None:
            x = x * mask[..., None]
        x = x.transpose(1, 2)[:, :, None, :]
        weight = self.weight[:, :, None, :]
        step = self.dilation[0]
        y = torch.nn.functional.conv2d(
            x,
            weight,
            self.bias,
            padding=(0, step * (self.kernel_size[0] // 2)),
            dilation=(1, step),
            groups=self.groups,
        )
        return y[:, :, 0, :].transpose(1, 2)
