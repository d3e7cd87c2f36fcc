"""Differentiable sums and gathers over ranks; with one process they are the identity.

The convention is that of the training loop: the objective is the sum over the ranks, and each rank calls
backward on its part.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor
from torch import distributed as dist


def world() -> int:
    """Number of processes of this training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(x: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """The sum over all ranks, on every rank."""
    return x if world() == 1 else _Sum.apply(x)  # type: ignore[return-value]


def gather_over_ranks(x: Shaped[Tensor, " batch *shape"]) -> Shaped[Tensor, " all *shape"]:
    """The rows of all ranks in order of rank; ranks may differ in their number of rows."""
    return x if world() == 1 else _Gather.apply(x, row_counts(x))  # type: ignore[return-value]


def row_counts(x: Shaped[Tensor, " batch *shape"]) -> list[int]:
    """The number of rows of each rank."""
    if world() == 1:
        return [len(x)]
    counts = [torch.zeros((), dtype=torch.int64, device=x.device) for _ in range(world())]
    dist.all_gather(counts, torch.tensor(len(x), device=x.device))
    return [int(n) for n in counts]


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if world() > 1 else 0


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad)
        return grad


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, counts: list[int]) -> Tensor:
        before = sum(counts[: dist.get_rank()])
        ctx.rows = slice(before, before + len(x))
        padded = x.new_zeros((max(counts), *x.shape[1:]))
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad)
        return grad[ctx.rows], None
