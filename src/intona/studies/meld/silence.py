"""Prolonged silence anywhere in a recording: before, within or after the speech."""

from __future__ import annotations

from typing import Any

import numpy as np

from intona.audio import Audio, energy, resampler_id
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.judges.timing import HOP, PAUSE_DB, RATE, WINDOW
from intona.evaluation.manifest import Row

PROLONGED = 1.0  # seconds


class SilenceJudge(Judge):
    """The longest stretch more than 35 dB below the loudest 25 ms, and whether it lasts a second.

    Recordings have pauses too, so compare a voice with the rate of the recordings. A failed output counts as
    prolonged silence and has no longest stretch.
    """

    name = "silence"
    measures = (
        Measure(
            name="long_silence", title="prolonged silence", failed=1.0, better="lower", digits=3, share=True
        ),
        Measure(name="longest_silence", title="longest silence, s", better="lower", digits=2),
    )

    def describe(self) -> dict[str, Any]:
        return {
            "silence": f"more than {PAUSE_DB:g} dB below the loudest {WINDOW} s",
            "prolonged_from_seconds": PROLONGED,
            "sample_rate": RATE,
            "resampler": resampler_id(),
        }

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        longest = longest_silence(audio)
        return {
            "long_silence": Score(value=float(longest >= PROLONGED - 1e-9), detail={"seconds": longest}),
            "longest_silence": Score(value=longest),
        }


def longest_silence(audio: Audio) -> float:
    """Seconds of the longest silent stretch; the whole duration if the audio is too short to have a level."""
    level = energy(audio.resample(RATE), HOP, win_seconds=WINDOW)
    if not len(level):
        return audio.duration
    quiet = np.concatenate([[False], level < level.max() - PAUSE_DB, [False]])
    edges = np.flatnonzero(quiet[1:] != quiet[:-1])
    return float(max((edges[1::2] - edges[::2]) * HOP, default=0.0))
