"""Intervals of shares: failure rates, votes, hits, and whatever else is 0 or 1 per utterance.

A bootstrap of zeros is [0, 0] however many there are. Wilson's score interval (1927) takes N into account:
0 of 6 gives [0, .39]. If utterances come in clusters, N is divided by the design effect, the
variance of the clustered mean over that of N independent draws, but not by less than 1 (Korn & Graubard
1998, Survey Methodology 24:193).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np

from intona.evaluation.stats import RESAMPLES, Interval, Paired, paired_difference


def wilson(share: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a share of `n` draws; `n` need not be an integer."""
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = (z2 * (share * (1 - share) / n + z2 / (4 * n * n))) ** 0.5 / (1 + z2 / n)
    # At the ends, rounding must not exclude the share itself.
    return (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)


def share_interval(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None, *, level: float = 0.95
) -> Interval:
    """Share of ones with its interval.

    Args:
        values: (n,) zeros and ones. clusters: (n,) labels, such as speakers; None = each value is a cluster.
    """
    x = _ones(values)
    share = float(x.mean())
    size, k = _effective(x, clusters)
    low, high = wilson(share, size, level=level)
    return Interval(estimate=share, low=low, high=high, n=len(x), clusters=k)


def paired_shares(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> Paired:
    """a - b on the same utterances: Newcombe's score interval for paired shares, and the permutation p of
    `paired_difference`.

    Method 10 of Newcombe 1998 (Statistics in Medicine 17:2635): the half-widths of the two score intervals,
    combined as square roots of sums of squares, reduced by the correlation of the pairs.
    """
    x, y = _ones(a), _ones(b)
    tested = paired_difference((a, None), (b, None), clusters, resamples=resamples, seed=seed, level=level)
    p, q = float(x.mean()), float(y.mean())
    (p_low, p_high), (q_low, q_high) = (
        wilson(float(v.mean()), _effective(v, clusters)[0], level=level) for v in (x, y)
    )
    phi = _correlation(x, y)

    def reach(up: float, down: float) -> float:
        return max(0.0, up * up - 2 * phi * up * down + down * down) ** 0.5

    low, high = p - q - reach(p - p_low, q_high - q), p - q + reach(p_high - p, q - q_low)
    return dataclasses.replace(tested, low=max(-1.0, low), high=min(1.0, high))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Phi coefficient, corrected for continuity if positive; 0 if one side is constant."""
    n, both, neither = len(x), float((x * y).sum()), float(((1 - x) * (1 - y)).sum())
    only_x, only_y = float((x * (1 - y)).sum()), float(((1 - x) * y).sum())
    products = (both + only_x) * (only_y + neither) * (both + only_y) * (only_x + neither)
    if products == 0:
        return 0.0
    top = both * neither - only_x * only_y
    return (max(top - n / 2, 0.0) if top > 0 else top) / products**0.5


def _ones(values: Sequence[float]) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if not len(x) or not np.isin(x, (0.0, 1.0)).all():
        raise ValueError("a share is over zeros and ones, at least one value")
    return x


def _effective(x: np.ndarray, clusters: Sequence[Hashable] | None) -> tuple[float, int]:
    """N over the design effect, and the number of clusters."""
    n, share = len(x), float(x.mean())
    if clusters is None:
        return float(n), n
    names: dict[Hashable, int] = {}
    index = np.array([names.setdefault(c, len(names)) for c in clusters])
    k, independent = len(names), share * (1 - share) / n
    if k in (1, n) or independent == 0:
        return float(n), k
    sums = np.bincount(index, weights=x - share, minlength=k)
    clustered = k / (k - 1) * float((sums**2).sum()) / n**2
    return n / max(1.0, clustered / independent), k
