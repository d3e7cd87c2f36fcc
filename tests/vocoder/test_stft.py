"""The transform in torch: frames of the mel to the sample, an exact inverse, and refusals."""

from __future__ import annotations

import dataclasses

import librosa
import numpy as np
import pytest
import torch

from intona.audio import SPEECHT5, Audio, MelSpec
from intona.errors import UserError
from intona.vocoder.stft import Stft

SPEC = MelSpec()


@pytest.fixture(scope="module")
def stft() -> Stft:
    return Stft(SPEC)


def test_there_and_back_is_the_recording(stft: Stft, speech: Audio) -> None:
    """Every sample, the first and the last too: T frames stand for T * hop samples."""
    n = len(speech) // 256 * 256
    samples = torch.from_numpy(speech.samples[None, :n])
    spectrum = stft(stft.padded(samples))
    back = stft.inverse(spectrum)
    assert spectrum.shape == (1, n // 256, 513) and back.shape == (1, n)
    assert (back - samples).abs().max() < 2e-6


def test_frames_lie_where_the_mel_has_them(stft: Stft, speech: Audio, mel: np.ndarray) -> None:
    again = stft.log_mel(stft(stft.padded(torch.from_numpy(speech.samples[None]))))[0].numpy()
    assert again.shape == mel.shape and np.abs(again - mel).max() < 2e-3  # float32 against float64


def test_a_click_is_in_the_frames_around_it(stft: Stft) -> None:
    samples = torch.zeros(1, 256 * 20)
    samples[0, 10 * 256 + 128] = 1  # the centre of frame 10
    magnitude = stft(stft.padded(samples)).abs()[0, :, 0]
    assert int(magnitude.argmax()) == 10 and torch.allclose(magnitude[9], magnitude[11], atol=1e-6)


def test_inverse_is_librosas(stft: Stft, speech: Audio) -> None:
    """A spectrum that is no sound's: both must give the least-squares signal, far from the ends."""
    rng = np.random.default_rng(0)
    spectrum = (rng.normal(size=(40, 513)) + 1j * rng.normal(size=(40, 513))).astype(np.complex64)
    spectrum[:, [0, -1]] = spectrum[:, [0, -1]].real
    ours = stft.inverse(torch.from_numpy(spectrum[None]))[0].numpy()
    theirs = librosa.istft(spectrum.T, n_fft=1024, hop_length=256, center=False)[384:]
    assert np.abs(ours[1024:-1024] - theirs[1024 : len(ours) - 1024]).max() < 1e-5


@pytest.mark.parametrize(
    "spec", [SPEECHT5, dataclasses.replace(SPEC, hop_length=300), dataclasses.replace(SPEC, padding="center")]
)
def test_refuses_features_that_it_cannot_invert(spec: MelSpec) -> None:
    with pytest.raises(UserError, match="needs features with padding"):
        Stft(spec)
