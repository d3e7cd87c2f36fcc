"""Methods compared over trainings: closed forms, scipy as the oracle, and the rates of simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from intona.evaluation.trainings import bootstrap, compare_trainings, mixed_test, permutation, smallest_p


def additive(rng: np.random.Generator, means: np.ndarray, items: np.ndarray) -> np.ndarray:
    return means[:, None] + items[None]


def test_without_interaction_it_is_the_t_test_over_trainings() -> None:
    rng = np.random.default_rng(0)
    x, y, items = rng.normal(size=4), rng.normal(size=3), rng.normal(size=30)
    a, b = additive(rng, x, items), additive(rng, y, items)
    oracle = stats.ttest_ind(x, y, equal_var=False)
    tested = mixed_test(a, b)
    assert tested.p == pytest.approx(oracle.pvalue) and tested.df == pytest.approx(oracle.df)
    low, high = oracle.confidence_interval(0.95)
    assert (tested.low, tested.high) == (pytest.approx(low), pytest.approx(high))
    assert mixed_test(a[:3], b, paired=True).p == pytest.approx(stats.ttest_rel(x[:3], y).pvalue)


def test_with_equal_trainings_it_is_the_paired_t_test_over_items() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=25), rng.normal(size=25)
    tested = mixed_test(np.tile(x, (3, 1)), np.tile(y, (3, 1)))
    assert tested.p == pytest.approx(stats.ttest_rel(x, y).pvalue) and tested.df == pytest.approx(24)


def test_it_is_clarks_min_f() -> None:
    """1 / min F' = 1 / F(trainings) + 1 / F(items), which needs no variance components."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.4, 1, (3, 12)), rng.normal(0, 1, (3, 12))
    f_trainings = stats.ttest_ind(a.mean(1), b.mean(1), equal_var=False).statistic ** 2
    f_items = stats.ttest_rel(a.mean(0), b.mean(0)).statistic ** 2
    tested = mixed_test(a, b)
    least = 1 / (1 / f_trainings + 1 / f_items)
    assert tested.p == pytest.approx(2 * stats.t.sf(least**0.5, tested.df))


def test_the_permutation_is_exact() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=4), rng.normal(1, 1, 4)

    def difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    oracle = stats.permutation_test((x, y), difference, n_resamples=np.inf)
    assert permutation(x, y) == pytest.approx(oracle.pvalue)
    pairs = stats.permutation_test((x, y), difference, permutation_type="samples", n_resamples=np.inf)
    assert permutation(x, y, paired=True) == pytest.approx(pairs.pvalue)


@pytest.mark.parametrize(("k", "unpaired", "paired"), [(2, 1 / 3, 0.5), (3, 0.1, 0.25), (4, 2 / 70, 0.125)])
def test_few_trainings_have_a_smallest_p(k: int, unpaired: float, paired: float) -> None:
    x, y = np.arange(k) + 100.0, np.arange(k) * 1.0
    assert permutation(x, y) == pytest.approx(unpaired) == smallest_p(k, k)
    assert permutation(x, y, paired=True) == pytest.approx(paired) == smallest_p(k, k, paired=True)


def test_figures_are_ratios_of_sums_and_items_are_shared() -> None:
    words = {"x": 4.0, "y": 16.0}
    arm = {s: {i: (1.0 + s, w) for i, w in words.items()} for s in range(3)}
    other = {s: {i: (w / 2, w) for i, w in words.items()} | {"z": (1.0, 1.0)} for s in range(3)}
    over = compare_trainings(arm, other)
    assert over is not None and over.difference == pytest.approx(0.2 - 0.5)
    assert (over.items, over.left_out, over.seeds) == (2, 1, (3, 3))
    assert compare_trainings(arm, {0: {"z": (1, 1)}}) is None and compare_trainings({}, other) is None
    alone = compare_trainings({0: arm[0]}, other)
    assert alone is not None and alone.p is None and alone.low is None
    together = compare_trainings(arm, other, dict.fromkeys(words, "one speaker"))
    assert together is not None and together.p is None
    pairs = compare_trainings(arm, {s: other[0] for s in (1, 2, 7)}, paired=True)
    assert pairs is not None and pairs.seeds == (2, 2)


