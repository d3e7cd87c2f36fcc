"""Convolutions with channels last: no transpose between them and the linear layers around them."""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn


class Conv(nn.Conv1d):
    """1-D convolution that keeps the length; masked positions are read as zero.

    A tensor (batch, frames, channels) viewed as (batch, channels, 1, frames) is already in channels-last
    memory order, so the 2-D kernel runs without a copy.
    """

    def __init__(self, c_in: int, c_out: int, kernel: int, *, groups: int = 1, dilation: int = 1) -> None:
        if kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} is even: the output would be shifted by half a frame")
        super().__init__(
            c_in, c_out, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=groups
        )

    def forward(  # type: ignore[override]
        self, x: Float[Tensor, "batch frames c_in"], mask: Shaped[Tensor, "batch frames"] | None = None
    ) -> Float[Tensor, "batch frames c_out"]:
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
