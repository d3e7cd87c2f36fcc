"""Contour measures in closed form, against scipy, and on a synthetic voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from intona.audio import Audio
from intona.evaluation.judges.align import frame_seconds
from intona.evaluation.judges.intonation import (
    ContourJudge,
    IntonationJudge,
    declination,
    direction,
    erb_rate,
    final_movement,
    residual_rmse,
    weighted_correlation,
)
from intona.evaluation.manifest import Row

ROW = Row(id="a", text="а")
Voice = Callable[..., Audio]
RNG = np.random.default_rng(0)
T = np.arange(200) * frame_seconds()


def _hz(semitones: np.ndarray, voiced: np.ndarray | None = None) -> np.ndarray:
    f0 = 120 * 2 ** (semitones / 12)
    return f0 if voiced is None else np.where(voiced, f0, 0.0)


def _sing(semitones: Callable[[np.ndarray], np.ndarray], seconds: float = 2.0) -> Audio:
    t = np.arange(round(seconds * 16000)) / 16000
    phase = 2 * np.pi * np.cumsum(120 * 2 ** (semitones(t) / 12)) / 16000
    x = np.asarray(sum(np.cos(k * phase) / k for k in range(1, 20)))
    return Audio((0.1 * x).astype(np.float32), 16000)


def test_equal_weights_are_pearson_on_the_erb_scale() -> None:
    a, b = _hz(RNG.normal(size=80)), _hz(RNG.normal(size=80))
    expected = scipy.stats.pearsonr(erb_rate(a), erb_rate(b)).statistic
    assert weighted_correlation(a, b, np.full(80, 0.3)) == pytest.approx(expected)


def test_whole_weights_are_repetitions() -> None:
    a, b, w = _hz(RNG.normal(size=40)), _hz(RNG.normal(size=40)), RNG.integers(1, 5, 40)
    expected = scipy.stats.pearsonr(erb_rate(np.repeat(a, w)), erb_rate(np.repeat(b, w))).statistic
    assert weighted_correlation(a, b, w.astype(float)) == pytest.approx(expected)


def test_erb_rate_has_its_known_points() -> None:
    """165.4 (10^(E / 16.7) - 1) Hz lie at E; 100 Hz at 3.42."""
    assert erb_rate(np.array([0.0, 165.4 * 9])) == pytest.approx([0.0, 16.7])
    assert erb_rate(np.array([100.0])) == pytest.approx([3.42], abs=0.01)


def test_weak_frames_hardly_count() -> None:
    """Half of the frames go the other way, 60 dB below the rest."""
    a, loud = RNG.normal(size=80), np.arange(80) < 40
    b = np.where(loud, a, -3 * a)
    assert weighted_correlation(_hz(a), _hz(b), np.where(loud, 1.0, 1e-3)) > 0.95  # type: ignore[operator]
    assert weighted_correlation(_hz(a), _hz(b), np.ones(80)) < 0  # type: ignore[operator]
    assert weighted_correlation(_hz(np.zeros(80)), _hz(a), np.ones(80)) is None


def test_declination_is_the_slope_of_a_line() -> None:
    voiced = RNG.random(200) > 0.4
    noise = RNG.normal(size=200) * 0.1
    f0 = _hz(-3.0 * T + noise, voiced)
    expected = scipy.stats.linregress(T[voiced], 12 * np.log2(f0[voiced])).slope
    assert declination(f0) == pytest.approx(expected, abs=1e-9)
    assert declination(f0) == pytest.approx(-3.0, abs=0.1)
    assert declination(_hz(-3 * T[:20])) is None  # 0.2 s show an accent, no declination


def test_residual_is_what_register_and_slope_leave() -> None:
    accents = np.sin(2 * np.pi * 3 * T)
    a, b = _hz(accents - 2 * T + 5), _hz(accents + 1 * T - 4)
    assert residual_rmse(a, b, T) == pytest.approx(0.0, abs=1e-9)
    flat = residual_rmse(_hz(-2 * T + 5), b, T)
    assert flat == pytest.approx(np.std(accents - np.polyval(np.polyfit(T, accents, 1), T)))


def test_final_movement_and_its_threshold() -> None:
    rise = np.where(T[-1] - 0.4 < T, 10 * (T - T[-1] + 0.4), 0.0)
    assert final_movement(_hz(rise)) == pytest.approx(3.0, rel=0.05)
    unvoiced_after = np.concatenate([_hz(-rise), np.zeros(30)])
    assert final_movement(unvoiced_after) == pytest.approx(-3.0, rel=0.05)
    assert [direction(x) for x in (3.0, -3.0, 1.0, -1.0, 1.1)] == [1, -1, 0, 0, 1]
    assert final_movement(np.zeros(50)) is None


def test_a_question_is_not_a_statement() -> None:
    """The same fall, but the last 400 ms go up: the frames agree nearly everywhere, the end does not."""
    fall = _sing(lambda t: -2 * t)
    question = _sing(lambda t: -2 * t + np.where(t > 1.6, 15 * (t - 1.6), 0.0))
    found = {k: s.value for k, s in IntonationJudge().judge(question, ROW, fall).items()}
    assert found["final_agreement"] == 0.0
    own = {k: s.value for k, s in ContourJudge().judge(fall, ROW, None).items()}
    assert own["declination"] == pytest.approx(-2.0, abs=0.1)
    assert own["final_movement"] == pytest.approx(-0.6, abs=0.15)


def test_a_copy_is_the_same(voice: Voice) -> None:
    found = {k: s.value for k, s in IntonationJudge().judge(voice(2.0), ROW, voice(2.0)).items()}
    expected = {"f0_wcorr": 1.0, "f0_residual": 0.0, "f0_range_ratio": 1.0, "declination_error": 0.0}
    assert found == pytest.approx({**expected, "final_agreement": 1.0}, abs=1e-9)


def test_an_octave_up_is_the_same_intonation(voice: Voice) -> None:
    """Register is not melody: F0 RMSE says 1200 cents, the contour measures hardly move."""
    found = IntonationJudge().judge(voice(2.0, f0=220.0), ROW, voice(2.0, f0=110.0))
    assert found["f0_residual"].value < 1.0  # type: ignore[operator]
    assert found["f0_range_ratio"].value == pytest.approx(1.0, abs=0.1)
    assert found["declination_error"].value < 0.3  # type: ignore[operator]
    assert found["final_agreement"].value == 1.0


def test_a_flattened_voice_shows(voice: Voice) -> None:
    found = IntonationJudge().judge(_sing(lambda t: np.sin(4 * t)), ROW, _sing(lambda t: 4 * np.sin(4 * t)))
    assert found["f0_range_ratio"].value == pytest.approx(0.25, abs=0.05)
    assert found["f0_residual"].value > 1.0  # type: ignore[operator]


def test_silence_has_no_intonation() -> None:
    noise = Audio((RNG.normal(size=16000) * 0.01).astype(np.float32), 16000)
    found = IntonationJudge().judge(noise, ROW, noise)
    assert all(s.value is None or np.isfinite(s.value) for s in found.values())
