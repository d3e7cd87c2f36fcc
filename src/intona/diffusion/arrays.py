"""NumPy arrays and torch tensors in one arithmetic, so that each schedule and solver stands once.

Training and the torch backend compute with tensors; the runtime without torch computes with arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float


def namespace(x: Any) -> Any:
    """The module whose functions take `x`: numpy for its arrays and numbers, else torch."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    import torch

    return torch


def expand(t: Float[Any, " batch"], like: Float[Any, " batch *shape"]) -> Float[Any, " batch *_"]:
    """One value per item, shaped so that it broadcasts over `like`, with its dtype and on its device."""
    shape = (-1, *[1] * (like.ndim - 1))
    if isinstance(like, np.ndarray):
        return np.asarray(t, like.dtype).reshape(shape)
    return t.to(like).view(shape)


def times_of(t: float, like: Float[Any, " batch *shape"]) -> Float[Any, " batch"]:
    """The same time for each item of `like`, in float32."""
    xp = namespace(like)
    return xp.full((len(like),), float(t), dtype=xp.float32)
