"""Classifier-free guidance (Ho & Salimans 2022): one network, with and without its condition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from intona.diffusion.process import Batch
from intona.errors import UserError


def keep_condition(uniform: Float[Tensor, " batch"], drop: float) -> Bool[Tensor, " batch"]:
    """False where the condition is replaced by the null condition; `uniform` are draws in [0, 1)."""
    return uniform >= drop


def guide(predict: Callable[[Bool[Tensor, " batch"]], Batch], scale: float, size: int) -> Batch:
    """out_null + scale (out - out_null); scale 1 is the conditional prediction, 0 the unconditional one.

    Args:
        predict: called with a boolean for each item, True = with its condition.
        scale: guidance; at 0 and 1 the network runs once, not twice.
        size: number of items in the batch.
    """
    if scale in (0, 1):
        return predict(torch.full((size,), bool(scale)))
    conditional = predict(torch.ones(size, dtype=torch.bool))
    null = predict(torch.zeros(size, dtype=torch.bool))
    return null + scale * (conditional - null)


def check_scale(scale: float, *, where: str = "guidance") -> float:
    """Return `scale`. Raises UserError unless it is between 0 and 100."""
    if not 0 <= scale <= 100:
        raise UserError(f"{scale:g} is not between 0 and 100", where=where)
    return scale
