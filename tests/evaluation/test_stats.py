"""Intervals and tests against scipy, closed forms, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from intona.evaluation.stats import choose_clusters, holm, paired_difference, ratio_interval

RNG = np.random.default_rng(7)


def test_mean_interval_agrees_with_scipy() -> None:
    x = RNG.gamma(2.0, size=60)
    ours = ratio_interval(x, resamples=20_000)
    theirs = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert ours.estimate == pytest.approx(x.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.02 * x.std())
    assert ours.high == pytest.approx(theirs.high, abs=0.02 * x.std())


def test_ratio_interval_agrees_with_scipy() -> None:
    words = RNG.integers(3, 30, 50)
    errors = RNG.binomial(words, 0.2)

    def ratio(e: np.ndarray, w: np.ndarray, axis: int = -1) -> np.ndarray:
        return e.sum(axis) / w.sum(axis)

    theirs = stats.bootstrap(
        (errors, words), ratio, paired=True, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    ours = ratio_interval(errors, words, resamples=20_000)
    assert ours.estimate == errors.sum() / words.sum()
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_same_seed_same_interval() -> None:
    x = RNG.normal(size=30)
    assert ratio_interval(x, seed=3) == ratio_interval(x, seed=3)
    assert ratio_interval(x, seed=3).low != ratio_interval(x, seed=4).low


def test_clusters_widen_the_interval() -> None:
    """Ten speakers whose utterances agree with each other: 200 utterances are worth about ten."""
    speaker = np.repeat(np.arange(10), 20)
    x = RNG.normal(size=10)[speaker] + 0.05 * RNG.normal(size=200)
    plain, clustered = ratio_interval(x), ratio_interval(x, clusters=list(speaker))
    assert clustered.clusters == 10
    assert clustered.estimate == pytest.approx(plain.estimate)
    assert clustered.high - clustered.low > 3 * (plain.high - plain.low)  # type: ignore[operator]


def test_speakers_cluster_only_when_there_are_several() -> None:
    assert choose_clusters(["a", "b", "a"]) == ["a", "b", "a"]
    assert choose_clusters(["a", "a", "a"]) == [0, 1, 2]


def test_one_cluster_has_no_interval() -> None:
    assert (ratio_interval([1.0]).low, ratio_interval([1.0]).high) == (None, None)


def test_coverage_of_the_95_percent_interval() -> None:
    rng, hits = np.random.default_rng(0), 0
    for seed in range(200):
        interval = ratio_interval(rng.normal(size=40), resamples=500, seed=seed)
        assert interval.low is not None and interval.high is not None
        hits += interval.low <= 0.0 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_exact_permutation_agrees_with_scipy() -> None:
    a, b = RNG.normal(0.4, 1, 9), RNG.normal(size=9)

    def statistic(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return x.mean(axis) - y.mean(axis)

    theirs = stats.permutation_test((a, b), statistic, permutation_type="samples", n_resamples=np.inf)
    ours = paired_difference((list(a), None), (list(b), None))
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-12)
    assert ours.difference == pytest.approx(a.mean() - b.mean())


def test_random_permutation_agrees_with_scipy_on_ratios() -> None:
    words = RNG.integers(5, 20, 40)
    a, b = RNG.binomial(words, 0.25), RNG.binomial(words, 0.17)

    def statistic(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return (x.sum(axis) - y.sum(axis)) / words.sum()

    theirs = stats.permutation_test((a, b), statistic, permutation_type="samples", n_resamples=20_000, rng=0)
    ours = paired_difference((list(a), list(words)), (list(b), list(words)), resamples=20_000)
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.01)


def test_pairing_narrows_the_interval() -> None:
    base = RNG.normal(size=50)
    ours = paired_difference((list(base + 0.1), None), (list(base), None))
    assert ours.difference == pytest.approx(0.1)
    assert ours.high - ours.low < 1e-9  # type: ignore[operator]
    assert ours.p is not None and ours.p < 0.001


def test_no_difference_gives_p_one() -> None:
    x = list(RNG.normal(size=30))
    assert paired_difference((x, None), (x, None)).p == 1.0


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    # Sorted .01 x 3, .03 x 2, .04 x 1, each at least the one before.
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize("bad", [[float("nan")], [float("inf")], []])
def test_what_is_not_a_number_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError):
        ratio_interval(bad)
    with pytest.raises(ValueError):
        ratio_interval([1.0], [0.0])
