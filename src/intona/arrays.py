"""NumPy arrays and torch tensors in one arithmetic, so that each formula stands once.

Training and the torch backend compute with tensors; the runtime without torch computes with arrays. Both
modules have functions of the same names: `exp`, `where`, `clip`, `concatenate` …
"""

from __future__ import annotations

from typing import Any

import numpy as np


def namespace(x: Any) -> Any:
    """The module whose functions take `x`: numpy for its arrays and numbers, else torch."""
    if isinstance(x, np.ndarray | np.generic):
        return np
    import torch

    return torch


def as_type(x: Any, name: str) -> Any:
    """`x` with another dtype, by its name in both modules, such as "float64"."""
    return x.astype(name) if isinstance(x, np.ndarray) else x.to(getattr(namespace(x), name))


def arange(start: int, stop: int, like: Any) -> Any:
    """Whole numbers (stop - start,) int64, on the device of `like`."""
    if isinstance(like, np.ndarray):
        return np.arange(start, stop)
    return namespace(like).arange(start, stop, device=like.device)


def expand(t: Any, like: Any) -> Any:
    """One value per item (B,), shaped so that it broadcasts over `like` (B, …), of its dtype and device."""
    shape = (-1, *[1] * (like.ndim - 1))
    if isinstance(like, np.ndarray):
        return np.asarray(t, like.dtype).reshape(shape)
    return t.to(like).view(shape)


def times_of(t: float, like: Any) -> Any:
    """The same time for each item of `like`: (B,) float32."""
    xp = namespace(like)
    return xp.full((len(like),), float(t), dtype=xp.float32)


def running_maximum(x: Any) -> Any:
    """The largest value of each row (B, N) up to each place."""
    if isinstance(x, np.ndarray):
        return np.maximum.accumulate(x, axis=1)
    return namespace(x).cummax(x, 1).values


def take_along(x: Any, index: Any) -> Any:
    """x[b, index[b, n]], (B, N)."""
    if isinstance(x, np.ndarray):
        return np.take_along_axis(x, index, axis=1)
    return x.gather(1, index)


def to_numpy(x: Any) -> np.ndarray:
    """An array as it is, a tensor as an array."""
    return x if isinstance(x, np.ndarray) else x.detach().cpu().numpy()


def from_numpy(values: np.ndarray, like: Any) -> Any:
    """An array as what `like` is: an array or a tensor, of its dtype and device."""
    if isinstance(like, np.ndarray):
        return values.astype(like.dtype)
    return namespace(like).from_numpy(values).to(like)
