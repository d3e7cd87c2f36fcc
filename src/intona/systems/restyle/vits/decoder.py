"""The HiFi-GAN generator of Piper voices, with blocks of single convolutions as in V3 (Kong et al. 2020).

`transformers` has only the blocks of V1 and V2. Module names are those of its `VitsHifiGan`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn, tanh
from torch.nn import functional as F

SLOPE = 0.1


@dataclass(frozen=True, kw_only=True)
class DecoderSizes:
    """`block` 1: pairs of convolutions, the first dilated; 2: single dilated convolutions."""

    channels: int
    latent: int
    rates: tuple[int, ...]
    kernels: tuple[int, ...]
    block: int
    block_kernels: tuple[int, ...]
    block_dilations: tuple[tuple[int, ...], ...]
    speaker: int = 0


class SingleBlock(nn.Module):
    """Residual dilated convolutions, (B, C, L) -> (B, C, L)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel // 2)) for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(F.leaky_relu(x, SLOPE))
        return x


class SingleBlockDecoder(nn.Module):
    """(B, C, T) latents -> (B, 1, T * hop) samples."""

    def __init__(self, sizes: DecoderSizes) -> None:
        super().__init__()
        c = sizes.channels
        self.conv_pre = nn.Conv1d(sizes.latent, c, 7, padding=3)
        if sizes.speaker:
            self.cond = nn.Conv1d(sizes.speaker, c, 1)
        self.upsampler, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(sizes.rates, sizes.kernels, strict=True):
            self.upsampler.append(nn.ConvTranspose1d(c, c // 2, kernel, rate, padding=(kernel - rate) // 2))
            c //= 2
            for k, d in zip(sizes.block_kernels, sizes.block_dilations, strict=True):
                self.resblocks.append(SingleBlock(c, k, d))
        self.conv_post = nn.Conv1d(c, 1, 7, padding=3, bias=False)

    def forward(self, z: Tensor, speaker: Tensor | None = None) -> Tensor:
        x = self.conv_pre(z)
        if speaker is not None:
            x = x + self.cond(speaker)
        n = len(self.resblocks) // len(self.upsampler)
        for i, up in enumerate(self.upsampler):
            x = up(F.leaky_relu(x, SLOPE))
            total = self.resblocks[i * n](x)
            for block in list(self.resblocks)[i * n + 1 : (i + 1) * n]:
                total = total + block(x)
            x = total / n
        return tanh(self.conv_post(F.leaky_relu(x, 0.01)))
