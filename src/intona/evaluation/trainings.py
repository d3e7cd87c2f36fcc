"""Two methods compared over trainings: seeds are the unit of analysis, items are crossed with them.

A method is a distribution of models, of which each training is one draw. All trainings speak (or are asked)
the same items, which are a sample too. With arm a, training s and item i the model is

    y[a, s, i] = mean[a] + training[a, s] + item[i] + (arm x item)[a, i] + residual[a, s, i].

`mixed_test` takes the variance of the difference between two arms by moments: the variance over trainings
plus the variance over items (Clark 1973, min F'), which counts the residual twice and so errs on the safe
side. The degrees of freedom are Satterthwaite's, so that three trainings count as three. This test decides.

`permutation` is exact and needs no normal distribution, but has few relabelings: the smallest two-sided p is
.1 for 3 against 3 trainings, .029 for 4 against 4, .008 for 5 against 5; for pairs, whose labels are swapped
within each, .25 for 3, .063 for 5 and .031 for 6.

`bootstrap` resamples trainings, then items. Of few trainings it is too narrow (the variance of k draws is
too small by (k - 1) / k, and there is no t to make up for it), so it is shown and decides nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from intona.evaluation.stats import RESAMPLES

Sums = Mapping[str, tuple[float, float]]  # item -> its part of the numerator and of the denominator
MOST = 200_000  # relabelings; more are drawn at random


@dataclass(frozen=True, kw_only=True)
class TrainingDifference:
    """arm - other over trainings.

    Args:
        low, high, p, df: of the mixed model; None with one training in either arm, or where nothing varies
            over trainings and items: as many zeros as one likes are no interval of zero width.
        bootstrap: the two-level percentile interval.
        p_seeds: of the exact permutation over trainings, and `least`, the smallest that is possible.
        seeds: trainings of each arm. items: those that all trainings have; left_out: that only some have.
        clusters: groups of items that are resampled as wholes, such as speakers.
        paired: trainings of one seed were compared with each other.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    df: float | None
    bootstrap: tuple[float, float] | None
    p_seeds: float | None
    least: float | None
    seeds: tuple[int, int]
    items: int
    left_out: int
    clusters: int
    paired: bool


def compare_trainings(
    arm: Mapping[int, Sums],
    other: Mapping[int, Sums],
    clusters: Mapping[str, Hashable] | None = None,
    *,
    paired: bool = False,
    level: float = 0.95,
) -> TrainingDifference | None:
    """The difference of two methods from all their trainings; None if no item is in all of them.

    Args:
        arm: seed -> sums of each item; `other` likewise.
        clusters: item -> what it belongs to, such as its speaker; None = the item itself.
        paired: compare trainings of equal seed with each other, and use no others. Right where one arm
            continues the training of the other; elsewhere a seed is only a name.
    """
    if paired:
        both = arm.keys() & other.keys()
        arm, other = ({s: side[s] for s in sorted(both)} for side in (arm, other))
    if not arm or not other:
        return None
    trainings = [*arm.values(), *other.values()]
    every = dict.fromkeys(i for t in trainings for i in t)
    items = [i for i in every if all(i in t for t in trainings)]
    if not items:
        return None
    names: dict[Hashable, int] = {}
    groups = np.array([names.setdefault(i if clusters is None else clusters[i], len(names)) for i in items])
    a, b = (np.stack([_values(t, items, groups, len(names)) for t in side.values()]) for side in (arm, other))
    low = high = p = df = p_seeds = least = interval = None
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) > 1 and len(names) > 1:
        tested = mixed_test(a, b, paired=paired, level=level)
        if np.isfinite(tested.p):
            low, high, p, df = (float(x) for x in (tested.low, tested.high, tested.p, tested.df))
        interval = bootstrap(a, b, paired=paired, level=level)
        p_seeds, least = (
            float(permutation(a.mean(1), b.mean(1), paired=paired)),
            smallest_p(len(a), len(b), paired=paired),
        )
    return TrainingDifference(
        difference=difference,
        low=low,
        high=high,
        p=p,
        df=df,
        bootstrap=interval,
        p_seeds=p_seeds,
        least=least,
        seeds=(len(a), len(b)),
        items=len(items),
        left_out=len(every) - len(items),
        clusters=len(names),
        paired=paired,
    )


