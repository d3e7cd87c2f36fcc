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
    """The rows of all ranks in order of rank; `x` must have the same shape on every rank."""
    return x if world() == 1 else _Gather.apply(x)  # type: ignore[return-value]


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
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = x.shape[0]
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        grad = grads[0].contiguous().clone()
        dist.all_reduce(grad)
        start = dist.get_rank() * ctx.rows
        return grad[start : start + ctx.rows]