def test_zeros_are_no_interval_of_zero_width() -> None:
    """Not one silence in three trainings of 40 sentences does not exclude a rate of a few percent."""
    never = {s: {f"u{i}": (0.0, 1.0) for i in range(40)} for s in range(3)}
    over = compare_trainings(never, never)
    assert over is not None and over.difference == 0
    assert (over.low, over.high, over.p, over.df) == (None, None, None, None)
    constant = {s: {u: (0.1, 1.0) for u in sums} for s, sums in never.items()}
    rounding = compare_trainings(constant, {s: {u: (0.3, 3.0) for u in sums} for s, sums in never.items()})
    assert rounding is not None and rounding.p is None


def test_the_bootstrap_has_the_moments_of_its_design() -> None:
    rng = np.random.default_rng(4)
    # Without a residual, which resampling both levels counts three times.
    a, b = (rng.normal(size=(40, 1)) + rng.normal(size=60) for _ in range(2))
    low, high = bootstrap(a, b, resamples=4000)
    tested = mixed_test(a, b)
    assert high - low == pytest.approx(float(tested.high - tested.low), rel=0.15)
    same = bootstrap(a, a, paired=True, resamples=200)
    assert same == (0.0, 0.0)


def studies(rng: np.random.Generator, k: int, *, effect: float, seed_sd: float, n: int = 40) -> tuple:
    """2,000 studies of k trainings per arm and n shared items: (studies, k, n) of either arm."""
    count = 2000
    item = rng.normal(size=(count, 1, n))

    def arm(mean: float) -> np.ndarray:
        training = seed_sd * rng.normal(size=(count, k, 1))
        reaction = 0.5 * rng.normal(size=(count, 1, n))  # of an item to the method
        return mean + training + item + reaction + rng.normal(size=(count, k, n))

    return arm(effect), arm(0.0)


@pytest.mark.parametrize("k", [3, 5])
@pytest.mark.parametrize("seed_sd", [0.0, 0.1, 0.3, 1.0])
def test_false_positives_are_at_most_at_the_stated_rate(k: int, seed_sd: float) -> None:
    a, b = studies(np.random.default_rng(5), k, effect=0, seed_sd=seed_sd)
    rate = (mixed_test(a, b).p < 0.05).mean()
    assert rate < 0.065  # .05 and three standard errors of 2,000 studies
    # The published size as the truth: it is excluded no more often than in one tail of the interval.
    a, b = studies(np.random.default_rng(6), k, effect=0.4, seed_sd=seed_sd)
    tested = mixed_test(a, b)
    assert ((tested.low > -0.4) & (tested.high < 0.4)).mean() < 0.036


def test_an_effect_is_detected_and_none_is_excluded() -> None:
    a, b = studies(np.random.default_rng(7), 3, effect=1.0, seed_sd=0.2)
    assert (mixed_test(a, b).p < 0.05).mean() > 0.85
    a, b = studies(np.random.default_rng(8), 3, effect=0.0, seed_sd=0.1)
    tested = mixed_test(a, b)
    assert ((tested.low > -1) & (tested.high < 1)).mean() > 0.85


def test_sentences_of_two_trainings_decide_wrongly() -> None:
    """The earlier rule: two seeds that agree in sign, and p < .05 over sentences."""
    a, b = studies(np.random.default_rng(9), 2, effect=0, seed_sd=0.3)
    over_items = stats.ttest_1samp((a - b).mean(1), 0, axis=1).pvalue
    agree = np.abs(np.sign((a - b).mean(2)).sum(1)) == 2
    assert ((over_items < 0.05) & agree).mean() > 0.15
