"""GPE, VDE, FFE and octave errors on contours whose counts are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from intona.audio import Audio
from intona.evaluation.judges.pitch_errors import PitchErrorJudge, pitch_errors
from intona.evaluation.manifest import Row

ROW = Row(id="a", text="а")
Voice = Callable[..., Audio]


def test_counts_by_hand() -> None:
    """10 frames: 4 right, 1 at +21 %, 1 an octave up, 2 voiced for unvoiced, 1 the other way, 1 unvoiced."""
    reference = np.array([100.0, 100, 100, 100, 100, 100, 0, 0, 100, 0])
    ours = np.array([100.0, 119, 81, 100, 121, 200, 100, 100, 0, 0])
    found = pitch_errors(ours, reference)
    assert (found["gpe"].numerator, found["gpe"].denominator) == (2, 6)
    assert (found["vde"].numerator, found["vde"].denominator) == (3, 10)
    assert (found["ffe"].numerator, found["ffe"].denominator) == (5, 10)
    assert (found["f0_octave"].numerator, found["f0_octave"].denominator) == (1, 6)


@pytest.mark.parametrize(("ratio", "octave"), [(2.0, 1), (0.5, 1), (2**1.07, 1), (2**1.1, 0), (3.0, 0)])
def test_octave_errors_are_those_near_an_octave(ratio: float, octave: int) -> None:
    assert pitch_errors(np.array([100.0 * ratio]), np.array([100.0]))["f0_octave"].value == octave


def test_gross_is_relative_to_the_recording() -> None:
    """83 against 100 is 17 %; 100 against 83 is 20.5 %, and counts."""
    assert pitch_errors(np.array([83.0]), np.array([100.0]))["gpe"].value == 0
    assert pitch_errors(np.array([100.0]), np.array([83.0]))["gpe"].value == 1


def test_nothing_voiced_is_undefined() -> None:
    found = pitch_errors(np.zeros(5), np.full(5, 100.0))
    assert found["gpe"].value is None and found["f0_octave"].value is None
    assert found["vde"].value == found["ffe"].value == 1.0


def test_an_octave_up(voice: Voice) -> None:
    found = PitchErrorJudge().judge(voice(2.0, f0=240.0), ROW, voice(2.0, f0=120.0))
    assert found["gpe"].value > 0.95 and found["f0_octave"].value > 0.8  # type: ignore[operator]
    assert found["vde"].value < 0.1  # type: ignore[operator]


def test_a_copy_and_a_delay(voice: Voice) -> None:
    audio = voice(2.0)
    late = Audio(np.concatenate([np.zeros(1600, np.float32), audio.samples]), audio.sample_rate)
    assert {s.value for s in PitchErrorJudge().judge(audio, ROW, audio).values()} == {0.0}
    assert PitchErrorJudge().judge(late, ROW, audio)["ffe"].value < 0.06  # type: ignore[operator]
