"""Controls of a model's symbols, and how the controls of words become them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intona.text.controls import NEUTRAL, WordControl
from intona.text.symbols import PUNCTUATION

if TYPE_CHECKING:
    from intona.text import Utterance

PHRASE_PAUSE = 0.2  # seconds, from which on a pause ends a phrase

# What a level of emphasis is for a model without a nucleus: slower, louder, higher.
EMPHASIS = {
    "moderate": WordControl(rate=0.87, energy=2.0, pitch=1.5),
    "strong": WordControl(rate=0.77, energy=3.5, pitch=3.0),
    "reduced": WordControl(rate=1.1, energy=-3.0, pitch=-1.0, range=0.8),
}


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Controls of each symbol of a batch, (B, N) each; None: nothing is changed.

    They are tensors for a model of torch, NumPy arrays for one without.

    Args:
        duration: factor on the frames.
        pitch: semitones added.
        range: factor on the deviation of the predicted pitch from the speaker's mean.
        energy: dB added.
    """

    duration: Any = None
    pitch: Any = None
    range: Any = None
    energy: Any = None


def phrased(utterance: Utterance, *, sign: str = ",") -> Utterance:
    """An utterance with a sign before each long pause that has none: the model ends a phrase there."""
    row, words, moved = list(utterance.phonemes), list(utterance.words), 0
    for i, control in enumerate(utterance.controls[:-1]):
        words[i] = replace(words[i], start=words[i].start + moved, end=words[i].end + moved)
        between = utterance.phonemes[utterance.words[i].end : utterance.words[i + 1].start]
        if (control.pause or 0.0) >= PHRASE_PAUSE and not any(s in PUNCTUATION for s in between):
            row.insert(words[i].end, sign)
            moved += 1
    if not moved:
        return utterance
    words[-1] = replace(words[-1], start=words[-1].start + moved, end=words[-1].end + moved)
    return replace(utterance, phonemes=tuple(row), words=tuple(words))


def resolved(utterance: Utterance) -> tuple[WordControl, ...]:
    """A control per word in which emphasis has become rate, energy and pitch; empty if there is none."""
    return tuple(
        c if not c.emphasis else _with_pause(EMPHASIS[c.emphasis].within(c), c) for c in utterance.controls
    )


def symbol_values(utterances: Sequence[Utterance], name: str) -> np.ndarray | None:
    """One field of the controls per symbol (B, N); None if it is neutral everywhere.

    A symbol between two words has the value of both if they agree, else the neutral one.

    Args:
        name: "rate", "pitch", "range" or "energy".
    """
    neutral = float(getattr(NEUTRAL, name))
    out = np.full((len(utterances), max(len(u.phonemes) for u in utterances)), neutral)
    for row, utterance in zip(out, utterances, strict=True):
        values = [float(getattr(c, name)) for c in resolved(utterance)]
        if not values:
            continue
        for i, (word, value) in enumerate(zip(utterance.words, values, strict=True)):
            row[word.start : word.end] = value
            if i + 1 < len(values) and values[i + 1] == value:
                row[word.end : utterance.words[i + 1].start] = value
    return None if (out == neutral).all() else out


def ignored(utterances: Sequence[Utterance], obeyed: Collection[str]) -> list[str]:
    """The controls of words, emphasis aside, that are used but not among those that a voice obeys."""
    names = ("rate", "pitch", "range", "energy")
    used = [c for u in utterances for c in u.controls]
    return [n for n in names if n not in obeyed and any(getattr(c, n) != getattr(NEUTRAL, n) for c in used)]


def _with_pause(control: WordControl, source: WordControl) -> WordControl:
    return replace(control, emphasis="", pause=source.pause, before=source.before)
