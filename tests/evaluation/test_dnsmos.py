"""DNSMOS without its package: features against librosa, windows by its formula, scores as it gives them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.judges import build_judges
from intona.evaluation.judges import dnsmos as module
from intona.evaluation.judges.base import Inputs, Unavailable
from intona.evaluation.judges.dnsmos import WINDOW, DnsMosJudge, model_paths, p808_features, windows

needs_weights = pytest.mark.skipif(model_paths() is None, reason="speechmos is not installed")
Voice = Callable[..., Audio]


def test_features_are_librosas() -> None:
    x = np.random.default_rng(0).normal(size=WINDOW - 160).astype(np.float32) * 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # empty filters, as they were trained
        mel = librosa.feature.melspectrogram(y=x, sr=16_000, n_fft=321, hop_length=160, n_mels=120)
    theirs = ((librosa.power_to_db(mel, ref=np.max) + 40) / 40).T
    found = p808_features(x)
    assert found.shape == (900, 120)
    assert np.allclose(found, theirs, atol=1e-4)


@pytest.mark.parametrize("n", [900, 50_000, WINDOW, WINDOW + 1, 160_000, 177_000, 400_123])
def test_windows_are_those_of_the_published_loop(n: int) -> None:
    x = np.arange(n, dtype=np.float32)
    audio, expected = x, []
    while len(audio) < WINDOW:
        audio = np.append(audio, audio)
    for i in range(int(np.floor(len(audio) / 16_000) - 9.01) + 1):
        piece = audio[int(i * 16_000) : int((i + 9.01) * 16_000)]
        if len(piece) >= WINDOW:
            expected.append(piece[:WINDOW])
    assert np.array_equal(windows(x), np.stack(expected))


@needs_weights
def test_scores_of_the_published_package(voice: Voice) -> None:
    """Scores of speechmos 0.0.1.1's own code on the same signals."""
    found = DnsMosJudge().predict(voice(2.0, vowels=False))
    expected = {
        "dnsmos_ovrl": 1.360039,
        "dnsmos_sig": 1.500431,
        "dnsmos_bak": 1.449275,
        "dnsmos_p808": 2.575175,
    }
    assert found == pytest.approx(expected, abs=1e-4)


@needs_weights
def test_noise_is_heard_and_loud_sound_is_scored(voice: Voice) -> None:
    judge, clean = DnsMosJudge(), voice(9.5)
    noise = np.random.default_rng(0).normal(size=len(clean.samples)).astype(np.float32) * 0.05
    noisy = Audio(clean.samples + noise, clean.sample_rate)
    assert judge.predict(noisy)["dnsmos_bak"] < judge.predict(clean)["dnsmos_bak"] - 0.1
    loud = judge.predict(Audio(clean.samples * np.float32(8), clean.sample_rate))
    assert all(np.isfinite(v) for v in loud.values())


@needs_weights
def test_a_changed_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    monkeypatch.setattr(module, "model_paths", lambda: [tmp_path / "m.onnx"] * 2)
    with pytest.raises(UserError, match="sha256"):
        DnsMosJudge()


def test_without_the_wheel_the_columns_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "model_paths", lambda: None)
    (judge,) = build_judges(Inputs(), ("dnsmos",))
    assert isinstance(judge, Unavailable) and len(judge.measures) == 4
    # Its own name is the only place where the word stands: no column is called MOS.
    assert all(m.title.startswith("DNSMOS") for m in judge.measures)
