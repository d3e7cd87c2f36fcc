"""Sinusoidal embedding of diffusion time, in float32 (in bf16 neighbouring times become equal)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float32, Real
from torch import Tensor, nn


def sinusoid(t: Real[Tensor, " batch"], dim: int, *, scale: float = 1000.0) -> Float32[Tensor, "batch {dim}"]:
    """Sines, then cosines, of scale * t * 10000^(-i/(dim/2-1)) for times t in [0, 1]."""
    half = dim // 2
    frequency = torch.exp(torch.arange(half, device=t.device) * (-math.log(10_000.0) / (half - 1)))
    angle = scale * t.float()[:, None] * frequency[None, :]
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class TimeEmbedding(nn.Module):
    """sinusoid -> linear -> activation (SiLU if None) -> linear, in float32 even under autocast."""

    def __init__(self, dim: int, out: int | None = None, *, activation: nn.Module | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.net = nn.Sequential(
            nn.Linear(dim, 4 * dim), activation or nn.SiLU(), nn.Linear(4 * dim, out or dim)
        )

    def forward(self, t: Real[Tensor, " batch"]) -> Float32[Tensor, "batch width"]:
        with torch.autocast(t.device.type, enabled=False):
            return self.net(sinusoid(t, self.dim))
