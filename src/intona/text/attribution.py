"""Which part of a text each word of its reading comes from.

A number becomes several words and an abbreviation another one, in a form that depends on what stands around
it. So a text is read as a whole, as it is without any marks, and its parts are read once more by themselves:
an alignment of the two readings (Needleman and Wunsch, 1970) says which part a word belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from intona.text.symbols import plain

GAP = 0.6  # cost of a word that has no counterpart; two of them cost more than two words that differ


def parts_of_words(whole: Sequence[str], parts: Sequence[Sequence[str]]) -> list[int]:
    """The part of each word.

    Args:
        whole: words of the whole text. parts: words of each part, read by itself.

    Returns:
        indices into `parts`, which never decrease.
    """
    owners = [k for k, words in enumerate(parts) for _ in words]
    if not owners:
        return [0] * len(whole)
    read = [_folded(w) for words in parts for w in words]
    spoken = [_folded(w) for w in whole]
    cost = _costs(spoken, read)
    out: list[int | None] = [None] * len(spoken)
    i, j = len(spoken), len(read)
    while i and j:
        if cost[i][j] == cost[i - 1][j - 1] + _difference(spoken[i - 1], read[j - 1]):
            i, j = i - 1, j - 1
            out[i] = owners[j]
        elif cost[i][j] == cost[i - 1][j] + GAP:
            i -= 1
        else:
            j -= 1
    last = next((k for k in out if k is not None), 0)
    filled = []
    for k in out:
        last = last if k is None else k
        filled.append(last)
    return filled


def _costs(spoken: Sequence[str], read: Sequence[str]) -> list[list[float]]:
    """The costs of aligning the first i words of one with the first j of the other."""
    rows = [[GAP * j for j in range(len(read) + 1)]]
    for i, word in enumerate(spoken, 1):
        before, row = rows[-1], [GAP * i]
        for j, other in enumerate(read, 1):
            row.append(min(before[j - 1] + _difference(word, other), before[j] + GAP, row[-1] + GAP))
        rows.append(row)
    return rows


def _difference(a: str, b: str) -> float:
    """0 for equal words, 1 for words that begin differently."""
    return 0.0 if a == b else 1.0 - 0.9 * _common(a, b) / max(len(a), len(b))


def _common(a: str, b: str) -> int:
    """Length of the common beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))


def _folded(word: str) -> str:
    return plain(word).casefold().replace("ё", "е")
