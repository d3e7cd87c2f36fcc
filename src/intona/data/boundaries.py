"""Errors of durations at word boundaries, measured against the phone labels of the corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from intona.data.correspondence import learn_correspondence
from intona.data.prepared import Item, Prepared
from intona.data.transfer import Label, spans, tidy
from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class BoundaryErrors:
    """Distances of word boundaries to the labels, in milliseconds, over `n` boundaries."""

    n: int
    median_ms: float
    p90_ms: float
    mean_ms: float
    within_20_ms: float

    def line(self) -> str:
        return (
            f"word edges against the labels: median {self.median_ms:.1f} ms, 90 % {self.p90_ms:.1f} ms, "
            f"mean {self.mean_ms:.1f} ms, {self.within_20_ms:.0%} within 20 ms, N = {self.n}"
        )


def judge_of(prepared: Prepared) -> Callable[[Mapping[str, np.ndarray]], BoundaryErrors] | None:
    """A function from durations to `BoundaryErrors` against the phone labels; None without labels."""
    labels = {i.id: tidy(stored) for i in prepared if (stored := prepared.labels(i))}
    if not labels:
        return None
    edges = word_edges({i.id: i for i in prepared}, labels)
    rate = prepared.spec.sample_rate / prepared.spec.hop_length
    return lambda durations: boundary_errors(durations, edges, frames_per_second=rate)


def word_edges(
    items: Mapping[str, Item], labels: Mapping[str, Sequence[Label]]
) -> dict[str, dict[int, float]]:
    """Id -> {symbol index: seconds}: where words start and end according to the labels.

    Index k is the boundary before symbol k. The start and end of the utterance are left out, and so are
    boundaries at a phone without a label, about which the labels say nothing.
    """
    ids = [k for k in labels if k in items]
    pairs = [(items[k].phonemes, [x[2] for x in labels[k]]) for k in ids]
    c = learn_correspondence(pairs)
    out: dict[str, dict[int, float]] = {}
    for k, pair, matched in zip(ids, pairs, c.align(pairs), strict=True):
        bounds, labelled = spans(pair[0], labels[k], matched, c), {i for i, _ in matched}
        words = items[k].words
        starts = [w.start for w in words[1:] if w.start in labelled]
        ends = [w.end for w in words[:-1] if w.end - 1 in labelled]
        out[k] = {e: float(bounds[e]) for e in (*starts, *ends)}
    return out


def boundary_errors(
    durations: Mapping[str, np.ndarray],
    edges: Mapping[str, Mapping[int, float]],
    *,
    frames_per_second: float,
) -> BoundaryErrors:
    """Compare durations (frames per symbol) with `word_edges` (seconds) in all utterances that have both.

    Raises:
        UserError: no utterance has both.
    """
    errors = []
    for k, reference in edges.items():
        if k in durations:
            ends = np.concatenate([[0], np.cumsum(durations[k])]) / frames_per_second
            errors += [abs(ends[i] - t) for i, t in reference.items()]
    if not errors:
        raise UserError("no word edge to compare", hint="the labels and the durations share no utterance")
    ms = 1000 * np.array(errors)
    return BoundaryErrors(
        n=len(ms),
        median_ms=float(np.median(ms)),
        p90_ms=float(np.quantile(ms, 0.9)),
        mean_ms=float(ms.mean()),
        within_20_ms=float((ms <= 20).mean()),
    )
