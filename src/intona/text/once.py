"""Loading once, whichever thread comes first."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def once(load: Callable[P, T]) -> Callable[P, T]:
    """`functools.cache` for loaders: threads that come during the first call wait for its result.

    `functools.cache` alone would load several times. An exception is not kept: the next call tries again.
    """
    lock = threading.RLock()
    cached = functools.cache(load)

    @functools.wraps(load)
    def locked(*args: P.args, **kwargs: P.kwargs) -> T:
        with lock:
            return cached(*args, **kwargs)

    return locked
