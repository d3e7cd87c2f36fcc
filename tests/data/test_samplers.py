"""Duration batches: limits, completeness over ranks, exact state."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.data.samplers import DurationBatchSampler
from intona.errors import UserError

lengths = st.lists(st.integers(1, 200), min_size=1, max_size=80)


def epoch_of(sampler: DurationBatchSampler) -> list[list[int]]:
    return [next(sampler) for _ in range(sampler.steps_in_epoch())]


@settings(max_examples=150, deadline=None)
@given(lengths, st.integers(200, 900), st.integers(1, 5), st.integers(0, 9), st.booleans())
def test_ranks_divide_each_epoch(n: list[int], max_frames: int, world: int, seed: int, shuffle: bool) -> None:
    if len(n) < world:
        with pytest.raises(UserError, match=rf"{len(n)} utterances for {world} processes"):
            DurationBatchSampler(n, max_frames=max_frames, world_size=world)
        return
    ranks = [
        DurationBatchSampler(n, max_frames=max_frames, seed=seed, rank=r, world_size=world, shuffle=shuffle)
        for r in range(world)
    ]
    for _ in range(2):
        drawn = [epoch_of(s) for s in ranks]
        assert len({len(d) for d in drawn}) == 1
        batches = [b for d in drawn for b in d]
        assert all(b and len(b) * max(n[i] for i in b) <= max_frames for b in batches)
        counts = Counter(i for b in batches for i in b)
        assert set(counts) == set(range(len(n)))
        if len(batches) <= len(n):
            assert set(counts.values()) == {1}
        else:  # too few items to go round: fewer than `world` batches of one item are given twice
            assert len(batches) - len(n) < world and all(len(b) == 1 for b in batches)
        for s in ranks:  # step on to the next epoch without losing the drawn batch
            state = s.state_dict()
            next(s)
            s.load_state_dict({**state, "epoch": s.epoch, "position": 0})


@settings(max_examples=60, deadline=None)
@given(lengths, st.integers(0, 40), st.integers(0, 5))
def test_state_continues_exactly(n: list[int], drawn: int, seed: int) -> None:
    a = DurationBatchSampler(n, max_frames=400, seed=seed)
    for _ in range(drawn):
        next(a)
    b = DurationBatchSampler(n, max_frames=400, seed=seed)
    b.load_state_dict(a.state_dict())
    assert list(itertools.islice(a, 30)) == list(itertools.islice(b, 30))
    assert (a.epoch, a.position) == (b.epoch, b.position)


def test_state_of_other_data_is_refused() -> None:
    state = DurationBatchSampler([10, 20], max_frames=40, seed=1).state_dict()
    for other in (
        DurationBatchSampler([10, 21], max_frames=40, seed=1),
        DurationBatchSampler([10, 20], max_frames=41, seed=1),
        DurationBatchSampler([10, 20], max_frames=40, seed=2),
    ):
        with pytest.raises(UserError, match="changed"):
            other.load_state_dict(state)


@given(lengths, st.integers(1, 4), st.integers(1, 4), st.integers(0, 30))
def test_another_number_of_ranks_continues_at_the_same_share_of_the_epoch(
    n: list[int], before: int, after: int, drawn: int
) -> None:
    if len(n) < max(before, after):
        return
    a = DurationBatchSampler(n, max_frames=400, world_size=before)
    for _ in range(drawn):
        next(a)
    ranks = [DurationBatchSampler(n, max_frames=400, rank=r, world_size=after) for r in range(after)]
    for b in ranks:
        b.load_state_dict(a.state_dict())
        assert b.epoch == a.epoch and 0 <= a.position * before - b.position * after < after
    assert len({(b.epoch, b.position) for b in ranks for _ in [next(b)]}) == 1


def test_epochs_differ_and_seeds_differ() -> None:
    n = np.random.default_rng(0).integers(50, 400, 200)
    a, b = (DurationBatchSampler(n, max_frames=4000, seed=s) for s in (0, 1))
    assert a.plan(0) != a.plan(1) and a.plan(0) != b.plan(0) and a.plan(3) == a.plan(3)
    still = DurationBatchSampler(n, max_frames=4000, shuffle=False)
    assert still.plan(0) == still.plan(1)


def test_padding_stays_small_and_ranks_get_like_loads() -> None:
    n = np.random.default_rng(0).integers(50, 800, 1000)
    s = DurationBatchSampler(n, max_frames=8000, seed=0, world_size=2)
    plan = s.plan(0)
    padded = sum(len(b) * int(n[b].max()) for b in plan)
    assert n.sum() / padded > 0.9
    uneven = [abs(int(n[a].max()) - int(n[b].max())) for a, b in zip(plan[::2], plan[1::2], strict=True)]
    assert np.median(uneven) < 40


@given(lengths, st.integers(200, 900))
def test_longest_batch_bounds_every_batch(n: list[int], max_frames: int) -> None:
    s = DurationBatchSampler(n, max_frames=max_frames)
    worst = s.longest_batch()
    cost = len(worst) * max(n[i] for i in worst)
    assert cost <= max_frames and len(set(worst)) == len(worst)
    for epoch in range(3):
        assert all(len(b) * max(n[i] for i in b) <= cost for b in s.plan(epoch))


def test_items_that_never_fit_are_an_error() -> None:
    with pytest.raises(UserError, match="2 utterances are longer"):
        DurationBatchSampler([10, 500, 600], max_frames=400)
    with pytest.raises(UserError, match="no items to make batches of"):
        DurationBatchSampler([], max_frames=400)


def test_max_items() -> None:
    s = DurationBatchSampler([10] * 10, max_frames=1000, max_items=3)
    assert max(len(b) for b in s.plan(0)) == 3 and len(s.longest_batch()) == 3
