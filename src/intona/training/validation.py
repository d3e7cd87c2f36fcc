"""The losses on the dev set: its batches are divided among the ranks, and their sums are added up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
Rows = list[tuple[float, float, float]]  # per batch: total, count, weight


@dataclass(frozen=True, kw_only=True)
class DevLoss:
    """Losses on the dev set.

    Attributes:
        values: term -> its mean. batches: how many were used.
        loss: the objective, and `half_width` of its 95 % interval; None with fewer than two batches.
    """

    values: dict[str, float]
    batches: int
    loss: float
    half_width: float | None

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
    if within and isinstance(batches, Sequence):
        order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed))
        batches = Batches(order.tolist(), batches.__getitem__)
    objective.eval()
    rows: dict[str, Rows] = {}
    count = 0
    for batch, counts in shares(batches, ranks.rank, ranks.world):
        with precision():
            losses = objective(batch.to(device), STEP)
        mine = {k: (float(total), float(n), weight) for k, (total, n, weight) in losses.items()}
        for other in ranks.gather(mine if counts else None):
            count += other is not None
            for name, row in (other or {}).items():
                rows.setdefault(name, []).append(row)
        if within and count >= FEWEST and _dev_loss(rows, count).relative <= within:
            break
    objective.train()
    return _dev_loss(rows, count)


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


def _dev_loss(rows: dict[str, Rows], count: int) -> DevLoss:
    """Means over the batches, and the deviation of their weighted sum.

    A mean is a ratio of sums over batches. To first order a batch moves it by (total - mean x count) / sum of
    the counts (Cochran 1977, Sampling Techniques, section 6.3); batches are independent.
    """
    values, loss = {}, 0.0
    moves = [0.0] * count
    for name, terms in rows.items():
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
