"""The 2-D U-Net of Grad-TTS over (time, mel bin) (Popov et al. 2021, after Ho et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import group_norm, mish, pad

from intona.nn.embedding import TimeEmbedding

Activation = Literal["mish", "silu"]
Maps = Float[Tensor, "batch channels frames bins"]


@dataclass(frozen=True)
class Frames:
    """Which frames of a padded batch are valid: `mask` of 0 and 1, and the same as `lengths`."""

    mask: Float[Tensor, "batch 1 frames 1"]
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, mask: Bool[Tensor, "batch frames"], dtype: torch.dtype) -> Frames:
        """From a mask, True = valid, with the valid frames first."""
        return cls(mask[:, None, :, None].to(dtype), tuple(mask.sum(1).tolist()))

    def halved(self) -> Frames:
        """At half the frame rate; an odd last frame stays."""
        return Frames(self.mask[:, :, ::2], tuple((n + 1) // 2 for n in self.lengths))


class FrameGroupNorm(nn.GroupNorm):
    """GroupNorm over the valid frames of each item, so that padding does not enter its statistics.

    The output at padded frames is undefined. The fused kernel per item is faster than masked sums.
    """

    def forward(  # type: ignore[override]
        self, x: Maps, frames: Frames
    ) -> Maps:
        t, lengths = x.shape[2], frames.lengths
        if len(set(lengths)) == 1:
            return self._over(x, lengths[0], t)
        return torch.cat([self._over(row, n, t) for row, n in zip(x.split(1), lengths, strict=True)])

    def _over(self, x: Maps, n: int, size: int) -> Maps:
        y = group_norm(x[:, :, :n], self.num_groups, self.weight, self.bias, self.eps)
        return y if n == size else pad(y, (0, 0, 0, size - n))


class ConvNorm(nn.Module):
    """3x3 convolution -> GroupNorm(8) -> Mish, masked in time before and after."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.norm = FrameGroupNorm(8, c_out)

    def forward(
        self, x: Float[Tensor, "batch c_in frames bins"], frames: Frames
    ) -> Float[Tensor, "batch c_out frames bins"]:
        return mish(self.norm(self.conv(x * frames.mask), frames)) * frames.mask


class ResNetBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, condition: int) -> None:
        super().__init__()
        self.first, self.second = ConvNorm(c_in, c_out), ConvNorm(c_out, c_out)
        self.condition = nn.Linear(condition, c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(
        self,
        x: Float[Tensor, "batch c_in frames bins"],
        condition: Float[Tensor, "batch condition"],
        frames: Frames,
    ) -> Float[Tensor, "batch c_out frames bins"]:
        h = self.first(x, frames) + self.condition(mish(condition))[:, :, None, None]
        return self.second(h, frames) + self.skip(x * frames.mask)


class LinearAttention2d(nn.Module):
    """Linear attention with softmax over keys (Shen et al. 2021), 4 heads of 32; gated residual."""

    def __init__(self, channels: int, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * heads * head_dim, 1, bias=False)
        self.out = nn.Conv2d(heads * head_dim, channels, 1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x: Maps, frames: Frames) -> Maps:
        b, _, height, width = x.shape
        q, k, v = self.qkv(x).reshape(b, 3, self.heads, -1, height * width).unbind(1)
        # Padding must not enter the softmax over positions.
        valid = frames.mask.expand(b, 1, height, width).reshape(b, 1, 1, -1).bool()
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

    def forward(
        self,
        x: Float[Tensor, "batch c_in frames bins"],
        condition: Float[Tensor, "batch condition"],
        frames: Frames,
    ) -> Float[Tensor, "batch c_out frames bins"]:
        return self.attention(self.second(self.first(x, condition, frames), condition, frames), frames)


class UNet2d(nn.Module):
    """Frames are padded inside to a multiple of 2^(levels-1); the number of bins must be such a multiple.

    Args:
        c_in: input channels (noisy mel, mean, optionally a speaker plane).
        dim: channels of the first level.
        mults: width of each level as a multiple of dim.
        time_activation: activation of the network that embeds the time.
    """

    def __init__(
        self,
        c_in: int,
        *,
        dim: int = 64,
        mults: tuple[int, ...] = (1, 2, 4),
        time_activation: Activation = "mish",
    ) -> None:
        super().__init__()
        self.time = TimeEmbedding(dim, activation=nn.Mish() if time_activation == "mish" else nn.SiLU())
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

    def forward(
        self,
        x: Float[Tensor, "batch c_in frames bins"],
        t: Float[Tensor, " batch"],
        mask: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames bins"]:
        """The prediction at times `t` in [0, 1]."""
        length = x.shape[2]
        extra = -length % self.factor
        x = pad(x, (0, 0, 0, extra)).to(memory_format=torch.channels_last)
        frames = [Frames.of(pad(mask, (0, extra)), x.dtype)]
        condition = self.time(t)
        skips = []
        for level, reduce in zip(self.down, self.reduce, strict=True):
            x = level(x, condition, frames[-1])
            skips.append(x)
            if not isinstance(reduce, nn.Identity):
                x = reduce(x * frames[-1].mask)
                frames.append(frames[-1].halved())
        f = frames[-1]
        x = self.middle2(self.middle_attention(self.middle1(x, condition, f), f), condition, f)
        for level, enlarge in zip(self.up, self.enlarge, strict=True):
            f = frames.pop()
            x = enlarge(level(torch.cat([x, skips.pop()], dim=1), condition, f) * f.mask)
        f = frames.pop()
        x = self.outlet(self.last(x, f) * f.mask) * f.mask
        return x[:, 0, :length]
