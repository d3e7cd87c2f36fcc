"""ECAPA-TDNN (Desplanques et al. 2020, arXiv 2005.07143): log mels to one vector, for short spans too.

Every mean, deviation and convolution sees valid frames only, also in training: a span gives the same vector
alone, padded, and beside others whatever their lengths (but for the batch statistics, which count each
valid frame once and run over all ranks).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from intona.nn.conv import Conv
from intona.nn.masks import length_mask
from intona.nn.ranks import sum_over_ranks


@dataclass(frozen=True, kw_only=True)
class EcapaConfig:
    """Published: channels 512 (6.2 M parameters) or 1024 (14.7 M), and all other defaults.

    `hidden` is the width before pooling, `bottleneck` that of squeeze-excitation and of the attention.
    """

    n_mels: int = 80
    channels: int = 512
    hidden: int = 1536
    bottleneck: int = 128
    scale: int = 8
    dilations: tuple[int, ...] = (2, 3, 4)
    dim: int = 192

    def __post_init__(self) -> None:
        if self.channels % self.scale or self.scale < 2:
            raise ValueError("channels must be a multiple of scale, and scale above 1")


class MaskedBatchNorm(nn.Module):
    """Batch normalisation of (B, T, C) over valid frames of all ranks; running statistics in evaluation.

    `frozen`: running statistics in training too, and they stay as they are.
    """

    mean: Float[Tensor, " channels"]
    var: Float[Tensor, " channels"]
    frozen: bool = False

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def forward(
        self, x: Float[Tensor, "batch frames channels"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames channels"]:
        mean, var = self.mean, self.var
        if self.training and not self.frozen:
            valid = mask[..., None].float()
            rows = x.float() * valid
            # Two passes: E[x²] - E[x]² loses its digits where the mean is large.
            count = sum_over_ranks(valid.sum()).clamp(min=1)
            mean = sum_over_ranks(rows.sum((0, 1))) / count
            var = sum_over_ranks(((x.float() - mean).square() * valid).sum((0, 1))) / count
            with torch.no_grad():
                self.mean.lerp_(mean, self.momentum)
                self.var.lerp_(var * (count / (count - 1).clamp(min=1)), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return x * scale.to(x.dtype) + (self.bias - mean * scale).to(x.dtype)


class Layer(nn.Module):
    """Convolution, ReLU, batch normalisation."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Linear(c_in, c_out) if kernel == 1 else Conv(c_in, c_out, kernel, dilation=dilation)
        self.norm = MaskedBatchNorm(c_out)

    def forward(
        self, x: Float[Tensor, "batch frames c_in"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames c_out"]:
        x = self.conv(x) if isinstance(self.conv, nn.Linear) else self.conv(x, mask)
        return self.norm(torch.relu(x), mask)


class Block(nn.Module):
    """1x1, Res2 convolutions (each of `scale` - 1 groups adds the one before), 1x1, squeeze-excitation."""

    def __init__(self, config: EcapaConfig, dilation: int) -> None:
        super().__init__()
        c, width = config.channels, config.channels // config.scale
        self.scale = config.scale
        self.enter = Layer(c, c)
        self.groups = nn.ModuleList(Layer(width, width, 3, dilation) for _ in range(config.scale - 1))
        self.leave = Layer(c, c)
        self.squeeze = nn.Linear(c, config.bottleneck)
        self.excite = nn.Linear(config.bottleneck, c)

    def forward(
        self, x: Float[Tensor, "batch frames channels"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames channels"]:
        first, *rest = self.enter(x, mask).chunk(self.scale, dim=-1)
        parts, last = [first], None
        for layer, part in zip(self.groups, rest, strict=True):
            last = layer(part if last is None else part + last, mask)
            parts.append(last)
        y = self.leave(torch.cat(parts, dim=-1), mask)
        valid = mask[..., None].to(y.dtype)
        mean = (y * valid).sum(1) / valid.sum(1).clamp(min=1)
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))
        return x + y * gate[:, None, :]


class AttentiveStatistics(nn.Module):
    """Weighted mean and deviation over valid frames; the weights see the span's plain mean and deviation."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.down = Layer(3 * channels, bottleneck)
        self.up = nn.Linear(bottleneck, channels)

    def forward(
        self, x: Float[Tensor, "batch frames channels"], mask: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch 2*channels"]:
        valid = mask[..., None]
        mean, deviation = _moments(x, valid / valid.sum(1, keepdim=True).clamp(min=1))
        context = torch.cat([mean, deviation], dim=-1)[:, None, :].expand(-1, x.shape[1], -1)
        scores = self.up(torch.tanh(self.down(torch.cat([x, context], dim=-1), mask)))
        weights = torch.nan_to_num(scores.float().masked_fill(~valid, -torch.inf).softmax(dim=1))
        return torch.cat(_moments(x, weights), dim=-1)


def _moments(
    x: Float[Tensor, "batch frames channels"], weights: Float[Tensor, "batch frames #channels"]
) -> tuple[Float32[Tensor, "batch channels"], Float32[Tensor, "batch channels"]]:
    """Mean and deviation over time, weighted; the weights of each channel sum to 1."""
    x = x.float()
    mean = (x * weights).sum(1)
    variance = ((x - mean[:, None, :]).square() * weights).sum(1)
    return mean, variance.clamp(min=1e-8).sqrt()


class Ecapa(nn.Module):
    """One vector for each row of normalised log mels."""

    def __init__(self, config: EcapaConfig) -> None:
        super().__init__()
        c = config.channels
        self.config, self.dim = config, config.dim
        self.enter = Layer(config.n_mels, c, 5)
        self.blocks = nn.ModuleList(Block(config, d) for d in config.dilations)
        self.join = nn.Linear(c * len(config.dilations), config.hidden)
        self.pool = AttentiveStatistics(config.hidden, config.bottleneck)
        self.norm = MaskedBatchNorm(2 * config.hidden)
        self.out = nn.Linear(2 * config.hidden, config.dim)

    def freeze_statistics(self, frozen: bool = True) -> None:
        """Whether to normalise by the running statistics from now on, in training too."""
        for module in self.modules():
            if isinstance(module, MaskedBatchNorm):
                module.frozen = frozen

    def forward(
        self, mels: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        mask = length_mask(lengths, mels.shape[1])
        total = self.enter(mels, mask)
        outs = []
        for block in self.blocks:  # each hears the sum of all before it (section 3.3)
            outs.append(block(total, mask))
            total = total + outs[-1]
        x = torch.relu(self.join(torch.cat(outs, dim=-1)))
        pooled = self.pool(x, mask)
        row = torch.ones(len(pooled), 1, dtype=torch.bool, device=pooled.device)
        return self.out(self.norm(pooled[:, None, :], row)[:, 0])
