"""The 2-D U-Net of Grad-TTS over (time, mel bin) (Popov et al. 2021, after Ho et al. 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import mish

from intona.nn.embedding import TimeEmbedding


class ConvNorm(nn.Module):
    """3x3 convolution -> GroupNorm(8) -> Mish, masked in time before and after."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm = nn.GroupNorm(8, c_out)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return mish(self.norm(self.conv(x * mask))) * mask


class ResNetBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, condition: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(c_in, c_out), ConvNorm(c_out, c_out)
        self.condition = nn.Linear(condition, c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        h = self.first(x, mask) + self.condition(mish(condition))[:, :, None, None]
        return self.second(h, mask) + self.skip(x * mask)


class LinearAttention2d(nn.Module):
    """Attention with softmaxed keys and no N x N matrix (Shen et al. 2021), 4 heads of 32; gated residual."""

    def __init__(self, channels: int, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * heads * head_dim, 1, bias=False)
        self.out = nn.Conv2d(heads * head_dim, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, _, height, width = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, self.heads, -1, height * width).unbind(1)
        # A padded position must not take part in the softmax over positions.
        valid = mask.expand(b, 1, height, width).reshape(b, 1, 1, -1).bool()
        k = k.float().masked_fill(~valid, -torch.inf).softmax(-1).to(v.dtype)
        context = k @ v.transpose(-1, -2)  # (B, H, d, d)
        y = (context.transpose(-1, -2) @ q).reshape(b, -1, height, width)
        return x + self.gate * self.out(y)


class Level(nn.Module):
    def __init__(self, c_in: int, c_out: int, condition: int) -> None:
        super().__init__()
        self.first = ResNetBlock(c_in, c_out, condition)
        self.second = ResNetBlock(c_out, c_out, condition)
        self.attention = LinearAttention2d(c_out)

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor) -> Tensor:
        return self.attention(self.second(self.first(x, condition, mask), condition, mask), mask)


class UNet2d(nn.Module):
    """(B, C_in, T, F) -> (B, T, F). T is padded inside to a multiple of 2^(levels-1); F must be one.

    Args:
        c_in: input channels (noisy mel, mean, optionally a speaker plane).
        dim: channels of the first level.
        mults: width of each level as a multiple of dim.
    """

    def __init__(self, c_in: int, *, dim: int = 64, mults: tuple[int, ...] = (1, 2, 4)) -> None:
        super().__init__()
        self.time = TimeEmbedding(dim)
        widths = [dim * m for m in mults]
        self.factor = 2 ** (len(mults) - 1)
        self.down, self.reduce = nn.ModuleList(), nn.ModuleList()
        previous = c_in
        for i, w in enumerate(widths):
            self.down.append(Level(previous, w, dim))
            self.reduce.append(
                nn.Conv2d(w, w, 3, stride=2, padding=1) if i < len(widths) - 1 else nn.Identity()
            )
            previous = w
        self.middle1 = ResNetBlock(previous, previous, dim)
        self.middle_attention = LinearAttention2d(previous)
        self.middle2 = ResNetBlock(previous, previous, dim)
        self.up, self.enlarge = nn.ModuleList(), nn.ModuleList()
        for w_in, w_out in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True):
            self.up.append(Level(2 * w_in, w_out, dim))
            self.enlarge.append(nn.ConvTranspose2d(w_out, w_out, 4, stride=2, padding=1))
        self.last = ConvNorm(widths[0], widths[0])
        self.outlet = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        """x (B, C, T, F), t (B,) in [0, 1], mask (B, T) -> (B, T, F)."""
        length = x.shape[2]
        pad = -length % self.factor
        x = nn.functional.pad(x, (0, 0, 0, pad)).to(memory_format=torch.channels_last)
        m = nn.functional.pad(mask, (0, pad))[:, None, :, None].to(x.dtype)
        condition = self.time(t)
        masks, skips = [m], []
        for level, reduce in zip(self.down, self.reduce, strict=True):
            x = level(x, condition, masks[-1])
            skips.append(x)
            if not isinstance(reduce, nn.Identity):
                x = reduce(x * masks[-1])
                masks.append(masks[-1][:, :, ::2])
        m = masks[-1]
        x = self.middle2(self.middle_attention(self.middle1(x, condition, m), m), condition, m)
        for level, enlarge in zip(self.up, self.enlarge, strict=True):
            m = masks.pop()
            x = enlarge(level(torch.cat([x, skips.pop()], dim=1), condition, m) * m)
        m = masks.pop()
        x = self.outlet(self.last(x, m) * m) * m
        return x[:, 0, :length]
