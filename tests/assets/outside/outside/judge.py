"""A judge: the level of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np

from intona.audio import Audio
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.manifest import Row


class LevelJudge(Judge):
    """Root mean square of the samples, in dB of full scale."""

    name = "outside_level"
    measures = (Measure(name="level", title="Level, dB", failed=-100.0, better="higher", digits=1),)

    def __init__(self, *, floor: float = -100.0) -> None:
        self.floor = floor

    def describe(self) -> dict[str, Any]:
        return {"floor": self.floor, "version": 1}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        power = float(np.mean(np.square(audio.samples, dtype=np.float64)))
        level = 10 * np.log10(power) if power > 0 else self.floor
        return {"level": Score(value=max(self.floor, float(level)))}
