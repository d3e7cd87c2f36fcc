"""Results worth keeping between judges: least recently used go first, under a budget of bytes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from intona.audio import Audio

BUDGET = 64 << 20


class Kept:
    """`kept(key, make)`: the arrays made for this key, made once while the budget lasts.

    Judges come one after another over all utterances, so a bound by number would throw everything away in
    exactly the order in which it is asked for again.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget, self.size = budget, 0
        self._values: OrderedDict[bytes, tuple[np.ndarray, ...]] = OrderedDict()

    def __call__(self, key: bytes, make: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = make()
        self._values[key] = value
        self.size += sum(a.nbytes for a in value)
        while self.size > self.budget and len(self._values) > 1:
            _, old = self._values.popitem(last=False)
            self.size -= sum(a.nbytes for a in old)
        return value


def sound_key(*audios: Audio) -> bytes:
    """Hash of rates and samples."""
    key = hashlib.blake2b(digest_size=20)
    for audio in audios:
        key.update(np.array([audio.sample_rate, len(audio.samples)], np.int64).tobytes())
        key.update(np.ascontiguousarray(audio.samples).data)
    return key.digest()
