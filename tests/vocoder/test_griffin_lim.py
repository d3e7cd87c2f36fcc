"""Griffin-Lim: an exact inverse of its own transform, and as good as librosa's."""

from __future__ import annotations

import dataclasses

import librosa
import numpy as np
import pytest
import torch

from intona.audio import SPEECHT5, Audio, MelSpec, log_mel
from intona.vocoder import GriffinLim, load_vocoder

SPEC = MelSpec()


def inconsistency(wave: np.ndarray, magnitudes: np.ndarray) -> float:
    """How far the wave's own magnitudes are from the wanted ones, relative (librosa's STFT judges both)."""
    got = np.abs(librosa.stft(wave, n_fft=1024, hop_length=256))
    n = min(got.shape[1], magnitudes.shape[1])
    return float(np.linalg.norm(got[:, :n] - magnitudes[:, :n]) / np.linalg.norm(magnitudes))


def test_transform_and_inverse_are_exact(speech: Audio) -> None:
    g = GriffinLim(SPEC)
    frames = (len(speech) - 1024) // 256 + 1
    back = g.istft(g.stft(speech.samples, frames))
    # Not at the very ends, where only the tail of one window reaches.
    assert np.abs(back[256:-256] - speech.samples[256 : len(back) - 256]).max() < 1e-5


def test_as_good_as_librosas(speech: Audio) -> None:
    spec = dataclasses.replace(SPEC, padding="center")
    magnitudes = np.abs(librosa.stft(speech.samples, n_fft=1024, hop_length=256, pad_mode="reflect"))
    ours = GriffinLim(spec, iterations=32).waveform(np.ascontiguousarray(magnitudes.T))
    theirs = librosa.griffinlim(
        magnitudes, n_iter=32, hop_length=256, n_fft=1024, momentum=0.99, random_state=0, pad_mode="reflect"
    )
    assert abs(len(ours) - len(theirs)) <= 256
    assert inconsistency(ours, magnitudes) < 1.1 * inconsistency(theirs, magnitudes) < 0.3


def test_more_iterations_are_nearer(speech: Audio, mel: np.ndarray) -> None:
    errors = []
    for iterations in (1, 8, 32):
        wave = GriffinLim(SPEC, iterations=iterations).decode(torch.from_numpy(mel)[None])
        assert wave.shape == (1, 256 * len(mel)) and wave.abs().max() <= 1
        again = log_mel(Audio(wave[0].numpy(), 22050), SPEC)
        errors.append(float(np.abs(again - mel).mean()))
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.25


def test_momentum_helps(mel: np.ndarray) -> None:
    g = GriffinLim(SPEC, iterations=32)
    magnitudes = g.magnitudes(mel)

    def error(momentum: float) -> float:
        wave = np.pad(GriffinLim(SPEC, iterations=32, momentum=momentum).waveform(magnitudes), SPEC.pad)
        got = np.abs(g.stft(wave, len(magnitudes)))
        return float(np.linalg.norm(got - magnitudes)[()])

    assert error(0.99) < error(0.0)


def test_magnitudes_are_not_negative_and_give_the_mel(mel: np.ndarray) -> None:
    g = GriffinLim(SPEC)
    magnitudes = g.magnitudes(mel)
    assert (magnitudes >= 0).all()
    again = np.log(np.maximum(magnitudes @ g.filters.T, 1e-5))
    assert np.abs(again - mel).mean() < 0.02


def test_same_mel_same_sound_and_each_of_a_batch_alone(mel: np.ndarray) -> None:
    g = GriffinLim(SPEC, iterations=4)
    two = torch.from_numpy(np.stack([mel, mel - 1]))
    assert torch.equal(g.decode(two), g.decode(two))
    assert torch.equal(g.decode(two)[1:], g.decode(two[1:]))


def test_log10_and_centred_spec(speech: Audio) -> None:
    mel = log_mel(speech.resample(16000), SPEECHT5)
    wave = GriffinLim(SPEECHT5).decode(torch.from_numpy(mel)[None])[0].numpy()
    assert np.abs(log_mel(Audio(wave, 16000), SPEECHT5) - mel[: len(wave) // 256 + 1]).mean() < 0.2


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames(frames: int) -> None:
    wave = load_vocoder("griffin-lim").decode(torch.zeros(1, frames, 80))
    assert wave.shape == (1, 256 * frames) and bool(torch.isfinite(wave).all())
