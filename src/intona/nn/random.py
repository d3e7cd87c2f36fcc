"""Random numbers that depend on the utterance and the step, not on the place in a batch.

The noise of an item is the same on one rank or on eight, alone or in a padded batch, and after a resume. So
tests can compare these cases bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from intona.seeds import derive_seed as derive_seed


@contextmanager
def drawn_apart(name: str) -> Iterator[None]:
    """Initialise the weights inside from a separate random stream.

    The weights initialised afterwards then do not depend on how many there are inside: models that differ in
    one part start equal in all others.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(torch.initial_seed(), name))
        yield


class ItemRandom:
    """One generator per item, seeded from (seed, step, id); draws follow the order of the calls."""

    def __init__(self, seed: int, step: int, ids: Sequence[str]) -> None:
        self._shared = torch.Generator().manual_seed(derive_seed(seed, step, "all"))
        self._generators = [torch.Generator().manual_seed(derive_seed(seed, step, i)) for i in ids]

    @classmethod
    def together(cls, items: Iterable[ItemRandom]) -> ItemRandom:
        """The items of several as those of one; item i draws what it would draw alone."""
        joined = cls(0, 0, ())
        joined._generators = [g for item in items for g in item._generators]
        return joined

    def shared(self) -> Float[Tensor, ""]:
        """One draw in [0, 1) for the step; it does not depend on the batch."""
        return torch.rand((), generator=self._shared)

    def uniform(self) -> Float[Tensor, " batch"]:
        """One draw in [0, 1) per item."""
        return torch.stack([torch.rand((), generator=g) for g in self._generators])

    def normal(self, lengths: Sequence[int], dim: int) -> Float[Tensor, "batch length {dim}"]:
        """Standard normal, as long as the longest of `lengths`, zero after each length."""
        out = torch.zeros(len(lengths), max(lengths), dim)
        for row, n, g in zip(out, lengths, self._generators, strict=True):
            row[:n] = torch.randn(n, dim, generator=g)
        return out
