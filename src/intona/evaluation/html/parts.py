"""The building blocks of pages: tables with intervals, tiles, lists of settings, cards of utterances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intona.evaluation.html.page import Child, Html, join, tag
from intona.evaluation.stats import Interval, Paired, Spread


def table(
    caption: Child,
    heads: Sequence[Child],
    rows: Iterable[Sequence[Child]],
    *,
    label: str = "table",
    tight: bool = False,
) -> Html:
    """A table whose first column names the row; a wide one scrolls within its box."""
    head = tag("tr", *[tag("th", h, scope="col") for h in heads])
    body = [tag("tr", tag("th", row[0], scope="row"), *[tag("td", c) for c in row[1:]]) for row in rows]
    inner = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", head),
        tag("tbody", *body),
        class_="tight" if tight else None,
    )
    return tag("div", inner, class_="scroll", role="region", aria_label=label)


def interval(
    value: Interval | Paired | Spread | Mapping[str, Any] | None,
    *,
    digits: int = 2,
    signed: bool = False,
    expected: int | None = None,
    flagged: bool = False,
    key: str = "estimate",
) -> Html:
    """ "0.204 [0.156, 0.253]", with its n if that is not `expected`; a dash for None.

    Args:
        value: an interval, or its fields read from JSON. key: the field that holds the estimate.
    """
    if value is None:
        return tag("span", "–", class_="none", title="no value")
    value = value if isinstance(value, Mapping) else vars(value)
    spec = f"{'+' if signed else ''}.{digits}f"
    shown: list[Child] = [tag("span", format(value[key], spec), class_="estimate")]
    if flagged:
        shown.append(tag("span", "▲", class_="flag", role="img", aria_label="better than the recording"))
    if value.get("low") is not None and value.get("high") is not None:
        ends = f"[{format(value['low'], spec)}, {format(value['high'], spec)}]"
        shown.append(tag("span", ends, class_="interval"))
    if expected is not None and value["n"] != expected:
        shown.append(tag("span", f"n = {value['n']}", class_="n"))
    return join(shown, Html(" "))


def p_value(value: float | None) -> str:
    """A p-value as papers print it."""
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else "1" if value >= 0.9995 else f"{value:.3f}".lstrip("0")


def definitions(pairs: Iterable[tuple[Child, Child]], *, class_: str | None = None) -> Html:
    """A list of names and values."""
    return tag("dl", *[tag("div", tag("dt", k), tag("dd", v)) for k, v in pairs], class_=class_)


_FIRST = 6  # figures of a card that are visible without opening the rest


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A name, lines of (label, figure), and a note below them."""

    title: str
    lines: Sequence[tuple[Child, Child]]
    note: Child = None
    colour: int = 0

    def render(self) -> Html:
        note = tag("p", self.note, class_="note") if self.note else None
        style = f"--mark: var(--c{self.colour % 8})"
        return tag("div", tag("h3", self.title), definitions(self.lines), note, class_="tile", style=style)


def grid(children: Iterable[Child], *, class_: str) -> Html:
    return tag("div", *children, class_=f"grid {class_}")


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """One system's rendering of an utterance; None for what does not exist.

    Args:
        audio: a data URI. picture: an SVG. figures: (measure, value) pairs.
        failure: why there is no usable audio.
    """

    system: str
    audio: str | None
    picture: Html | None
    transcript: Html | None
    figures: Sequence[tuple[Child, Child]]
    failure: str | None = None
    colour: int = 0

    def render(self, utterance: str) -> Html:
        parts: list[Child] = [tag("h4", self.system)]
        if self.failure:
            parts.append(tag("p", tag("strong", "Failed: "), self.failure, class_="failure"))
        if self.audio:
            label = f"{utterance}, {self.system}"
            parts.append(tag("audio", controls=True, preload="metadata", src=self.audio, aria_label=label))
        elif not self.failure:
            parts.append(tag("p", "No audio on this page.", class_="note"))
        parts.append(self.picture)
        if self.transcript is not None:
            parts.append(
                tag("p", tag("span", "Transcript: ", class_="label"), self.transcript, class_="transcript")
            )
        if self.figures:
            first, rest = self.figures[:_FIRST], self.figures[_FIRST:]
            parts.append(definitions(first, class_="figures"))
            if rest:
                more = tag("summary", f"{len(rest)} more figures")
                parts.append(tag("details", more, definitions(rest, class_="figures")))
        return tag("div", *parts, class_="voice", style=f"--mark: var(--c{self.colour % 8})")


def card(utterance: str, sentence: str, voices: Sequence[Rendering], *, note: Child = None) -> Html:
    """One utterance: its text, and all systems side by side."""
    return tag(
        "article",
        tag("h3", tag("span", utterance, class_="id"), " ", sentence),
        tag("p", note, class_="note") if note else None,
        grid([v.render(utterance) for v in voices], class_="voices"),
        class_="card",
    )
