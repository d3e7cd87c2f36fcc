"""Shares against scipy, closed forms, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from intona.evaluation.shares import paired_shares, share_interval, wilson
from intona.evaluation.stats import paired_difference


def ones(count: int, n: int) -> list[float]:
    return [1.0] * count + [0.0] * (n - count)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_scipys(counts: tuple[int, int]) -> None:
    count, n = counts
    theirs = stats.binomtest(count, n).proportion_ci(0.95, method="wilson")
    ours = share_interval(ones(count, n))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert ours.estimate == count / n and ours.n == ours.clusters == n
    assert ours.low <= ours.estimate <= ours.high  # type: ignore[operator]


def test_no_failure_in_six_is_not_none() -> None:
    result = share_interval([0.0] * 6)
    assert result.low == 0.0 and result.high == pytest.approx(0.3903, abs=1e-4)
    assert share_interval([1.0] * 6).low == pytest.approx(1 - 0.3903, abs=1e-4)


def test_clusters_that_agree_count_as_one_each() -> None:
    """Ten speakers, twenty utterances each, all of a speaker alike: as wide as of ten draws."""
    speaker = np.repeat(np.arange(10), 20)
    values = np.repeat([1.0, 0.0], 100)
    result = share_interval(values.tolist(), speaker.tolist())
    assert result.clusters == 10
    expected = wilson(0.5, 9.0)  # n - 1 = 9 clusters, as in any variance of ten
    assert (result.low, result.high) == pytest.approx(expected)
    # Each by itself, and clusters that are as different inside as outside, change nothing.
    plain = share_interval(values.tolist())
    assert share_interval(values.tolist(), list(range(200))) == plain
    mixed = share_interval(values.tolist(), (np.arange(200) % 20).tolist())
    assert (mixed.low, mixed.high) == (plain.low, plain.high)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5])
@pytest.mark.parametrize("n", [12, 60])
def test_coverage_is_exact_over_all_outcomes(share: float, n: int) -> None:
    """The mean coverage near a share is the promised one (Brown, Cai & DasGupta 2001)."""
    shares = np.linspace(max(0.0, share - 0.015), share + 0.015, 31)
    covered = []
    for p in shares:
        inside = [wilson(k / n, n)[0] <= p <= wilson(k / n, n)[1] for k in range(n + 1)]
        covered.append(stats.binom.pmf(np.arange(n + 1), n, p)[inside].sum())
    assert 0.92 <= np.mean(covered) <= 0.99


def test_uncorrelated_pairs_are_newcombes_square_and_add() -> None:
    """With no correlation the interval is that of two independent shares (Newcombe 1998b, method 10)."""
    result = paired_shares([1.0, 1.0, 0.0, 0.0] * 5, [1.0, 0.0, 1.0, 0.0] * 5, resamples=200)
    low, high = wilson(0.5, 20)
    reach = ((0.5 - low) ** 2 + (high - 0.5) ** 2) ** 0.5
    assert (result.difference, result.low, result.high) == pytest.approx((0.0, -reach, reach))


def test_a_pair_by_hand() -> None:
    """36 both, 12 only the first, 2 only the second, 0 neither: worked out by hand from the paper's formula.

    Wilson: 48 of 50 [.8654, .9890], 38 of 50 [.6259, .8570]. ad - bc = -24 < 0, so phi = -24 / sqrt(48 x 2 x
    38 x 12) = -.11471, and d = .2: low = .2 - sqrt(.0946² + 2 x .11471 x .0946 x .0970 + .0970²).
    """
    first = ones(48, 50)
    second = [*ones(36, 48), 1.0, 1.0]
    result = paired_shares(first, second, resamples=200)
    assert result.difference == pytest.approx(0.2)
    assert (result.low, result.high) == pytest.approx((0.0569, 0.3404), abs=2e-4)


def test_two_systems_without_failures_are_not_told_to_be_equal() -> None:
    result = paired_shares([0.0] * 6, [0.0] * 6)
    assert result.p == 1.0 and (result.low, result.high) == pytest.approx((-0.3903, 0.3903), abs=1e-4)


def test_pairs_that_agree_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    a = (rng.random(80) < 0.4).astype(float)
    other = rng.permutation(a)
    near = a.copy()
    near[:4] = 1 - near[:4]
    tight, wide = paired_shares(a.tolist(), near.tolist()), paired_shares(a.tolist(), other.tolist())
    assert tight.high - tight.low < 0.6 * (wide.high - wide.low)  # type: ignore[operator]
    assert tight.p == paired_difference((a.tolist(), None), (near.tolist(), None)).p


def test_paired_coverage() -> None:
    rng, hits = np.random.default_rng(1), 0
    grid = (np.arange(1000) + 0.5) / 1000
    truth = 0.3 - float(np.mean(0.7 * grid[:, None] + 0.3 * grid < 0.3))
    for _ in range(400):
        shared = rng.random(50)
        a, b = (shared < 0.3).astype(float), (0.7 * shared + 0.3 * rng.random(50) < 0.3).astype(float)
        result = paired_shares(a.tolist(), b.tolist(), resamples=2)
        hits += result.low <= truth <= result.high  # type: ignore[operator]
    assert hits / 400 >= 0.92


@pytest.mark.parametrize("bad", [[], [0.5], [float("nan")], [2.0]])
def test_what_is_no_share_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="zeros and ones"):
        share_interval(bad)
