"""Pitch against tones of known pitch, hand labels of a real corpus, and a second method."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.fft

from intona.audio import Audio, MelSpec, energy, f0_contour, hz_to_cents, log_mel, median_hz, read_audio
from intona.audio import pitch as module
from intona.audio.pitch import _fast_length
from intona.errors import UserError

RATE = 22050
METHODS = [
    "yin",
    pytest.param("harvest", marks=pytest.mark.skipif(module.pyworld() is None, reason="no pyworld")),
]


def voice(f0: np.ndarray) -> Audio:
    """Five harmonics of a pitch in Hz a sample."""
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    return Audio(sum(0.2 * np.sin(k * phase) / k for k in range(1, 6)), RATE)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hz", [80.0, 150.0, 300.0, 550.0])
def test_constant_pitch(method: str, hz: float) -> None:
    f = f0_contour(voice(np.full(RATE // 2, hz)), method=method)
    inner = slice(4, -4)
    assert f.voiced[inner].all()
    assert np.abs(hz_to_cents(f.f0[inner], hz)).max() < 10


@pytest.mark.parametrize("method", METHODS)
def test_glide_is_followed_without_delay(method: str) -> None:
    true = 100 * 2 ** (np.arange(RATE) / RATE)
    f = f0_contour(voice(true), method=method)
    at = true[np.rint(f.times * RATE).astype(int)]
    error = 1200 * np.log2(np.maximum(f.f0, 1) / at)[5:-5]
    assert abs(np.median(error)) < 5 and np.abs(error).max() < 40  # one frame late would be 14 cents of bias


@pytest.mark.parametrize("kind", ["silence", "noise", "nothing", "one sample"])
def test_no_pitch_where_none_is(kind: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE)
    x = {"silence": np.zeros(RATE), "noise": noise, "nothing": np.zeros(0), "one sample": np.ones(1)}[kind]
    f = f0_contour(Audio(x, RATE), method="yin")
    assert not f.voiced.any() and math.isnan(f.median)


def labelled(path: Path) -> list[tuple[float, float, str]]:
    """(start, end, phone) of a Festvox label file."""
    rows, start = [], 0.0
    for line in path.read_text().split("#", 1)[1].split("\n"):
        if len(parts := line.split()) == 3:
            rows.append((start, float(parts[0]), parts[2]))
            start = float(parts[0])
    return rows


def test_yin_hears_voice_where_the_hand_labels_have_vowels(corpus: Path) -> None:
    vowels, mute = {"aa", "oo", "ee", "ii", "uu", "yy"}, {"pau", "s", "sh", "t", "k", "p", "f", "ch"}
    frames = {True: [0, 0], False: [0, 0]}
    for path in sorted((corpus / "wav").glob("*.wav"))[:5]:
        f = f0_contour(read_audio(path), method="yin")
        for start, end, phone in labelled(corpus / "lab" / f"{path.stem}.lab"):
            inner = (f.times > start + 0.01) & (f.times < end - 0.01)
            if phone in vowels | mute:
                frames[phone in vowels][0] += int(f.voiced[inner].sum())
                frames[phone in vowels][1] += int(inner.sum())
    assert frames[True][1] > 200 and frames[False][1] > 200
    assert frames[True][0] / frames[True][1] > 0.90
    assert frames[False][0] / frames[False][1] < 0.20


def test_a_finer_grid_hears_the_same_pitch(corpus: Path) -> None:
    leaps = both = 0
    for path in sorted((corpus / "wav").glob("*.wav"))[:8]:
        audio = read_audio(path)
        usual = f0_contour(audio).f0
        fine = f0_contour(audio, module.HOP_SECONDS / 3).f0[1::3][: len(usual)]  # of the same times
        voiced = (usual > 0) & (fine > 0)
        leaps += int((np.abs(np.log2(usual[voiced] / fine[voiced])) > 1 / 2).sum())
        both += int(voiced.sum())
    assert both > 1000 and leaps / both < 0.01


@pytest.mark.skipif(module.pyworld() is None, reason="no pyworld")
def test_two_methods_agree_on_speech(speech: Audio) -> None:
    y, h = f0_contour(speech, method="yin"), f0_contour(speech, method="harvest")
    both = y.voiced & h.voiced
    apart = np.abs(np.log2(y.f0[both] / h.f0[both]))
    assert both.sum() > 50 and np.median(apart) * 1200 < 25 and np.mean(apart > math.log2(1.2)) < 0.08


def test_yin_agrees_with_praat_on_speech(corpus: Path) -> None:
    praat = pytest.importorskip("parselmouth", reason="needs praat-parselmouth")
    voiced = shared = far = 0
    cents = []
    for path in sorted((corpus / "wav").glob("*.wav"))[:5]:
        audio = read_audio(path)
        f = f0_contour(audio)
        pitch = praat.Sound(audio.samples.astype(np.float64), audio.sample_rate).to_pitch_ac(
            time_step=0.005, pitch_floor=60, pitch_ceiling=600
        )
        true = np.nan_to_num([pitch.get_value_at_time(t) for t in f.times])
        both = (true > 0) & f.voiced
        apart = np.abs(hz_to_cents(f.f0[both], 1.0) - hz_to_cents(true[both], 1.0))
        voiced, shared, far = voiced + (true > 0).sum(), shared + both.sum(), far + (apart > 200).sum()
        cents.extend(apart)
    assert shared > 1000 and shared / voiced > 0.9 and far / shared < 0.05 and np.median(cents) < 8


def test_frames_are_those_of_the_mel(speech: Audio) -> None:
    frames = len(log_mel(speech, MelSpec()))
    assert len(f0_contour(speech, method="yin").f0) == len(energy(speech)) == frames
    assert len(f0_contour(speech, 0.01, method="yin").f0) == math.floor(speech.duration / 0.01)


def test_energy_of_a_sine_and_of_silence() -> None:
    sine = Audio(0.5 * np.sin(2 * np.pi * 441 * np.arange(RATE) / RATE), RATE)
    assert energy(sine)[5:-5] == pytest.approx(10 * np.log10(0.125), abs=0.1)
    assert (energy(Audio(np.zeros(RATE), RATE)) == -100).all()


def test_cents_and_median() -> None:
    f0 = np.array([0.0, 100.0, 200.0, 400.0])
    assert np.isnan(hz_to_cents(f0, 100)[0]) and hz_to_cents(f0, 100)[1:].tolist() == [0, 1200, 2400]
    assert median_hz(f0) == 200 and math.isnan(median_hz(np.zeros(3)))


def test_pyworld_is_needed_by_harvest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(importlib.import_module("sys").modules, "pyworld", None)
    audio = voice(np.full(RATE // 2, 150.0))
    assert f0_contour(audio).method == "yin"
    with pytest.raises(UserError, match="pip install pyworld"):
        f0_contour(audio, method="harvest")


def test_wrong_arguments() -> None:
    audio = voice(np.full(RATE // 2, 150.0))
    with pytest.raises(UserError, match="f_min < f_max"):
        f0_contour(audio, f_min=300, f_max=200)
    with pytest.raises(UserError, match='did you mean "yin"'):
        f0_contour(audio, method="yinn")  # type: ignore[arg-type]


def test_lengths_of_transforms_are_those_of_scipy() -> None:
    lengths = (1, 7, 97, 803, 1339, 2187, 4001)
    assert [_fast_length(n) for n in lengths] == [scipy.fft.next_fast_len(n, real=True) for n in lengths]
