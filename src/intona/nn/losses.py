"""Losses as sums and counts, so that ranks and batches of unequal length add up exactly."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Part:
    """One loss term: `total` summed over `count` elements, entering the objective with `weight`."""

    total: Shaped[Tensor, ""]
    count: Shaped[Tensor, ""]
    weight: float = 1.0

    @property
    def mean(self) -> Float[Tensor, ""]:
        return self.total / self.count.clamp(min=1)


class Losses:
    """What a task returns for a batch. Means are formed only after the counts of all ranks are added.

    Not a dataclass: Fabric would traverse and copy it.
    """

    def __init__(self, *, parts: dict[str, Part]) -> None:
        self.parts = parts

    @property
    def total(self) -> Float[Tensor, ""]:
        """The weighted sum of the means over this batch."""
        return torch.stack([p.weight * p.mean for p in self.parts.values()]).sum()

    def with_counts(self, counts: dict[str, Tensor]) -> Losses:
        """The same sums with other counts, such as those of all ranks together."""
        return Losses(parts={k: dataclasses.replace(p, count=counts[k]) for k, p in self.parts.items()})
