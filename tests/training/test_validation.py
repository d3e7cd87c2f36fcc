"""The dev loss: sums over batches, its interval, the shares of the ranks, and when a validation may end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from intona.training.ranks import Ranks
from intona.training.task import Batches
from intona.training.validation import NORMAL, shares, validate


class Held(nn.Module):
    """The losses that a batch holds."""

    def forward(self, batch: Numbers, step: int) -> dict[str, Any]:
        assert step == -2 and not self.training
        return {"error": (batch.x.sum(), torch.tensor(float(len(batch.x))), 2.0)}


class Numbers:
    def __init__(self, x: torch.Tensor) -> None:
        self.x = x

    def to(self, device: Any) -> Numbers:
        return self


def _validate(batches: Any, **how: Any) -> Any:
    return validate(
        Held(),
        batches,
        ranks=Ranks(),
        device=torch.device("cpu"),
        precision=contextlib.nullcontext,
        **how,
    )


def test_mean_and_interval_of_equal_batches_are_the_textbook_ones() -> None:
    values = np.random.default_rng(0).normal(3, 1, 50)
    result = _validate(Batches(values, lambda v: Numbers(torch.tensor([v]))))
    assert result.values == {"error": pytest.approx(values.mean())}
    assert result.loss == pytest.approx(2 * values.mean()) and result.batches == 50
    assert result.half_width == pytest.approx(2 * NORMAL * values.std(ddof=1) / 50**0.5)


def test_the_interval_covers_the_mean_of_batches_of_unequal_size() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        batches = [Numbers(torch.from_numpy(rng.normal(3, 1, n))) for n in rng.integers(1, 9, 40)]
        result = _validate(batches)
        covered += abs(result.loss - 6) < result.half_width
    assert 0.88 < covered / 200 < 0.99


def test_a_validation_ends_when_its_loss_is_known_well_enough() -> None:
    values = np.random.default_rng(2).normal(3, 1, 2000)
    batches = Batches(values, lambda v: Numbers(torch.tensor([v])))
    rough, fine, all_of_them = (_validate(batches, within=w) for w in (0.1, 0.03, 1e-6))
    assert 8 <= rough.batches < fine.batches < all_of_them.batches == 2000
    assert rough.relative <= 0.1 and fine.relative <= 0.03
    assert _validate(batches, within=0.1) == rough  # the same batches every time


@pytest.mark.parametrize("within", [0.0, 0.05])
def test_groups_of_batches_are_also_reported_apart(within: float) -> None:
    rng = np.random.default_rng(3)
    values, names = rng.normal(3, 1, 400), ["a" if x else "b" for x in rng.random(400) < 0.7]
    values += [0.0 if n == "a" else 2.0 for n in names]
    result = _validate(Batches(values, lambda v: Numbers(torch.tensor([v])), names), within=within)
    assert list(result.groups) == ["a", "b"] and (result.batches == 400) == (not within)
    assert sum(g.batches for g in result.groups.values()) == result.batches
    parts = result.groups.values()
    assert sum(g.batches * g.loss for g in parts) == pytest.approx(result.batches * result.loss)
    if not within:
        assert {
            k: _validate([b for b, n in _numbers(values, names) if n == k]) for k in "ab"
        } == result.groups
    else:
        assert result.groups["a"].values["error"] == pytest.approx(3, abs=0.5)
        assert result.groups["b"].values["error"] == pytest.approx(5, abs=0.5)


def _numbers(values: np.ndarray, names: list[str]) -> Iterator[tuple[Numbers, str]]:
    return ((Numbers(torch.tensor([v])), n) for v, n in zip(values, names, strict=True))


def test_without_a_dev_set_there_is_no_loss() -> None:
    assert _validate([]).values == {} and _validate([]).half_width is None


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize(("count", "world"), [(5, 2), (1, 3), (4, 4), (0, 2)])
def test_each_batch_counts_once_and_all_ranks_make_as_many(count: int, world: int, lazy: bool) -> None:
    def batches() -> Sequence[int] | Iterator[int]:
        return Batches(range(count), lambda i: i) if lazy else iter(range(count))

    parts = [list(shares(batches(), rank, world)) for rank in range(world)]
    assert len({len(p) for p in parts}) == 1
    assert sorted(b for part in parts for b, counts in part if counts) == list(range(count))


def test_batches_are_made_when_they_are_read() -> None:
    read: list[int] = []

    def make(i: int) -> int:
        read.append(i)
        return 10 * i

    batches = Batches(range(6), make)
    assert len(batches) == 6 and read == []
    assert list(batches[1::2]) == [10, 30, 50] and read == [1, 3, 5]
    assert Batches("abcd", str, "xyxz")[::2].groups == ["x", "x"] and batches.groups == [""] * 6
