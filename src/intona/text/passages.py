"""Passages of a marked-up text, each in one language and by one speaker, and how they are gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from intona.errors import Unspeakable
from intona.text.controls import MarkedText, Span, TextPoint, WordControl

BOUNDARY = "\n\n"  # a blank line ends a sentence


@dataclass(frozen=True, kw_only=True)
class Passage:
    """Text of one language and one speaker; None: those of the options."""

    text: MarkedText
    language: str | None = None
    speaker: str | None = None


@dataclass
class OpenControl:
    """A control that is open, and where it starts in the current passage."""

    control: WordControl
    nucleus: bool
    start: int = 0


@dataclass
class Draft:
    """A passage while it is read."""

    language: str | None
    speaker: str | None
    parts: list[str] = field(default_factory=list)
    length: int = 0
    spans: list[tuple[int, Span]] = field(default_factory=list)
    points: list[TextPoint] = field(default_factory=list)

    def append(self, text: str) -> None:
        if text != BOUNDARY and self.ends_with_space:
            text = text.lstrip()
        if text:
            self.parts.append(text)
            self.length += len(text)

    @property
    def ends_with_space(self) -> bool:
        return not self.parts or self.parts[-1][-1:].isspace()


def finished(drafts: Sequence[Draft]) -> list[Passage]:
    """The passages that have text, in order.

    Raises:
        Unspeakable: there is none.
    """
    out: list[Passage] = []
    waiting: list[TextPoint] = []  # points of passages without text go to the next one, or the last
    for draft in drafts:
        text = "".join(draft.parts)
        if not any(c.isalnum() for c in text):
            waiting += draft.points
            continue
        points = (*(TextPoint(at=0, pause=p.pause, mark=p.mark) for p in waiting), *draft.points)
        waiting = []
        spans = tuple(s for _, s in sorted(draft.spans, key=lambda item: (item[1].start, item[0])))
        marked = MarkedText(text=text, spans=spans, points=points)
        out.append(Passage(text=marked, language=draft.language, speaker=draft.speaker))
    if not out:
        raise Unspeakable("no text in the SSML", where="SSML")
    if waiting:
        last = out[-1].text
        moved = tuple(TextPoint(at=len(last.text), pause=p.pause, mark=p.mark) for p in waiting)
        marked = MarkedText(text=last.text, spans=last.spans, points=last.points + moved)
        out[-1] = Passage(text=marked, language=out[-1].language, speaker=out[-1].speaker)
    return out
