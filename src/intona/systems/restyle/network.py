"""The networks, behind one call: (x_t, Z_text or None, t, style, keep, mask, valid) -> (B, T, C).

`mask` (B, T) marks the frames that a network computes; other frames neither enter nor leave it. `valid` (B,
T) marks the real frames and is an input. The two are equal except with `masked=False`: then the whole canvas
is computed, and padding is input and output like any other frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intona.nn.attention import attend
from intona.nn.convnext import ConvNeXtStack
from intona.nn.embedding import TimeEmbedding
from intona.nn.unet2d import ConvNorm, FrameGroupNorm, Frames, Level, LinearAttention2d, ResNetBlock
from intona.systems.restyle.config import RestyleConfig


class StyleInput(nn.Module):
    """(B, S) style -> (B, K, D) tokens; learned null tokens where `keep` (B,) is False."""

    def __init__(self, style_dim: int, dim: int, tokens: int) -> None:
        super().__init__()
        self.tokens, self.dim = tokens, dim
        self.map = nn.Linear(style_dim, tokens * dim)
        self.null = nn.Parameter(0.02 * torch.randn(tokens, dim))

    def forward(self, style: Tensor, keep: Tensor) -> Tensor:
        embedded = self.map(style).view(-1, self.tokens, self.dim)
        return torch.where(keep[:, None, None], embedded, self.null)


class CrossAttention2d(nn.Module):
    """Every position of an image attends to the style tokens; the residual branch starts at zero."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        inner = 32 * heads
        self.norm = FrameGroupNorm(8, channels)
        self.q = nn.Conv2d(channels, inner, 1, bias=False)
        self.kv = nn.Linear(context, 2 * inner, bias=False)
        self.out = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, context: Tensor, frames: Frames) -> Tensor:
        """x (B, C, H, W), context (B, K, D)."""
        b, _, height, width = x.shape
        q = self.q(self.norm(x, frames)).view(b, self.heads, 32, height * width).transpose(2, 3)
        k, v = self.kv(context).view(b, context.shape[1], 2, self.heads, 32).permute(2, 0, 3, 1, 4)
        y = attend(q, k, v)
        return x + self.out(y.transpose(2, 3).reshape(b, -1, height, width)) * frames.mask


class StyleUNet2d(nn.Module):
    """U-Net blocks of Grad-TTS over (time, channel), with cross-attention to the style at the last levels.

    The inputs are planes of an image: x_t, `valid` and, if used, Z_text.
    """

    def __init__(self, config: RestyleConfig, planes: int) -> None:
        super().__init__()
        net = config.network
        widths = [net.dim * m for m in net.mults]
        context = net.dim * 4
        self.factor = 2 ** (len(widths) - 1)
        self.time = TimeEmbedding(net.dim)
        self.style = StyleInput(config.style_dim, context, net.tokens)
        attends = [i >= len(widths) - net.attend for i in range(len(widths))]

        def attention(width: int, has_attention: bool) -> nn.Module:
            return CrossAttention2d(width, context, net.heads) if has_attention else nn.Identity()

        self.down, self.reduce, self.down_style = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        previous = planes
        for i, w in enumerate(widths):
            self.down.append(Level(previous, w, net.dim))
            self.down_style.append(attention(w, attends[i]))
            last = i == len(widths) - 1
            self.reduce.append(nn.Identity() if last else nn.Conv2d(w, w, 3, stride=2, padding=1))
            previous = w
        self.middle1 = ResNetBlock(previous, previous, net.dim)
        self.middle_attention = LinearAttention2d(previous)
        self.middle_style = attention(previous, net.attend > 0)
        self.middle2 = ResNetBlock(previous, previous, net.dim)
        self.up, self.enlarge, self.up_style = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        pairs = zip(reversed(widths[1:]), reversed(widths[:-1]), reversed(attends[:-1]), strict=True)
        for w_in, w_out, has_attention in pairs:
            self.up.append(Level(2 * w_in, w_out, net.dim))
            self.up_style.append(attention(w_out, has_attention))
            self.enlarge.append(nn.ConvTranspose2d(w_out, w_out, 4, stride=2, padding=1))
        self.last = ConvNorm(widths[0], widths[0])
        self.outlet = nn.Conv2d(widths[0], 1, 1)
        nn.init.zeros_(self.outlet.weight)
        nn.init.zeros_(self.outlet.bias)  # type: ignore[arg-type]

    def forward(
        self,
        x: Tensor,
        text: Tensor | None,
        t: Tensor,
        style: Tensor,
        keep: Tensor,
        mask: Tensor,
        valid: Tensor,
    ) -> Tensor:
        length = x.shape[1]
        pad = (0, 0, 0, -length % self.factor)
        planes = [x, valid[..., None].to(x.dtype).expand_as(x), *([] if text is None else [text])]
        h = nn.functional.pad(torch.stack(planes, dim=1), pad).to(memory_format=torch.channels_last)
        frames = [Frames.of(nn.functional.pad(mask, (0, pad[3])), x.dtype)]
        time, tokens = self.time(t), self.style(style, keep)
        skips = []
        for level, styled, reduce in zip(self.down, self.down_style, self.reduce, strict=True):
            h = _styled(styled, level(h, time, frames[-1]), tokens, frames[-1])
            skips.append(h)
            if not isinstance(reduce, nn.Identity):
                h = reduce(h * frames[-1].mask)
                frames.append(frames[-1].halved())
        f = frames[-1]
        h = self.middle_attention(self.middle1(h, time, f), f)
        h = self.middle2(_styled(self.middle_style, h, tokens, f), time, f)
        for level, styled, enlarge in zip(self.up, self.up_style, self.enlarge, strict=True):
            f = frames.pop()
            h = _styled(styled, level(torch.cat([h, skips.pop()], dim=1), time, f), tokens, f)
            h = enlarge(h * f.mask)
        f = frames.pop()
        return (self.outlet(self.last(h, f) * f.mask) * f.mask)[:, 0, :length]


def _styled(attention: nn.Module, x: Tensor, tokens: Tensor, frames: Frames) -> Tensor:
    return x if isinstance(attention, nn.Identity) else attention(x, tokens, frames)


class StyleConvNeXt(nn.Module):
    """ConvNeXt blocks at frame rate over the 192 channels, modulated by time and style (AdaLN-Zero).

    Without masking, `valid` is one more input channel.
    """

    def __init__(self, config: RestyleConfig, planes: int) -> None:
        super().__init__()
        net = config.network
        self.sees_valid = not config.masked
        self.time = TimeEmbedding(net.dim)
        self.style = StyleInput(config.style_dim, net.dim, 1)
        self.net = ConvNeXtStack(
            (planes - 1) * config.channels + self.sees_valid,
            config.channels,
            dim=net.dim,
            depth=net.depth,
            condition=net.dim,
            expand=net.expand,
            kernel=net.kernel,
        )

    def forward(
        self,
        x: Tensor,
        text: Tensor | None,
        t: Tensor,
        style: Tensor,
        keep: Tensor,
        mask: Tensor,
        valid: Tensor,
    ) -> Tensor:
        condition = self.time(t) + self.style(style, keep)[:, 0]
        seen = [
            x,
            *([] if text is None else [text]),
            *([valid[..., None].to(x.dtype)] if self.sees_valid else []),
        ]
        return self.net(torch.cat(seen, dim=-1), condition, mask)


def build(config: RestyleConfig) -> StyleUNet2d | StyleConvNeXt:
    sees = config.process == "palette" or config.see_text
    return {"unet2d": StyleUNet2d, "convnext1d": StyleConvNeXt}[config.network.kind](config, 2 + sees)
