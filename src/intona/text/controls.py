"""Controls of single words, and texts that mark words with them: `Через *пять* минут.`

A word, or a few words, between asterisks are emphasised. An opening asterisk stands at the beginning of a
word and after a space or an opening sign; a closing one stands at the end of a word and before a space, a
sign or the end. So `2*3`, `2 * 3`, `* item`, `**bold**`, `word*` and `S*T*A*R` are read as they always were.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Emphasis = Literal["", "moderate", "strong", "reduced"]

LONGEST_MARK = 60  # characters between two asterisks
_MARK = re.compile(
    r"(?<![^\s(\[{«„“\"'‘—–-])\*(?=[^\W_]|[+№$€£] ?\w|\[\[)"
    rf"([^*\n]{{0,{LONGEST_MARK - 1}}}(?:[^\W_]|[\u0300-\u036f%]|\]\]))"
    r"\*(?![^\s.,!?…:;)\]}»”“\"'’—–-])"
)


@dataclass(frozen=True, kw_only=True)
class WordControl:
    """How one word is spoken, relative to how the voice would speak it.

    Args:
        rate: factor on the speaking rate; 2 is twice as fast.
        pitch: semitones. range: factor on how far the pitch moves. energy: dB.
        emphasis: a level of emphasis, "" for none.
        pause: seconds of silence after the word; None: as the voice has it.
        before: seconds of silence before it; only of the first word of a text.
    """

    rate: float = 1.0
    pitch: float = 0.0
    range: float = 1.0
    energy: float = 0.0
    emphasis: Emphasis = ""
    pause: float | None = None
    before: float = 0.0

    def within(self, outer: WordControl) -> WordControl:
        """This control inside another: factors multiply, semitones and dB add, the inner emphasis counts."""
        return WordControl(
            rate=self.rate * outer.rate,
            pitch=self.pitch + outer.pitch,
            range=self.range * outer.range,
            energy=self.energy + outer.energy,
            emphasis=self.emphasis or outer.emphasis,
        )


NEUTRAL = WordControl()


@dataclass(frozen=True, kw_only=True)
class Span:
    """A control and the half-open range of the text that it is for. `nucleus`: its last word bears it."""

    start: int
    end: int
    control: WordControl
    nucleus: bool = False


@dataclass(frozen=True, kw_only=True)
class TextPoint:
    """A pause of `pause` seconds, or a named mark, at a place in a text."""

    at: int
    pause: float | None = None
    mark: str = ""


@dataclass(frozen=True, kw_only=True)
class PlacedMark:
    """A named mark before word `word` of an utterance; after all of them if there is no such word.

    Args:
        early: it stands before the pause that follows the word before.
    """

    name: str
    word: int
    early: bool = False


@dataclass(frozen=True, kw_only=True)
class MarkedText:
    """A text without its marks, and what they are for.

    Args:
        spans: in order of their start, outer before inner ones.
        points: in order.
    """

    text: str
    spans: tuple[Span, ...] = ()
    points: tuple[TextPoint, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any marks."""
        return bool(self.spans or self.points)

    def part(self, start: int, end: int) -> MarkedText:
        """What stands in a range, with its marks.

        A point at the start of the range belongs to what is before it, unless nothing is. The nucleus of a
        span that goes on behind the range is there.
        """
        spans = [
            Span(
                start=max(s.start, start) - start,
                end=min(s.end, end) - start,
                control=s.control,
                nucleus=s.nucleus and s.end <= end,
            )
            for s in self.spans
            if s.start < end and s.end > start
        ]
        points = [
            TextPoint(at=p.at - start, pause=p.pause, mark=p.mark)
            for p in self.points
            if start < p.at <= end or (p.at == start == 0)
        ]
        return MarkedText(text=self.text[start:end], spans=tuple(spans), points=tuple(points))

    def cuts(self) -> list[int]:
        """The places where a span starts or ends, and those of the points, in order."""
        places = {p.at for p in self.points}
        places.update(place for s in self.spans for place in (s.start, s.end))
        return sorted(places)

    @cached_property
    def stretches(self) -> tuple[list[int], list[WordControl]]:
        """Where the control changes, in order and beginning with 0, and the control from there on."""
        starts, controls = [0], [NEUTRAL]
        opened: list[Span] = []
        spans = list(self.spans)[::-1]
        for place in sorted({place for s in self.spans for place in (s.start, s.end)}):
            opened = [s for s in opened if s.end > place]
            while spans and spans[-1].start <= place:
                opened.append(spans.pop())
            control = NEUTRAL
            for span in opened:
                control = span.control.within(control)
            starts.append(place)
            controls.append(control)
        return starts, controls

    def control_at(self, place: int) -> WordControl:
        """The control of the character at a place."""
        starts, controls = self.stretches
        return controls[bisect_right(starts, place) - 1]

    def controls_in(self, start: int, end: int) -> set[WordControl]:
        """The controls of all that stands in a range, white space aside."""
        starts, controls = self.stretches
        out = set()
        for k in range(bisect_right(starts, start) - 1, len(starts)):
            if starts[k] >= end:
                break
            following = starts[k + 1] if k + 1 < len(starts) else end
            if self.text[max(start, starts[k]) : min(end, following)].strip():
                out.add(controls[k])
        return out


def read_marks(text: str) -> MarkedText:
    """A text with `*…*` as text and spans. All other asterisks stay."""
    if text.count("*") < 2:
        return MarkedText(text=text)
    parts: list[str] = []
    spans: list[Span] = []
    at = length = 0
    for m in _MARK.finditer(text):
        if _is_arithmetic(text[: m.start()], m[1], text[m.end() :]):
            continue
        parts += [text[at : m.start()], m[1]]
        length += m.start() - at
        spans.append(
            Span(
                start=length,
                end=length + len(m[1]),
                control=WordControl(emphasis="moderate"),
                nucleus=True,
            )
        )
        length += len(m[1])
        at = m.end()
    return MarkedText(text="".join(parts) + text[at:], spans=tuple(spans))


def _is_arithmetic(before: str, content: str, after: str) -> bool:
    """`2 *3* 4` multiplies."""
    before, after = before.rstrip()[-1:], after.lstrip()[:1]
    return (before.isdigit() and content[0].isdigit()) or (content[-1].isdigit() and after.isdigit())