def _values(sums: Sums, items: list[str], groups: np.ndarray, n: int) -> np.ndarray:
    """(n,) values of a training's clusters whose mean is its ratio of sums (the ratio, linearized)."""
    numerator, denominator = (
        np.bincount(groups, weights=[sums[i][k] for i in items], minlength=n) for k in (0, 1)
    )
    ratio = numerator.sum() / denominator.sum()
    return ratio + (numerator - ratio * denominator) / denominator.mean()


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Results of `mixed_test`, each of the shape of its leading dimensions."""

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    df: np.ndarray


def mixed_test(a: np.ndarray, b: np.ndarray, *, paired: bool = False, level: float = 0.95) -> Tested:
    """Difference of means with interval and two-sided p, for trainings and items crossed (min F').

    Where nothing varies, all but the difference are NaN.

    Args:
        a, b: (..., trainings, items), of the same items; with `paired` also of the same seeds.
    """
    from scipy import stats

    difference = a.mean((-1, -2)) - b.mean((-1, -2))
    by_training = [x.mean(-1) for x in (a, b)]
    if paired:
        k = a.shape[-2]
        parts = [((by_training[0] - by_training[1]).var(-1, ddof=1) / k, k - 1)]
    else:
        parts = [(x.var(-1, ddof=1) / x.shape[-1], x.shape[-1] - 1) for x in by_training]
    n = a.shape[-1]
    parts.append(((a.mean(-2) - b.mean(-2)).var(-1, ddof=1) / n, n - 1))
    variance = np.sum([v for v, _ in parts], axis=0)
    scale = np.maximum(np.abs(a).max((-1, -2)), np.abs(b).max((-1, -2)))
    variance = np.where(variance > (1e-12 * scale) ** 2, variance, np.nan)  # less is rounding
    with np.errstate(invalid="ignore"):
        shares = [v / variance for v, _ in parts]
        df = 1 / np.sum([s**2 / f for s, (_, f) in zip(shares, parts, strict=True)], axis=0)
    error = np.sqrt(variance)
    t = np.abs(difference) / error
    half = stats.t.ppf((1 + level) / 2, df) * error
    return Tested(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p=2 * stats.t.sf(t, df),
        df=df,
    )


def permutation(a: np.ndarray, b: np.ndarray, *, paired: bool = False, seed: int = 0) -> np.ndarray:
    """Two-sided p of the difference of means over all relabelings of trainings.

    Args:
        a, b: (..., trainings) their means over items. `paired`: only labels within a pair are exchanged.
    """
    signs = _relabelings(a.shape[-1], b.shape[-1], paired=paired, seed=seed)
    if paired:
        drawn = (a - b) @ signs.T / a.shape[-1]
        observed = (a - b).mean(-1)
    else:
        drawn = np.concatenate([a, b], axis=-1) @ signs.T
        observed = a.mean(-1) - b.mean(-1)
    bar = np.abs(observed)[..., None] * (1 - 1e-9) - 1e-15
    return (np.abs(drawn) >= bar).mean(-1)


def _relabelings(ka: int, kb: int, *, paired: bool, seed: int) -> np.ndarray:
    """(R, trainings) weights of each relabeling; the first is the observed one."""
    rng = np.random.default_rng(seed)
    if paired:
        if 2**ka <= MOST:
            return 1.0 - 2.0 * ((np.arange(2**ka)[:, None] >> np.arange(ka)) & 1)
        return np.concatenate([np.ones((1, ka)), rng.choice([-1.0, 1.0], (MOST - 1, ka))])
    if math.comb(ka + kb, ka) <= MOST:
        chosen = list(itertools.combinations(range(ka + kb), ka))
    else:
        chosen = [range(ka), *(rng.permutation(ka + kb)[:ka] for _ in range(MOST // 10))]
    weights = np.full((len(chosen), ka + kb), -1 / kb)
    for row, members in zip(weights, chosen, strict=True):
        row[list(members)] = 1 / ka
    return weights


def smallest_p(ka: int, kb: int, *, paired: bool = False) -> float:
    """The smallest two-sided p that the permutation can have with so many trainings."""
    if paired:
        return 2 / 2**ka
    return (2 if ka == kb else 1) / math.comb(ka + kb, ka)


def bootstrap(
    a: np.ndarray,
    b: np.ndarray,
    *,
    paired: bool = False,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Two-level percentile interval: trainings are resampled, then items, which both arms share.

    Args:
        a, b: (trainings, items).
    """
    rng, n = np.random.default_rng(seed), a.shape[-1]
    draws = []
    for start in range(0, resamples, rows := max(1, (1 << 21) // n)):
        size = min(rows, resamples - start)
        items = rng.multinomial(n, np.full(n, 1 / n), size) / n
        first = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), size) / len(a)
        second = first if paired else rng.multinomial(len(b), np.full(len(b), 1 / len(b)), size) / len(b)
        draws.append(((first @ a - second @ b) * items).sum(-1))
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
