"""Classifier-free guidance (Ho & Salimans 2022): one network, with and without its condition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from intona.errors import UserError


def keep_condition(uniform: Tensor, drop: float) -> Tensor:
    """(B,) draws in [0, 1) -> boolean (B,), False where the condition is replaced by the null one."""
    return uniform >= drop


def guide(predict: Callable[[Tensor], Tensor], scale: float, size: int) -> Tensor:
    """out_null + scale (out - out_null); scale 1 is the conditional prediction, 0 the unconditional one.

    Args:
        predict: called with a boolean (B,), True = with its condition.
        scale: guidance; at 0 and 1 the network is run once, not twice.
        size: B.
    """
    if scale in (0, 1):
        return predict(torch.full((size,), bool(scale)))
    given = predict(torch.ones(size, dtype=torch.bool))
    null = predict(torch.zeros(size, dtype=torch.bool))
    return null + scale * (given - null)


def check_scale(scale: float, *, where: str = "guidance") -> float:
    """Refuse what is no number between 0 and 100."""
    if not 0 <= scale <= 100:
        raise UserError(f"{scale:g} is not between 0 and 100", where=where)
    return scale
