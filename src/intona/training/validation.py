"""The losses on the dev set: its batches are divided among the ranks, and their sums are added up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import nn

from intona.training.ranks import Ranks
from intona.training.task import Batches

B = TypeVar("B")
STEP = -2  # of validation: the noise is the same every time
FEWEST = 8  # batches before an interval is trusted
NORMAL = 1.96  # 95 % of a normal distribution
Row = dict[str, tuple[float, float, float]]  # of a batch: term -> total, count, weight


@dataclass(frozen=True, kw_only=True)
class DevLoss:
    """Losses on the dev set.

    Attributes:
        values: term -> its mean. batches: how many were used.
        loss: the objective, and `half_width` of its 95 % interval; None with fewer than two batches.
        groups: the same of each group of batches (`Batches.groups`), where there are several.
    """

    values: dict[str, float]
    batches: int
    loss: float
    half_width: float | None
    groups: dict[str, DevLoss] = field(default_factory=dict)

    @property
    def relative(self) -> float:
        """The half-width as a share of the loss."""
        return math.inf if self.half_width is None else self.half_width / max(abs(self.loss), 1e-12)


@torch.no_grad()
def validate(
    objective: nn.Module,
    batches: Iterable[Any],
    *,
    ranks: Ranks,
    device: torch.device,
    precision: Callable[[], AbstractContextManager[Any]],
    within: float = 0.0,
    seed: int = 0,
) -> DevLoss:
    """Mean losses of dev batches; equal on every rank, and for every number of ranks up to rounding.

    Args:
        objective: (batch, step) -> name -> (total, count, weight).
        batches: of the whole dev set; each is used whole, by one rank.
        within: stop when the 95 % interval of the loss is within this share of it; 0 = use all batches. The
            batches come in an order that `seed` decides, if they are a sequence.
    """
    names = list(getattr(batches, "groups", ()))
    if within and isinstance(batches, Sequence):
        order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed)).tolist()
        batches, names = Batches(order, batches.__getitem__), [names[i] for i in order] if names else []
    objective.eval()
    rows: list[Row] = []
    for batch, counts in shares(batches, ranks.rank, ranks.world):
        with precision():
            losses = objective(batch.to(device), STEP)
        mine = {k: (float(total), float(n), weight) for k, (total, n, weight) in losses.items()}
        rows += [other for other in ranks.gather(mine if counts else None) if other is not None]
        if within and len(rows) >= FEWEST and _dev_loss(rows).relative <= within:
            break
    objective.train()
    # The rows have the order of the batches: each round gathers them by rank.
    named = list(zip(names, rows, strict=False))  # not all batches are used with `within`
    groups = {
        name: _dev_loss([row for of, row in named if of == name])
        for name in sorted(dict(named).keys() - {""})
    }
    return replace(_dev_loss(rows), groups=groups)


def shares(batches: Iterable[B], rank: int, world: int) -> Iterator[tuple[B, bool]]:
    """This rank's batches, one per round, and whether each counts.

    All ranks make the same number of rounds: those without a batch in the last one repeat its last batch,
    because a forward pass of a divided model needs all ranks.
    """
    if isinstance(batches, Sequence):
        for start in range(0, len(batches), world):
            index = start + rank
            yield batches[min(index, len(batches) - 1)], index < len(batches)
        return
    iterator = iter(batches)
    while one_round := list(islice(iterator, world)):
        yield one_round[min(rank, len(one_round) - 1)], rank < len(one_round)


def _dev_loss(rows: Sequence[Row]) -> DevLoss:
    """Means over the batches, and the deviation of their weighted sum.

    A mean is a ratio of sums over batches. To first order a batch moves it by (total - mean x count) / sum of
    the counts (Cochran 1977, Sampling Techniques, section 6.3); batches are independent.
    """
    values, loss, count = {}, 0.0, len(rows)
    moves = [0.0] * count
    for name in dict.fromkeys(term for row in rows for term in row):
        terms = [row[name] for row in rows if name in row]
        total, size = (sum(t[i] for t in terms) for i in (0, 1))
        mean = values[name] = total / max(size, 1.0)
        weight = terms[0][2]
        loss += weight * mean
        if len(terms) == count:
            for i, (t, n, _) in enumerate(terms):
                moves[i] += weight * (t - mean * n) / max(size, 1.0)
    half = None
    if count > 1:
        half = NORMAL * math.sqrt(sum(m * m for m in moves) * count / (count - 1))
    return DevLoss(values=values, batches=count, loss=loss, half_width=half)
