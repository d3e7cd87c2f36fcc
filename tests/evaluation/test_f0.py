"""Intonation figures on known answers: a copy, 6 dB, 100 ms, an octave; alignment against librosa."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest

from intona.audio import Audio
from intona.audio.pitch import METHOD
from intona.errors import UserError
from intona.evaluation.judges import align
from intona.evaluation.judges.align import align_frames, cepstra
from intona.evaluation.judges.f0 import F0Judge, ReferenceJudge, f0_distance, statistics
from intona.evaluation.manifest import Row
from intona.evaluation.wavs import speech_span

ROW = Row(id="a", text="а")
Voice = Callable[..., Audio]


def test_statistics_in_closed_form() -> None:
    """Half the frames at 100 Hz and half at 200: an octave apart, so sd = 6 semitones around the middle."""
    f0 = np.array([100.0] * 50 + [0.0] * 100 + [200.0] * 50)
    found = statistics(f0)
    assert found["f0_median"] == pytest.approx(150.0)
    assert found["f0_sd"] == pytest.approx(6.0 * np.sqrt(100 / 99))
    assert found["f0_range"] == pytest.approx(12.0)
    assert found["voiced"] == 0.5


def test_too_few_voiced_frames_have_no_statistics() -> None:
    assert statistics(np.array([100.0] * 9 + [0.0] * 91))["f0_median"] is None


def test_level_and_spread_of_a_synthetic_voice(voice: Voice) -> None:
    """The glide is 0.25 octaves each way, a sine: sd = 3 / sqrt 2 semitones; median = its middle."""
    scores = F0Judge().judge(voice(4.0, f0=120.0, vowels=False), ROW, None)
    assert scores["f0_median"].value == pytest.approx(120.0, rel=0.05)
    assert scores["f0_sd"].value == pytest.approx(3 / np.sqrt(2), rel=0.1)
    assert scores["voiced"].value > 0.9  # type: ignore[operator]


def _distance(audio: Audio, reference: Audio) -> dict[str, float]:
    scores = ReferenceJudge().judge(audio, ROW, reference)
    return {k: s.value for k, s in scores.items() if s.value is not None}


def test_a_copy_is_at_distance_zero(voice: Voice) -> None:
    audio = voice(2.5)
    assert _distance(audio, audio) == pytest.approx(
        {"f0_rmse": 0.0, "f0_corr": 1.0, "duration_ratio": 1.0, "duration_ratio_raw": 1.0}, abs=1e-9
    )


@pytest.mark.parametrize("gain", [0.5012, 1.9953])
def test_six_decibels_change_nothing(voice: Voice, gain: float) -> None:
    """Defect 4: level is no part of intonation or of the alignment."""
    audio = voice(2.5)
    found = _distance(Audio(audio.samples * np.float32(gain), audio.sample_rate), audio)
    assert found["f0_rmse"] < 5
    assert found["f0_corr"] > 0.999
    assert found["duration_ratio"] == pytest.approx(1.0, abs=0.01)


def test_a_delay_changes_nothing(voice: Voice) -> None:
    """Defect 4: 100 ms later, a frame-by-frame F0 error over unvoiced zeros is 61.8 Hz. Ours stays near 0."""
    audio = voice(2.5)
    late = Audio(np.concatenate([np.zeros(1600, np.float32), audio.samples]), audio.sample_rate)
    found = _distance(late, audio)
    assert found["f0_rmse"] < 40
    assert found["f0_corr"] > 0.99
    assert found["duration_ratio"] == pytest.approx(1.0, abs=0.02)
    assert found["duration_ratio_raw"] == pytest.approx(2.6 / 2.5)


def test_an_octave_up_is_1200_cents(voice: Voice) -> None:
    found = _distance(voice(2.5, f0=240.0), voice(2.5, f0=120.0))
    assert found["f0_rmse"] == pytest.approx(1200, rel=0.05)
    assert found["f0_corr"] > 0.8


def test_another_rate_is_the_same_voice(voice: Voice) -> None:
    found = _distance(voice(2.5, rate=22050), voice(2.5, rate=16000))
    assert found["f0_rmse"] < 20
    assert found["duration_ratio"] == pytest.approx(1.0, abs=0.02)


def test_distance_counts_only_frames_voiced_in_both() -> None:
    a = np.array([100.0] * 20 + [0.0] * 20 + [100.0] * 20)
    b = np.array([200.0] * 20 + [150.0] * 20 + [0.0] * 20)
    scores = f0_distance(a, b)
    assert scores["f0_rmse"].value == pytest.approx(1200.0)
    assert scores["f0_rmse"].detail == {"frames_voiced_in_both": 20, "frames": 60}
    # A flat contour has no correlation: not defined, and neither 0 nor 1.
    assert scores["f0_corr"].value is None


def test_nothing_voiced_in_both_is_undefined_not_zero() -> None:
    scores = f0_distance(np.zeros(50), np.full(50, 100.0))
    assert scores["f0_rmse"].value is None


def test_alignment_agrees_with_librosa() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(60, 5)), rng.normal(size=(45, 5))
    i, j = align_frames(a, b)
    total, _ = librosa.sequence.dtw(X=a.T, Y=b.T, metric="euclidean")
    assert np.linalg.norm(a[i] - b[j], axis=1).sum() == pytest.approx(total[-1, -1])
    assert (i[0], j[0], i[-1], j[-1]) == (0, 0, 59, 44)
    steps = set(zip(np.diff(i).tolist(), np.diff(j).tolist(), strict=True))
    assert steps <= {(1, 1), (1, 0), (0, 1)}


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 3)])
def test_alignment_of_few_frames(shape: tuple[int, int]) -> None:
    i, j = align_frames(np.zeros((shape[0], 2)), np.zeros((shape[1], 2)))
    assert (i[-1] + 1, j[-1] + 1) == shape
    assert len(i) == max(shape)


def test_alignment_follows_a_stretch(voice: Voice) -> None:
    frames = cepstra(voice(2.0))
    doubled = np.repeat(frames, 2, axis=0)
    i, j = align_frames(doubled, frames)
    assert np.abs(i / 2 - j).max() <= 1


def test_alignment_refuses_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(align, "MAX_CELLS", 10)
    with pytest.raises(UserError, match="too many to align"):
        align_frames(np.zeros((4, 2)), np.zeros((4, 2)))


def test_span_leaves_out_silence_at_the_edges(voice: Voice) -> None:
    audio = voice(1.0)
    quiet = np.full(8000, 1e-5, np.float32)
    padded = Audio(np.concatenate([quiet, audio.samples, quiet, quiet]), audio.sample_rate)
    start, end = speech_span(padded)
    assert start == pytest.approx(0.5, abs=0.03)
    assert end == pytest.approx(1.5, abs=0.03)


def test_every_f0_is_yins() -> None:
    """No module names another tracker: figures of F0 compare only within one."""
    import intona

    root = Path(intona.__file__).parent
    named = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.name != "pitch.py"
        and ("harvest" in (text := path.read_text(encoding="utf-8")) or ".dio(" in text)
    ]
    assert METHOD == "yin" and named == []
