"""The marks of a text in its sentences: which word a control, a pause or a named mark belongs to."""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from intona.text.controls import NEUTRAL, MarkedText, PlacedMark, WordControl


class Placement:
    """Marks of a text over its sentences.

    The caller fills `words`, calls `place`, and reads the other attributes.

    Attributes:
        words: sentence -> the part of it (see `parts`) that each of its words comes from; a sentence that
            cannot be spoken is missing.
        controls: sentence -> a control per word; a sentence without any is missing.
        nuclei: sentence -> the word that bears its nucleus.
        marks: sentence -> its named marks.
    """

    def __init__(self, marked: MarkedText, sentences: Sequence[str]) -> None:
        self._marked = marked
        self._sentences = list(sentences)
        self._places = _places(marked.text, sentences)
        cuts = marked.cuts()
        self._bounds = [_bounds(row, cuts) for row in self._places]
        self.words: dict[int, list[int]] = {}
        self.controls: dict[int, list[WordControl]] = {}
        self.nuclei: dict[int, int] = {}
        self.marks: dict[int, list[PlacedMark]] = {}

    def parts(self, i: int) -> list[str]:
        """Sentence `i`, cut wherever a mark begins or ends."""
        bounds = self._bounds[i]
        return [self._sentences[i][a:b] for a, b in pairwise(bounds)]

    def place(self) -> None:
        """Find the words of all marks; a mark that no word belongs to is named in a warning."""
        starts = {i: [self._start(i, part) for part in parts] for i, parts in self.words.items()}
        controls = {i: [self._marked.control_at(s) for s in row] for i, row in starts.items()}
        self._place_spans(starts)
        self._place_points(starts, controls)
        self.controls = {i: row for i, row in controls.items() if any(c != NEUTRAL for c in row)}

    def _place_spans(self, starts: dict[int, list[int]]) -> None:
        words = [(i, k) for i in sorted(starts) for k in range(len(starts[i]))]
        places = [starts[i][k] for i, k in words]
        for span in self._marked.spans:
            first, end = bisect_left(places, span.start), bisect_left(places, span.end)
            if first < end and span.nucleus:
                sentence, word = words[end - 1]
                self.nuclei[sentence] = word
            if first == end and (text := self._marked.text[span.start : span.end].strip()):
                warnings.warn(f'marked, but no word by itself: "{text[:40]}"', stacklevel=5)

    def _place_points(self, starts: dict[int, list[int]], controls: dict[int, list[WordControl]]) -> None:
        order = [i for i in sorted(starts) if starts[i]]
        if not order:
            return
        firsts = [starts[i][0] for i in order]
        followed: tuple[int, int] | None = None  # the word behind which a pause was placed last
        for point in reversed(self._marked.points):
            at = bisect_left(firsts, point.at) - 1
            i = order[max(at, 0)]
            n = bisect_left(starts[i], point.at) if at >= 0 else 0
            if point.mark:
                mark = PlacedMark(name=point.mark, word=n, early=n > 0 and followed == (i, n))
                self.marks.setdefault(i, []).insert(0, mark)
            if point.pause is not None and n:
                followed, word = (i, n), controls[i][n - 1]
                controls[i][n - 1] = replace(word, pause=(word.pause or 0.0) + point.pause)
            elif point.pause is not None:  # at the very beginning
                controls[i][0] = replace(controls[i][0], before=controls[i][0].before + point.pause)

    def _start(self, i: int, part: int) -> int:
        """Where the first sign of a part stands in the text."""
        bounds = self._bounds[i]
        for k in range(bounds[part], bounds[part + 1]):
            if not self._sentences[i][k].isspace():
                return self._places[i][k]
        return self._places[i][bounds[part]]


def _places(text: str, sentences: Sequence[str]) -> list[list[int]]:
    """Where each character of each sentence stands in the text, of which they lack only white space.

    White space counts to what stands before it.
    """
    out: list[list[int]] = []
    at = -1
    for sentence in sentences:
        row = []
        for c in sentence:
            if not c.isspace():
                at = text.index(c, at + 1)
            row.append(max(at, 0))
        out.append(row)
    return out


def _bounds(row: list[int], cuts: Sequence[int]) -> list[int]:
    """0, the offsets of the cuts inside the sentence, and its length."""
    first, end = (bisect_left(cuts, row[0]), bisect_right(cuts, row[-1])) if row else (0, 0)
    inner = {bisect_left(row, cut) for cut in cuts[first:end]} - {0, len(row)}
    return [0, *sorted(inner), len(row)]
