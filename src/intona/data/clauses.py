"""Clauses: utterances cut at punctuation where the speaker paused, or texts cut where one may pause."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from intona.data.prepared import Item, Prepared
from intona.text import Utterance, Word
from intona.text.normalize import PUNCTUATION

PAUSE = 8  # minimum frames of a pause at a punctuation mark that separates clauses
# Frames of the pause that stay with the clause before and after it, as many as trimmed recordings have.
KEPT, LEAD = 6, 4
SHORTEST = 24  # minimum frames of a clause
BETWEEN = (*PUNCTUATION, " ")


def gaps(phonemes: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Where a text may be cut, but not at its start or end.

    Yields (end of the symbols before, the last of which is a mark; start of the symbols after; first symbol
    of the gap).
    """
    i, n = 0, len(phonemes)
    while i < n:
        j = i
        while j < n and phonemes[j] in BETWEEN:
            j += 1
        marks = [k for k in range(i, j) if phonemes[k] in PUNCTUATION]
        if marks and i and j < n:
            yield marks[-1] + 1, j, i
        i = max(j, i + 1)


def part(words: Sequence[Word], start: int, end: int) -> tuple[Word, ...]:
    """The words within the symbols start:end, with positions relative to `start`."""
    inside = (w for w in words if start <= w.start and w.end <= end)
    return tuple(Word(w.text, w.start - start, w.end - start) for w in inside)


def clauses_of(item: Item, durations: np.ndarray) -> list[Item]:
    """The clauses of an aligned utterance, which share its mel rows; [] if it is a single clause."""
    ends = np.cumsum(durations)
    pieces: list[tuple[int, int, int, int]] = []  # symbols and frames
    start, first = 0, 0
    for end, after, gap in gaps(item.phonemes):
        begins, over = int(ends[gap - 1]), int(ends[after - 1])
        last = begins + min(KEPT, over - begins - LEAD)
        if over - begins >= PAUSE and last - first >= SHORTEST and item.n_frames - over >= SHORTEST:
            pieces.append((start, end, first, last))
            start, first = after, over - LEAD
    if not pieces:
        return []
    pieces.append((start, len(item.phonemes), first, item.n_frames))
    return [_item(item, number, *piece) for number, piece in enumerate(pieces)]


def cut(prepared: Prepared, items: Iterable[Item]) -> list[Item]:
    """The clauses of all aligned utterances of `items`; an utterance of a single clause stays whole."""
    return [c for i in items if (d := prepared.durations(i)) is not None for c in clauses_of(i, d) or [i]]


def pauses(items: Sequence[Item], durations: Sequence[np.ndarray]) -> dict[str, float]:
    """Mean number of frames left out between clauses, for each mark."""
    left: dict[str, list[int]] = {}
    for item, d in zip(items, durations, strict=True):
        for end, after, gap in gaps(item.phonemes):
            if (pause := int(d[gap:after].sum())) >= PAUSE:
                left.setdefault(item.phonemes[end - 1], []).append(max(0, pause - KEPT - LEAD))
    return {mark: float(np.mean(values)) for mark, values in sorted(left.items())}


def split(utterance: Utterance, *, least: int, most: int) -> list[Utterance]:
    """Split a text of more than `most` symbols at marks, into clauses of at least `least` symbols."""
    n = len(utterance.phonemes)
    if n <= most:
        return [utterance]
    places, start = [0], 0
    ends: list[int] = []
    for end, after, _ in gaps(utterance.phonemes):
        if end - start >= least and n - after >= least:
            ends.append(end)
            places.append(after)
            start = after
    if not ends:
        return [utterance]
    return [_utterance(utterance, a, b) for a, b in zip(places, [*ends, n], strict=True)]


def _utterance(whole: Utterance, start: int, end: int) -> Utterance:
    words = part(whole.words, start, end)
    text = " ".join(w.text for w in words)
    return Utterance(text=text, normalized=text, phonemes=whole.phonemes[start:end], words=words)


def _item(item: Item, number: int, start: int, end: int, first: int, last: int) -> Item:
    words = part(item.words, start, end)
    text = " ".join(w.text for w in words)
    return dataclasses.replace(
        item,
        id=f"{item.id}#{number}",
        text=text,
        normalized=text,
        phonemes=item.phonemes[start:end],
        words=words,
        n_frames=last - first,
        offset=item.offset + first,
        seconds=item.seconds * (last - first) / item.n_frames,
    )
