"""Arrays shared between judges, least recently used first out, within a budget of bytes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from intona.audio import Audio

BUDGET = 64 << 20


class ArrayCache:
    """`cache(key, compute)`: the arrays of this key, computed once while the budget lasts.

    The bound is on bytes and not on entries. Each judge passes over all utterances before the next one
    starts, so a small number of entries would always evict an array just before it is needed again.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget, self.size = budget, 0
        self._values: OrderedDict[bytes, tuple[np.ndarray, ...]] = OrderedDict()

    def __call__(self, key: bytes, compute: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = compute()
        self._values[key] = value
        self.size += sum(a.nbytes for a in value)
        while self.size > self.budget and len(self._values) > 1:
            _, oldest = self._values.popitem(last=False)
            self.size -= sum(a.nbytes for a in oldest)
        return value


def sound_key(*audios: Audio) -> bytes:
    """Hash of sample rates and samples."""
    key = hashlib.blake2b(digest_size=20)
    for audio in audios:
        key.update(np.array([audio.sample_rate, len(audio.samples)], np.int64).tobytes())
        key.update(np.ascontiguousarray(audio.samples).data)
    return key.digest()
