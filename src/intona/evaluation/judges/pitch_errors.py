"""Errors of voicing and gross errors of pitch against the recording, on DTW-aligned frames.

With V = frames voiced in both and T = all frames of the path (Chu & Alwan 2009, "Reducing F0 frame error"):

- GPE = #{V, |f̂ - f| > 0.2 f} / #V
- VDE = #{voicing differs} / T
- FFE = (#gross + #voicing differs) / T

A distance to a recording mixes two things: errors of the pitch tracker (even a perfect vocoder has some) and
a different melody. Octave errors, | |log2 f̂/f| - 1 | <= .08 over V, are therefore listed separately.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intona.audio import Audio
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.judges.f0 import aligned_contours, describe_pair
from intona.evaluation.manifest import Row

GROSS = 0.2
OCTAVE = 0.08
_MEASURES = (
    Measure(name="gpe", title="GPE", pooled=True, better="lower", digits=3),
    Measure(name="vde", title="VDE", pooled=True, better="lower", digits=3),
    Measure(name="ffe", title="FFE", pooled=True, better="lower", digits=3),
    Measure(name="f0_octave", title="octave errors", pooled=True, better="lower", digits=3),
)


class PitchErrorJudge(Judge):
    """GPE, VDE, FFE and octave errors; pooled over the corpus, so that long utterances weigh more."""

    name = "pitch_errors"
    needs = ("reference",)
    measures = _MEASURES

    def describe(self) -> dict[str, Any]:
        return {**describe_pair(), "gross_above": GROSS, "octave_within": OCTAVE, "frames": "of the DTW path"}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        assert reference is not None
        both = aligned_contours(audio, reference)
        if both is None:
            return {m.name: Score(value=None, detail={"why": "too long to align"}) for m in self.measures}
        return pitch_errors(*both)


def pitch_errors(ours: np.ndarray, reference: np.ndarray) -> dict[str, Score]:
    """Two aligned contours (T,), Hz, 0 = unvoiced."""
    a, b = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    both = (a > 0) & (b > 0)
    gross = int((np.abs(a - b) > GROSS * b)[both].sum())
    octave = int((np.abs(np.abs(np.log2(a[both] / b[both])) - 1) <= OCTAVE).sum())
    voicing = int(((a > 0) != (b > 0)).sum())
    voiced, frames = int(both.sum()), len(a)
    return {
        "gpe": _share(gross, voiced),
        "vde": _share(voicing, frames),
        "ffe": _share(gross + voicing, frames),
        "f0_octave": _share(octave, voiced),
    }


def _share(count: int, of: int) -> Score:
    return Score(value=count / of if of else None, numerator=count, denominator=of or None)
