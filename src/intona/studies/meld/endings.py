"""How speech ends, measured on mels before any vocoder: prolonged silence, early and late endings.

A frame's level is its mean power over the mel bands in dB. All definitions are relative to training data:

- *silent*: more than `QUIET_DB` below the level that the loudest 5 % of the training frames exceed;
- *prolonged silence*: at least `PROLONGED` seconds of silent frames in a row, before, in or after the speech;
- *late ending*: the model did not end by itself before the maximum length, twice the time that the text is
  expected to take and a second more;
- *early ending*: it ended by itself, and its last frame that is not silent comes before `EARLY` of the
  expected length (frames per letter in training times the letters of the text). No frame at all ends early.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

QUIET_DB, LOUD_PERCENTILE = 35.0, 95.0
PROLONGED, EARLY = 1.0, 0.5
FLOOR_DB = -200.0


@dataclass(frozen=True, kw_only=True)
class TrainingSpeech:
    """What a mel is compared with.

    Args:
        loud: dB that the loudest 5 % of the training frames exceed. frames_per_letter: mean over the training
            utterances. hop_seconds: between frames.
    """

    loud: float
    frames_per_letter: float
    hop_seconds: float

    @staticmethod
    def of(utterances: Iterable[tuple[np.ndarray, str]], hop_seconds: float) -> TrainingSpeech:
        """From natural-log mels (T, n_mels) and their texts; texts without a letter do not count."""
        every, rates = [], []
        for mel, text in utterances:
            every.append(levels(mel))
            if n := letters(text):
                rates.append(len(mel) / n)
        loud = float(np.percentile(np.concatenate(every), LOUD_PERCENTILE))
        return TrainingSpeech(
            loud=loud, frames_per_letter=float(np.mean(rates)), hop_seconds=float(hop_seconds)
        )


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One output. Seconds of the longest silence at the start, between speech, and at the end."""

    seconds: float
    start: float
    inside: float
    end: float
    long_silence: bool
    early: bool
    late: bool


def letters(text: str) -> int:
    return sum(c.isalpha() for c in text)


def levels(mel: np.ndarray) -> np.ndarray:
    """Natural-log mel (T, n_mels) -> dB (T,)."""
    power = np.exp(2 * np.asarray(mel, np.float64)).mean(axis=1)
    return np.maximum(10 * np.log10(np.maximum(power, 1e-30)), FLOOR_DB)


def silent_spans(mel: np.ndarray, training: TrainingSpeech) -> list[tuple[int, int]]:
    """[a, b) ranges of silent frames."""
    quiet = np.concatenate([[False], levels(mel) < training.loud - QUIET_DB, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def measure(mel: np.ndarray, text: str, *, ended: bool, training: TrainingSpeech) -> Ending:
    """The definitions of this module applied to one output.

    Args:
        mel: (T, n_mels) natural log; T may be 0. ended: the model ended by itself.
    """
    n, hop = len(mel), training.hop_seconds
    spans = silent_spans(mel, training) if n else []
    longest = {"start": 0, "inside": 0, "end": 0}
    last = n  # the end of the last frame that is not silent
    for a, b in spans:
        # An output that is silent throughout is silent at its end.
        place = "end" if b == n else "start" if a == 0 else "inside"
        longest[place] = max(longest[place], b - a)
        if b == n:
            last = a
    frames = math.ceil(PROLONGED / hop - 1e-9)
    expected = training.frames_per_letter * letters(text)
    return Ending(
        seconds=n * hop,
        start=longest["start"] * hop,
        inside=longest["inside"] * hop,
        end=longest["end"] * hop,
        long_silence=max(longest.values()) >= frames,
        early=ended and last < EARLY * expected,
        late=not ended,
    )
