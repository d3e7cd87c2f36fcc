"""Intervals and paired comparisons by resampling, with speakers as clusters if there are several.

Every figure of a table is a ratio of sums: corpus WER = sum(errors) / sum(words), a mean =
sum(values) / sum(1). Resampling clusters of such sums as wholes covers both (Efron & Tibshirani 1993, §8).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
_CHUNK = 1 << 22  # cells of one block of resamples; keeps memory near 32 MB


@dataclass(frozen=True, kw_only=True)
class Interval:
    """`estimate` with its percentile interval; None if there is one cluster, which cannot be resampled."""

    estimate: float
    low: float | None
    high: float | None
    n: int
    clusters: int


@dataclass(frozen=True, kw_only=True)
class Paired:
    """a - b on the same ids: difference, percentile interval, two-sided permutation p."""

    difference: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    clusters: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and deviation (n - 1) over k training seeds, with the t interval of the mean."""

    mean: float
    sd: float
    low: float
    high: float
    k: int


def spread(values: Sequence[float], *, level: float = 0.95) -> Spread:
    """Over at least two runs. Three give an interval of ± 2.48 sd: wide, because three runs are few."""
    from scipy import stats

    if len(values) < 2:
        raise ValueError("a standard deviation needs two runs")
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * sd / len(values) ** 0.5
    return Spread(mean=mean, sd=sd, low=mean - half, high=mean + half, k=len(values))


def choose_clusters(speakers: Sequence[str]) -> list[Hashable]:
    """Speakers as clusters if there are several, otherwise each utterance."""
    return list(speakers) if len(set(speakers)) > 1 else list(range(len(speakers)))


def ratio_interval(
    numerator: Sequence[float],
    denominator: Sequence[float] | None = None,
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap interval of sum(numerator) / sum(denominator); the denominator defaults to 1.

    Args:
        numerator: (n,) finite; denominator: (n,) positive; clusters: (n,) labels resampled as wholes.
    """
    (num, den), k = _cluster_sums(clusters, numerator, denominator)
    n, estimate = len(numerator), float(num.sum() / den.sum())
    if k < 2:
        return Interval(estimate=estimate, low=None, high=None, n=n, clusters=k)
    draws = np.concatenate([num[i].sum(1) / den[i].sum(1) for i in _resampled(k, resamples, seed)])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=float(low), high=float(high), n=n, clusters=k)


def paired_difference(
    a: tuple[Sequence[float], Sequence[float] | None],
    b: tuple[Sequence[float], Sequence[float] | None],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Paired:
    """Difference of two ratios of sums over the *same* utterances, with interval and permutation test.

    The test swaps the two systems within each cluster: all 2^k swaps if those are fewer than `resamples`,
    otherwise random ones with the +1 correction (Phipson & Smyth 2010).
    """
    if len(a[0]) != len(b[0]):
        raise ValueError("paired systems need the same utterances")
    (an, ad), k = _cluster_sums(clusters, *a)
    (bn, bd), _ = _cluster_sums(clusters, *b)
    n, difference = len(a[0]), float(an.sum() / ad.sum() - bn.sum() / bd.sum())
    if k < 2:
        return Paired(difference=difference, low=None, high=None, p=None, n=n, clusters=k)
    draws = np.concatenate(
        [an[i].sum(1) / ad[i].sum(1) - bn[i].sum(1) / bd[i].sum(1) for i in _resampled(k, resamples, seed)]
    )
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    exact = k < 60 and 2**k <= resamples
    total = 2**k if exact else resamples
    rng, hits, bar = np.random.default_rng(seed + 1), 0, abs(difference) * (1 - 1e-9) - 1e-12
    for start in range(0, total, max(1, _CHUNK // k)):
        size = min(max(1, _CHUNK // k), total - start)
        if exact:
            swap = (np.arange(start, start + size)[:, None] >> np.arange(k)) & 1
        else:
            swap = rng.integers(0, 2, (size, k))
        first = (an.sum() + swap @ (bn - an)) / (ad.sum() + swap @ (bd - ad))
        second = (bn.sum() + swap @ (an - bn)) / (bd.sum() + swap @ (ad - bd))
        hits += int((np.abs(first - second) >= bar).sum())
    p = hits / total if exact else (hits + 1) / (total + 1)
    return Paired(difference=difference, low=float(low), high=float(high), p=p, n=n, clusters=k)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjustment over one declared family (Holm 1979)."""
    adjusted, running = {}, 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        running = max(running, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}


def _cluster_sums(
    clusters: Sequence[Hashable] | None, numerator: Sequence[float], denominator: Sequence[float] | None
) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    num = np.asarray(numerator, dtype=np.float64)
    den = np.ones_like(num) if denominator is None else np.asarray(denominator, dtype=np.float64)
    if not len(num) or num.shape != den.shape:
        raise ValueError("as many denominators as numerators are needed, and at least one")
    if not (np.isfinite(num).all() and np.isfinite(den).all() and (den > 0).all()):
        raise ValueError("numerators must be finite and denominators positive")
    if clusters is None:
        return (num, den), len(num)
    names: dict[Hashable, int] = {}
    index = np.array([names.setdefault(c, len(names)) for c in clusters])
    sums = [np.bincount(index, weights=x, minlength=len(names)) for x in (num, den)]
    return (sums[0], sums[1]), len(names)


def _resampled(k: int, resamples: int, seed: int) -> list[np.ndarray]:
    """Index blocks of shape (*, k), `resamples` rows in total; the same seed gives the same rows."""
    rng, rows = np.random.default_rng(seed), max(1, _CHUNK // k)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    return [rng.integers(0, k, (size, k), dtype=np.int32) for size in sizes]
