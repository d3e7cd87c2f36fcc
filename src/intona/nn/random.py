"""Random numbers that belong to an utterance and a step, not to a place in a batch.

Drawn so, the noise of an item is the same on one rank or on eight, alone or padded beside others, and
after a resume: that is what makes those equalities testable to the bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def derive_seed(*keys: object) -> int:
    """A 63-bit seed from any keys, stable over processes and versions (unlike hash())."""
    digest = hashlib.blake2b("\x1f".join(map(str, keys)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@contextmanager
def drawn_apart(name: str) -> Iterator[None]:
    """Weights made inside come from a stream of their own, so that what is made after does not depend on
    how many there were: models that differ in one part start alike in all others."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(torch.initial_seed(), name))
        yield


class ItemRandom:
    """A generator an item, seeded from (seed, step, id); draws are made in call order."""

    def __init__(self, seed: int, step: int, ids: Sequence[str]) -> None:
        self._shared = torch.Generator().manual_seed(derive_seed(seed, step, "all"))
        self._generators = [torch.Generator().manual_seed(derive_seed(seed, step, i)) for i in ids]

    def shared(self) -> Tensor:
        """() in [0, 1): one draw for the step, whatever is in the batch."""
        return torch.rand((), generator=self._shared)

    def uniform(self) -> Tensor:
        """(B,) in [0, 1)."""
        return torch.stack([torch.rand((), generator=g) for g in self._generators])

    def normal(self, lengths: Sequence[int], dim: int) -> Tensor:
        """(B, max(lengths), dim) standard normal, zero after each length."""
        out = torch.zeros(len(lengths), max(lengths), dim)
        for row, n, g in zip(out, lengths, self._generators, strict=True):
            row[:n] = torch.randn(n, dim, generator=g)
        return out
