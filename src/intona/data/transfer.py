"""Phone labels of a corpus (Festvox lab, MFA TextGrid) as durations of phoneme symbols in frames.

The two phone sequences differ in inventory ("rr" and "rʲ") and sometimes in length; the correspondence is
learnt from the corpus (`intona.data.correspondence`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from intona.data.correspondence import Correspondence, Pair, is_pause, learn_correspondence
from intona.data.labels import ROUNDING, is_silence
from intona.errors import UserError

__all__ = ["TransferReport", "frame_durations", "learn_correspondence", "spans", "tidy", "transfer"]

Label = tuple[float, float, str]


def fit_frames(bounds: np.ndarray, least: np.ndarray) -> np.ndarray | None:
    """Fractional boundaries (N+1,) in frames to durations (N,) int64, each at least `least` (N,).

    The end of a symbol that is too short moves later; if that exceeds the end of the audio, the boundaries
    before it move earlier. Each moves no further than needed. None if the symbols do not fit.
    """
    edges = np.rint(bounds).astype(np.int64)
    if edges[-1] - edges[0] < least.sum():
        return None
    for i, need in enumerate(least):
        edges[i + 1] = max(edges[i + 1], edges[i] + need)
    edges[-1] = np.rint(bounds[-1])
    for i in range(len(least) - 1, 0, -1):
        edges[i] = min(edges[i], edges[i + 1] - least[i])
    return np.diff(edges)


def spans(
    symbols: Sequence[str], labels: Sequence[Label], matched: Sequence[tuple[int, int]], c: Correspondence
) -> np.ndarray:
    """Boundaries (N+1,) of the symbols in seconds, from the start of the first label to the end of the last.

    A label without a symbol is added to the neighbour that matches it with higher probability. Symbols
    without a label share the label of a neighbour in equal parts, again of the more probable one. A pause
    without a label has no duration.
    """
    so, sl = {s: i for i, s in enumerate(c.symbols)}, {s: i for i, s in enumerate(c.labels)}

    def score(i: int, j: int) -> float:
        value = float(c.take[so[symbols[i]], sl[labels[j][2]]])
        # Pauses never match sounds: such a silence stays with the sound before it.
        return max(value, -50.0)

    if not matched:
        return np.linspace(labels[0][0], labels[-1][1], len(symbols) + 1)
    starts, ends = [labels[0][0]], []
    for (i, j), (i2, j2) in pairwise(matched):
        cut = _split([score(i, k) for k in range(j + 1, j2)], [score(i2, k) for k in range(j + 1, j2)])
        edge = labels[j + 1 + cut][0]
        ends.append(edge)
        starts.append(edge)
    ends.append(labels[-1][1])
    group: dict[int, list[int]] = {k: [i] for k, (i, _) in enumerate(matched)}
    stops = [(-1, -1), *matched, (len(symbols), -1)]
    for k in range(len(stops) - 1):
        (a, ja), (b, jb) = stops[k], stops[k + 1]
        between = [i for i in range(a + 1, b) if not is_pause(symbols[i])]
        left = ja >= 0 and not is_pause(symbols[a])
        right = jb >= 0 and not is_pause(symbols[b])
        if left and right:
            cut = _split([score(i, ja) for i in between], [score(i, jb) for i in between])
        else:
            cut = len(between) if left or (ja >= 0 and not right) else 0
        if ja >= 0:
            group[k - 1] += between[:cut]
        if jb >= 0:
            group[k] = between[cut:] + group[k]
    bounds = np.full(len(symbols) + 1, np.nan)
    bounds[0], bounds[-1] = labels[0][0], labels[-1][1]
    for k, members in group.items():
        members = sorted(members)
        edges = np.linspace(starts[k], ends[k], len(members) + 1)
        for e, i in enumerate(members):
            bounds[i + 1] = edges[e + 1]
    for i in range(1, len(symbols)):  # a pause without a label ends where the symbol before it ends
        if np.isnan(bounds[i]):
            bounds[i] = bounds[i - 1]
    return bounds


def _split(left: Sequence[float], right: Sequence[float]) -> int:
    """How many of a run go to the left neighbour for the highest total score; ties go left."""
    totals = [sum(left[:k]) + sum(right[k:]) for k in range(len(left) + 1)]
    return max(range(len(totals)), key=lambda k: (totals[k], k))


def tidy(labels: Iterable[Sequence]) -> list[Label]:
    """Labels without empty ones, with adjacent silences joined; a gap between two labels is a silence.

    A gap that comes from rounded times is added to the label before it.
    """
    out: list[Label] = []

    def add(start: float, end: float, symbol: str) -> None:
        if out and is_silence(symbol) and is_silence(out[-1][2]):
            out[-1] = (out[-1][0], end, out[-1][2])
        else:
            out.append((start, end, symbol))

    for start, end, symbol in labels:
        if end <= start:
            continue
        if out and start - out[-1][1] > ROUNDING:
            add(out[-1][1], float(start), "")
        elif out and start != out[-1][1]:
            out[-1] = (out[-1][0], float(start), out[-1][2])
        add(float(start), float(end), str(symbol))
    return out


def frame_durations(
    symbols: Sequence[str],
    labels: Sequence[Label],
    matched: Sequence[tuple[int, int]],
    c: Correspondence,
    *,
    n_frames: int,
    frames_per_second: float,
) -> np.ndarray | None:
    """Durations (N,) int64 with the sum `n_frames`, each sound at least 1; None if the audio is too short.

    Frame t is centred at (t + 0.5) hops, so it is before a boundary at x hops if t < round(x).
    """
    bounds = np.clip(spans(symbols, labels, matched, c) * frames_per_second, 0, n_frames)
    bounds[0], bounds[-1] = 0, n_frames
    return fit_frames(np.maximum.accumulate(bounds), np.array([0 if is_pause(s) else 1 for s in symbols]))


@dataclass(frozen=True, kw_only=True)
class TransferReport:
    """Counts of a transfer.

    matched: share of symbols of sounds that match a label.
    labels_matched: share of labels of sounds that match a symbol.
    silences_matched: share of the `silences` inside utterances that match a pause.
    unmatched: label of a sound -> (how often it matches no symbol, how often it occurs), most frequent first.
    skipped: ids without labels, or with fewer frames than symbols of sounds.
    """

    utterances: int
    skipped: tuple[str, ...]
    matched: float
    labels_matched: float
    silences_matched: float
    silences: int
    unmatched: dict[str, tuple[int, int]]
    correspondence: Correspondence


def transfer(prepared_dir: Path | str) -> TransferReport:
    """Write the durations of a prepared directory from the phone labels of its corpus.

    Raises:
        UserError: the directory holds no labels.
    """
    from intona.data.prepared import Prepared, write_durations

    prepared = Prepared.open(prepared_dir)
    items = list(prepared)
    labels = {i.id: tidy(stored) for i in items if (stored := prepared.labels(i))}
    if not labels:
        raise UserError("the corpus has no phone labels", where=prepared.root, hint="run intona align")
    durations, report = transfer_items(
        {i.id: i.phonemes for i in items},
        labels,
        {i.id: i.n_frames for i in items},
        frames_per_second=prepared.spec.sample_rate / prepared.spec.hop_length,
    )
    write_durations(prepared_dir, durations, source="labels")
    return report


def transfer_items(
    symbols: dict[str, tuple[str, ...]],
    labels: Mapping[str, Sequence[Label]],
    n_frames: dict[str, int],
    *,
    frames_per_second: float,
) -> tuple[dict[str, np.ndarray], TransferReport]:
    """`transfer` on plain values, keyed by utterance id."""
    ids = [k for k in symbols if labels.get(k) and symbols[k]]
    pairs: list[Pair] = [(symbols[k], [x[2] for x in labels[k]]) for k in ids]
    c = learn_correspondence(pairs)
    durations: dict[str, np.ndarray] = {}
    occurrences: Counter[str] = Counter()
    unmatched: Counter[str] = Counter()
    hit = np.zeros(3)
    of = np.zeros(3)
    for key, (ours, theirs), matched in zip(ids, pairs, c.align(pairs), strict=True):
        frames = frame_durations(
            ours, labels[key], matched, c, n_frames=n_frames[key], frames_per_second=frames_per_second
        )
        if frames is not None:
            durations[key] = frames
        sounding = sum(not is_pause(ours[i]) for i, _ in matched)
        inner = {j for j, s in enumerate(theirs) if is_silence(s) and 0 < j < len(theirs) - 1}
        used = {j for _, j in matched}
        occurrences.update(s for s in theirs if not is_silence(s))
        unmatched.update(s for j, s in enumerate(theirs) if j not in used and not is_silence(s))
        hit += [sounding, sounding, len(inner & used)]
        of += [sum(not is_pause(s) for s in ours), sum(not is_silence(s) for s in theirs), len(inner)]
    share = hit / np.maximum(of, 1)
    return durations, TransferReport(
        utterances=len(durations),
        skipped=tuple(k for k in symbols if k not in durations),
        matched=float(share[0]),
        labels_matched=float(share[1]),
        silences_matched=float(share[2]),
        silences=int(of[2]),
        unmatched={s: (n, occurrences[s]) for s, n in unmatched.most_common()},
        correspondence=c,
    )
