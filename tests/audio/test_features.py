"""The mel against librosa, against the published HiFi-GAN recipe in torch, and its description."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from intona.audio import SPEECHT5, Audio, MelSpec, diff, log_mel, require_same
from intona.audio.features import CHUNK, mel_filters
from intona.errors import UserError

SPEC = MelSpec()


def published(samples: np.ndarray, spec: MelSpec) -> np.ndarray:
    """HiFi-GAN's mel as its paper's code computes it: torch.stft, no centring, sqrt(power + 1e-9)."""
    pad = (spec.n_fft - spec.hop_length) // 2
    y = torch.from_numpy(samples).double()  # in float32 torch itself is 6e-4 from the truth
    y = torch.nn.functional.pad(y[None, None], (pad, pad), mode="reflect")[0]
    window = torch.hann_window(spec.win_length, dtype=torch.float64)
    s = torch.stft(y, spec.n_fft, spec.hop_length, spec.win_length, window, center=False, return_complex=True)
    magnitude = torch.sqrt(torch.view_as_real(s).pow(2).sum(-1) + 1e-9)
    basis = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.f_min, fmax=spec.f_max
    )
    return torch.log(torch.clamp(torch.from_numpy(basis).double() @ magnitude, min=1e-5))[0].T.numpy()


def test_equals_the_published_recipe_on_speech(speech: Audio) -> None:
    ours = log_mel(speech, SPEC)
    assert ours.dtype == np.float32 and ours.shape == (len(speech) // 256, 80) and len(ours) > 2 * CHUNK
    assert np.abs(ours - published(speech.samples, SPEC)).max() < 1e-5


def test_equals_librosa_on_speech(speech: Audio) -> None:
    # librosa adds nothing to the power, and pads by itself only when centring.
    spec = dataclasses.replace(SPEC, power_epsilon=0.0)
    y = np.pad(speech.samples, spec.pad, mode="reflect")
    mel = librosa.feature.melspectrogram(
        y=y, sr=22050, n_fft=1024, hop_length=256, n_mels=80, fmin=0, fmax=8000, power=1, center=False
    )
    assert np.abs(log_mel(speech, spec) - np.log(np.maximum(mel, 1e-5)).T).max() < 1e-5


def test_what_the_epsilon_does(speech: Audio) -> None:
    """1e-9 is heard by the quietest bins only: the loud ones agree with librosa's to 1e-4 either way."""
    with_it = log_mel(speech, SPEC)
    without = log_mel(speech, dataclasses.replace(SPEC, power_epsilon=0.0))
    loud = without > np.log(1e-2)
    assert loud.mean() > 0.2 and np.abs(with_it - without)[loud].max() < 1e-4
    assert (with_it >= without - 1e-6).all() and np.abs(with_it - without).max() > 1e-4


def test_speecht5_spec_equals_librosa(speech: Audio) -> None:
    audio = speech.resample(16000)
    mel = librosa.feature.melspectrogram(
        y=audio.samples, sr=16000, n_fft=1024, hop_length=256, n_mels=80, fmin=80, fmax=7600, power=1,
        pad_mode="reflect",
    )  # fmt: skip
    assert np.abs(log_mel(audio, SPEECHT5) - np.log10(np.maximum(mel, 1e-10)).T).max() < 1e-5


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", "none"])
def test_filters_equal_librosas(scale: str, norm: str) -> None:
    spec = dataclasses.replace(SPEC, mel_scale=scale, mel_norm=norm, f_min=40.0, f_max=7000.0, n_mels=64)
    theirs = librosa.filters.mel(
        sr=22050, n_fft=1024, n_mels=64, fmin=40, fmax=7000, htk=scale == "htk",
        norm="slaney" if norm == "slaney" else None,
    )  # fmt: skip
    assert np.abs(mel_filters(spec) - theirs).max() < 1e-6


@pytest.mark.parametrize("samples", [385, 511, 512, 1024, 256 * CHUNK, 256 * CHUNK + 257])
@pytest.mark.parametrize("padding", ["same", "center"])
def test_number_of_frames(samples: int, padding: str) -> None:
    spec = dataclasses.replace(SPEC, padding=padding)
    audio = Audio(np.random.default_rng(0).normal(0, 0.1, samples), 22050)
    if samples <= spec.pad:
        with pytest.raises(UserError, match="too short"):
            log_mel(audio, spec)
        return
    expected = samples // 256 + (padding == "center")
    assert len(log_mel(audio, spec)) == spec.n_frames(samples) == expected


def test_silence_is_the_bottom() -> None:
    mel = log_mel(Audio(np.zeros(22050), 22050), dataclasses.replace(SPEC, power_epsilon=0.0))
    assert np.allclose(mel, np.log(1e-5))


@pytest.mark.parametrize("samples", [0, 1, 256, 384])
def test_too_short_is_refused(samples: int) -> None:
    with pytest.raises(UserError, match="too short"):
        log_mel(Audio(np.zeros(samples), 22050), SPEC)


def test_another_rate_is_refused_with_the_mend() -> None:
    with pytest.raises(UserError, match=r"16000 Hz.*22050 Hz.*audio\.resample\(22050\)"):
        log_mel(Audio(np.zeros(16000), 16000), SPEC)


def test_fingerprint_is_frozen_and_sees_every_field() -> None:
    # Checkpoints and prepared corpora carry it: a change here orphans them all.
    assert SPEC.fingerprint() == "f0ac3443515fd9d8" and SPEECHT5.fingerprint() == "ff426c843921f651"
    changed = dict(
        sample_rate=24000, n_fft=2048, win_length=800, hop_length=200, n_mels=100, f_min=20.0, f_max=7600.0,
        floor=1e-6, power_epsilon=0.0, log_base="10", padding="center", mel_scale="htk", mel_norm="none",
    )  # fmt: skip
    seen = {SPEC.fingerprint()} | {
        dataclasses.replace(SPEC, **{k: v}).fingerprint() for k, v in changed.items()
    }
    assert set(changed) == {f.name for f in dataclasses.fields(MelSpec)}
    assert len(seen) == len(dataclasses.fields(MelSpec)) + 1


def test_difference_names_the_fields() -> None:
    other = dataclasses.replace(SPEC, f_max=11025.0, hop_length=300)
    assert diff(SPEC, other) == ["hop_length: 256 -> 300", "f_max: 8000.0 -> 11025.0"]
    with pytest.raises(UserError, match=r"vocoder: .*hop_length: 256 -> 300, f_max: 8000.0 -> 11025.0"):
        require_same(SPEC, other, "vocoder")
    require_same(SPEC, MelSpec(), "vocoder")


@pytest.mark.parametrize(
    "fields", [{"f_max": 12000.0}, {"hop_length": 0}, {"n_fft": 512}, {"floor": 0.0}, {"f_min": 9000.0}]
)
def test_nonsense_is_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        MelSpec(**fields)


def test_saved_and_loaded(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEECHT5, floor=2e-10)
    spec.save(tmp_path / "features.json")
    assert MelSpec.load(tmp_path / "features.json") == spec
    (tmp_path / "features.json").write_text('{"hop_lenght": 256}')
    with pytest.raises(UserError, match='did you mean "hop_length"'):
        MelSpec.load(tmp_path / "features.json")


def test_audio_needs_neither_torch_nor_librosa() -> None:
    code = "import intona.audio, sys; print([m for m in ('torch', 'librosa', 'pyworld') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
