"""Tempo and pauses of sound whose pauses are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from intona.audio import Audio
from intona.evaluation.judges.timing import TimingJudge, letters, pauses
from intona.evaluation.manifest import Row

Voice = Callable[..., Audio]
RATE = 16_000


def _with_pauses(voice: Voice, *gaps: float, noise: float = 1e-5) -> Audio:
    """0.5 s of voice, a gap, 0.5 s of voice, …; half a second of near silence at each end."""
    piece = voice(0.5, vowels=False).samples
    hush = np.random.default_rng(0).normal(size=RATE).astype(np.float32) * noise
    parts = [hush[: RATE // 2], piece]
    for gap in gaps:
        parts += [hush[: round(gap * RATE)], piece]
    return Audio(np.concatenate([*parts, hush[: RATE // 2]]), RATE)


def test_pauses_are_found_where_they_are(voice: Voice) -> None:
    found = pauses(_with_pauses(voice, 0.3, 0.1, 0.5))
    assert len(found) == 2  # 0.1 s is no pause
    assert found[0] == pytest.approx((1.0, 1.3), abs=0.03)
    assert found[1] == pytest.approx((2.4, 2.9), abs=0.03)


def test_silence_at_the_edges_is_no_pause(voice: Voice) -> None:
    assert pauses(_with_pauses(voice)) == []


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_figures(voice: Voice, gain: float) -> None:
    audio = _with_pauses(voice, 0.3, 0.5)
    audio = Audio(audio.samples * np.float32(gain), RATE)
    found = TimingJudge().judge(audio, Row(id="a", text="д+ома, у реки́ 25"), None)
    value = {k: s.value for k, s in found.items()}
    assert value["pause_count"] == 2
    assert value["pause_total"] == pytest.approx(0.8, abs=0.05)
    assert value["pause_mean"] == pytest.approx(0.4, abs=0.03)
    assert value["pause_share"] == pytest.approx(0.8 / 2.3, abs=0.03)
    assert value["speaking_rate"] == pytest.approx(11 / 2.3, rel=0.03)
    assert value["articulation_rate"] == pytest.approx(11 / 1.5, rel=0.05)


def test_no_pause_has_no_mean_length(voice: Voice) -> None:
    found = TimingJudge().judge(_with_pauses(voice), Row(id="a", text="дом"), None)
    assert (found["pause_count"].value, found["pause_mean"].value) == (0.0, None)


def test_letters_leave_marks_out() -> None:
    assert letters("Д+ом — «У реки́», 25!") == len("ДомУреки25")


def test_very_short_sound() -> None:
    tone = Audio(0.1 * np.sin(np.arange(800)).astype(np.float32), RATE)
    found = TimingJudge().judge(tone, Row(id="a", text="да"), None)
    assert np.isfinite(found["speaking_rate"].value)  # type: ignore[arg-type]
