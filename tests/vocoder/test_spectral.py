"""Losses against closed forms and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch

from intona.audio import Audio, MelSpec
from intona.vocoder.spectral import MultiResolution, anti_wrapped, consistency, emphasis, phase_losses
from intona.vocoder.stft import Stft


def test_anti_wrapped_is_the_angle_between() -> None:
    a, b = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0)) * 40 - 20
    between = torch.atan2(torch.sin(a - b), torch.cos(a - b)).abs()
    assert torch.allclose(anti_wrapped(a - b), between, atol=2e-5)
    assert float(anti_wrapped(torch.tensor(2 * math.pi))) == 0


def test_whole_turns_cost_nothing_and_a_ramp_costs_its_slope() -> None:
    phase = torch.rand(2, 9, 7, generator=torch.Generator().manual_seed(0))
    turns = 2 * math.pi * torch.randint(-3, 3, phase.shape, generator=torch.Generator().manual_seed(1))
    assert all(v < 1e-5 for v in phase_losses(phase + turns, phase).values())
    # An error that grows by 0.1 a frame and 0.2 a bin.
    error = 0.1 * torch.arange(9)[:, None] + 0.2 * torch.arange(7)
    losses = phase_losses(phase + error, phase)
    assert float(losses["group_delay"]) == pytest.approx(0.2, abs=1e-5)
    assert float(losses["angular_frequency"]) == pytest.approx(0.1, abs=1e-5)
    assert float(losses["phase"]) == pytest.approx(float(error.mean()), abs=1e-5)
    ones = phase_losses(phase + error, phase, torch.ones_like(phase))
    assert all(torch.isclose(ones[k], losses[k]) for k in losses)


def test_a_shift_in_time_costs_group_delay() -> None:
    """A click one sample late turns the phase by 2 pi / n_fft more each bin (the shift theorem)."""
    stft = Stft(MelSpec())
    clicks = torch.zeros(2, 256 * 12 + 768)
    clicks[0, 1500] = clicks[1, 1501] = 1
    early, late = stft(clicks)[:, 2:5].angle()
    losses = phase_losses(late[None], early[None])
    assert float(losses["group_delay"]) == pytest.approx(2 * math.pi / 1024, rel=1e-3)
    assert float(losses["angular_frequency"]) == pytest.approx(0, abs=1e-3)


def test_emphasis_has_mean_one_and_follows_the_power() -> None:
    amplitude = torch.rand(3, 8, 6, generator=torch.Generator().manual_seed(0)) + 0.1
    weight = emphasis(amplitude.log(), 0.5)
    assert torch.allclose(weight.mean(dim=(1, 2)), torch.ones(3))
    assert torch.allclose(weight[0, 0, 0] / weight[0, 1, 1], (amplitude[0, 0, 0] / amplitude[0, 1, 1]).sqrt())
    assert torch.equal(emphasis(amplitude.log(), 0.0), torch.ones_like(amplitude))
    band = torch.tensor([1.0, 1, 1, 0, 0, 0])
    masked = emphasis(amplitude.log(), 0.5, band[None, None])
    assert bool((masked[:, :, 3:] == 0).all()) and torch.allclose(masked.mean(dim=(1, 2)), torch.ones(3))


def test_a_sounds_own_spectrum_is_consistent_and_another_is_not(speech: Audio) -> None:
    stft = Stft(MelSpec())
    samples = torch.from_numpy(speech.samples[None, : 256 * 40])
    spectrum = stft(stft.padded(samples))
    assert float(consistency(spectrum, stft(stft.padded(stft.inverse(spectrum))), spectrum)) < 1e-9
    half = 0.5 * spectrum
    assert float(consistency(spectrum, half, spectrum)) == pytest.approx(0.25, rel=1e-5)
    assert float(consistency(10 * spectrum, 10 * half, 10 * spectrum)) == pytest.approx(0.25, rel=1e-5)


def test_several_resolutions_against_scipy(speech: Audio) -> None:
    samples = torch.from_numpy(speech.samples[None, 4000:12000])
    other = 0.5 * samples.roll(100, dims=1)
    loss = MultiResolution(((256, 64), (1024, 256)))
    expected = {"convergence": [], "log_magnitude": []}
    for n_fft, hop in loss.resolutions:
        a, b = (
            np.abs(
                scipy.signal.stft(
                    x[0].numpy(),
                    window=scipy.signal.get_window("hann", n_fft),
                    nperseg=n_fft,
                    noverlap=n_fft - hop,
                    boundary=None,
                    padded=False,
                    scaling="spectrum",
                )[2]
            )
            * n_fft
            / 2
            for x in (other, samples)
        )
        a, b = np.maximum(a, 1e-3), np.maximum(b, 1e-3)
        expected["convergence"].append(np.linalg.norm(a - b) / np.linalg.norm(b))
        expected["log_magnitude"].append(np.abs(np.log(a) - np.log(b)).mean())
    for name, value in loss(other, samples).items():
        assert float(value) == pytest.approx(np.mean(expected[name]), rel=1e-4)
    # Half the level: log 2 wherever the sound is above the floor; convergence exactly 1/2.
    halved = MultiResolution(floor=1e-9)(0.5 * samples, samples)
    assert float(halved["convergence"]) == pytest.approx(0.5, rel=1e-5)
    assert float(halved["log_magnitude"]) == pytest.approx(math.log(2), rel=1e-3)
