"""Noise, solvers and Fourier transforms of the runtime against torch's and librosa's."""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import pytest
import torch

from intona.audio import MelSpec
from intona.diffusion import solvers, target
from intona.diffusion.process import Cosine, MeanReverting
from intona.diffusion.shifted import Shifted
from intona.nn.random import ItemRandom
from intona.runtime import stft as transforms
from intona.runtime.noise import NormalGenerator, SentenceRandom
from intona.vocoder import stft as torch_stft

SPEC = MelSpec()


@pytest.mark.parametrize("seed", [0, 5, 2**31, 2**62 + 12345])
@pytest.mark.parametrize("shape", [(2, 8), (3, 7), (113, 80)])
def test_noise_is_torchs(seed: int, shape: tuple[int, int]) -> None:
    reference, generator = torch.Generator().manual_seed(seed), NormalGenerator(seed)
    for _ in range(3):  # the state goes on alike
        expected = torch.randn(*shape, generator=reference).numpy()
        assert np.abs(generator.normal(*shape) - expected).max() < 1e-5


def test_the_noise_of_a_sentence_is_that_of_the_torch_backend() -> None:
    expected = ItemRandom(7, 0, ["2"]).normal([40], 80).numpy()
    assert np.abs(SentenceRandom(7, 2).normal([40], 80) - expected).max() < 1e-5


def test_noise_of_few_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        NormalGenerator(0).normal(3, 5)


@pytest.mark.parametrize("name", solvers.SOLVERS)
@pytest.mark.parametrize("kind", ["noise", "data", "velocity"])
def test_every_solver_gives_the_same_with_arrays_and_tensors(name: str, kind: Any) -> None:
    process, weight = MeanReverting(), np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32) / 3
    draws = np.random.default_rng(2).normal(size=(9, 2, 11, 6)).astype(np.float32)

    def run(convert: Any) -> Any:
        w, supply = convert(weight), iter(convert(d) for d in draws)

        def denoise(z: Any, t: Any) -> tuple[Any, Any]:
            return target.split(kind, process, z @ w, z, t)

        return solvers.solve(name, process, denoise, next(supply), 8, noise=lambda: next(supply))

    array, tensor = run(np.asarray), run(torch.from_numpy).numpy()
    assert array.dtype == np.float32
    assert np.abs(array - tensor).max() < 1e-4 * np.abs(tensor).max()


@pytest.mark.parametrize("process", [Cosine(), Shifted(scale=0.5), MeanReverting()])
def test_every_schedule_gives_the_same_with_arrays_and_tensors(process: Any) -> None:
    t = np.linspace(0.01, 1, 50)
    for function in (process.alpha, process.sigma):
        assert np.allclose(function(t), function(torch.from_numpy(t)).numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("frames", [1, 2, 40, transforms.FEW_FRAMES + 30])
def test_the_transform_and_its_inverse_are_those_of_torch(frames: int) -> None:
    samples = np.random.default_rng(0).normal(size=frames * 256 + 2 * SPEC.pad).astype(np.float32)
    ours, theirs = transforms.ArrayStft(SPEC), torch_stft.Stft(SPEC)
    spectrum = ours(samples)
    assert spectrum.dtype == np.complex64 and spectrum.shape == (frames, 513)
    expected = theirs(torch.from_numpy(samples)[None])
    assert np.abs(spectrum - expected[0].numpy()).max() < 1e-4
    assert np.abs(ours.inverse(spectrum) - theirs.inverse(expected)[0].numpy()).max() < 1e-5
    assert np.abs(ours.inverse(spectrum) - samples[SPEC.pad : -SPEC.pad]).max() < 1e-5
    amplitude = np.abs(spectrum)[:, ::-1].copy()
    refined = theirs.refined(expected, torch.from_numpy(amplitude)[None], 3)[0].numpy()
    assert np.abs(ours.refined(spectrum, amplitude, 3) - refined).max() < 2e-2 * np.abs(refined).max()


def test_the_inverse_is_librosas() -> None:
    """Of a spectrum that belongs to no sound, where the least-squares inverse matters."""
    rng = np.random.default_rng(3)
    spectrum = (rng.normal(size=(30, 513)) + 1j * rng.normal(size=(30, 513))).astype(np.complex64)
    expected = librosa.istft(spectrum.T, hop_length=256, win_length=1024, window="hann", center=False)
    inside = slice(SPEC.pad, SPEC.pad + 30 * 256)
    assert np.abs(transforms.ArrayStft(SPEC).inverse(spectrum) - expected[inside]).max() < 1e-5
