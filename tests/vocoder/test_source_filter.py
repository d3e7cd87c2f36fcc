"""Pulses and noise as a source, and the vocoder that filters them."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio, MelSpec, f0_contour
from intona.errors import UserError
from intona.vocoder import load_vocoder
from intona.vocoder.source import analyse, bridged, noise, noise_table, pulses, running_phase, unwrapped_phase
from intona.vocoder.source_filter import SourceFilter, SourceFilterConfig, untrained
from intona.vocoder.stft import Stft
from intona.vocoder.trunk import NETWORK, TrunkConfig

SPEC = MelSpec()
SMALL = TrunkConfig(width=24, depth=1, expand=2)
TINY = SourceFilterConfig(trunk=SMALL, pitch=SMALL, refinements=2)


def test_running_phase_is_the_integral_of_the_pitch() -> None:
    """A pitch that rises linearly: the trapezoidal rule is exact."""
    seconds = torch.arange(50, dtype=torch.float64) * 256 / 22050
    phase = running_phase((100 + 30 * seconds)[None], SPEC, torch.tensor([0.5]))[0]
    assert torch.allclose(phase, 0.5 + 2 * math.pi * (100 * seconds + 15 * seconds**2), atol=1e-4)


def test_unwrapping_finds_the_turns_again() -> None:
    f0 = 80 + 20 * torch.rand(2, 60, generator=torch.Generator().manual_seed(0))
    true = running_phase(f0 * 1.02, SPEC)  # the contour is 2 % off
    wrapped = torch.remainder(true + math.pi, 2 * math.pi) - math.pi
    back = unwrapped_phase(wrapped.float(), f0, SPEC)
    assert torch.allclose(back.diff(dim=1), true.diff(dim=1), atol=1e-3)


def test_pulses_are_the_sum_of_the_harmonics() -> None:
    f0 = torch.full((1, 30), 210.0)
    phase = running_phase(f0, SPEC, torch.tensor([0.3]))
    got = pulses(phase, f0, SPEC, 384)[0].double()
    at = torch.arange(-384, 30 * 256 + 384, dtype=torch.float64) - 127.5  # frame 0 is centred at sample 127.5
    theta = 0.3 + 2 * math.pi * 210 / 22050 * at
    expected = sum(torch.cos(k * theta) for k in range(1, int(22050 / 2 / 210) + 1)) / 256
    assert torch.allclose(got, expected, atol=1e-4)
    spectrum = Stft(SPEC)(got.float()[None])[0]
    assert float(spectrum.abs().max()) == pytest.approx(1, abs=0.02)
    # At a harmonic the bin's phase is that of the harmonic, at the middle of the window: half a sample later.
    k = 21  # 210 Hz x 21 = 4410 Hz, near bin 205
    middle = phase[0, 15] + math.pi * 210 / 22050
    difference = (
        spectrum[15, 205].angle() - k * middle - math.pi * 205
    )  # a transform counts from its first sample
    assert abs(math.remainder(float(difference), 2 * math.pi)) < 0.02


def test_pulses_are_silent_where_unvoiced() -> None:
    f0 = torch.tensor([[0.0] * 10 + [120.0] * 10])
    got = pulses(running_phase(bridged(f0), SPEC), f0, SPEC, 0)[0]
    assert not got[: 10 * 256].any() and got[11 * 256 :].abs().max() > 0.1
    assert not pulses(torch.zeros(1, 1), torch.zeros(1, 1), SPEC, 384).any()


def test_noise_has_power_one_a_bin_and_does_not_depend_on_where_a_chunk_begins() -> None:
    table = noise_table(SPEC)
    spectrum = Stft(SPEC)(noise(table, torch.tensor([1000]), 256 * 400 + 768))
    assert float(spectrum.abs().square()[:, :, 2:-2].mean()) == pytest.approx(1, rel=0.02)
    whole = noise(table, torch.tensor([len(table) - 50]), 200)
    assert torch.equal(noise(table, torch.tensor([len(table) + 10]), 50)[0], whole[0, 60:110])


def test_the_fundamental_is_followed_through_a_glide() -> None:
    t = np.arange(22050) / 22050
    f = 120 + 40 * t
    theta = 2 * np.pi * np.cumsum(f) / 22050 + 0.7
    tone = sum(np.cos(k * theta) / k for k in range(1, 8)) * 0.1
    found = analyse(Audio(tone, 22050), SPEC)
    centres = ((np.arange(len(found)) + 0.5) * 256 - 0.5).astype(int)
    error = np.angle(np.exp(1j * (found[:, 1] - theta[centres])))
    assert np.abs(error[5:-5]).max() < 0.05 and np.abs(found[5:-5, 0] - f[centres][5:-5]).max() < 1
    assert not analyse(Audio(np.zeros(4000), 22050), SPEC)[:, 0].any()


def build(**options: object) -> SourceFilter:
    """Random filters, and a pitch that is voiced in some frames and not in others."""
    torch.manual_seed(0)
    network = untrained(TINY, SPEC)
    with torch.no_grad():
        network.pitch_out.weight.mul_(8)
    return SourceFilter(network, network.config, SPEC, **{"bf16": False, **options})  # type: ignore[arg-type]


@pytest.fixture
def some(mel: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([mel, mel[::-1] - 1]))


def test_mixed_voicing_in_what_the_next_tests_decode(some: torch.Tensor) -> None:
    voiced = build().network.pitch(some) > 0
    assert 0.05 < float(voiced.float().mean()) < 0.95


@pytest.mark.parametrize("chunk", [1, 7, 31, 64])
def test_chunks_are_the_whole(some: torch.Tensor, chunk: int) -> None:
    assert TINY.refinements > 0
    whole = build().decode(some)
    assert whole.shape == (2, 256 * some.shape[1]) and 1e-3 < whole.std() < 0.5
    assert (whole - build(chunk_frames=chunk).decode(some)).abs().max() < 2e-4


@pytest.mark.parametrize("size", [5, 40])
def test_chunks_that_come_in_turn_are_the_whole(some: torch.Tensor, size: int) -> None:
    vocoder = build()
    parts = list(vocoder.stream(some[0].split(size)))
    assert len(parts) > 2
    assert np.abs(np.concatenate(parts) - vocoder.decode(some[:1])[0].numpy()).max() < 2e-4


def test_a_steady_mel_gives_a_steady_pitch() -> None:
    """What a network that sees frames alone cannot do: the pitch is no multiple of the frame rate."""
    vocoder = build()
    network = vocoder.network
    with torch.no_grad():
        network.pitch_out.weight.zero_()
        network.pitch_out.bias.zero_()
        network.pitch_out.bias[40] = 20
        network.pitch_out.bias[-1] = 5
        network.out.weight.zero_()
    expected = float(network.centres[40].exp2())
    wave = vocoder.decode(torch.full((1, 120, 80), -4.0))[0].numpy()
    f0 = f0_contour(Audio(wave, 22050)).f0[10:-10]
    assert expected % (22050 / 256) > 5 and np.median(f0) == pytest.approx(expected, rel=0.01)


def test_refinements_bring_the_sound_nearer_to_the_expected_amplitudes(some: torch.Tensor) -> None:
    errors = []
    for refinements in (0, 4, 16):
        network = build().network
        network.config = dataclasses.replace(network.config, refinements=refinements)
        f0 = network.pitch(some)
        phase, first = running_phase(bridged(f0), SPEC), torch.zeros(2, dtype=torch.long)
        filters = network.filters(some)
        harmonic = filters.complex.abs() * network.harmonics(f0, phase).abs()
        expected = (harmonic.square() + (2 * filters.noise).exp()).sqrt()
        got = network.stft(network.stft.padded(network(some, f0, phase, first))).abs()
        error = (got - expected)[f0 > 0]  # an unvoiced frame keeps the amplitudes of its own noise
        errors.append(float(error.norm() / expected[f0 > 0].norm()))
    assert errors[0] > 1.1 * errors[1] > 1.1 * errors[2]


def test_no_frames_and_one_frame() -> None:
    assert build().decode(torch.zeros(2, 0, 80)).shape == (2, 0)
    assert build().decode(torch.zeros(1, 1, 80)).shape == (1, 256)
    with pytest.raises(UserError, match="NaN"):
        build().decode(torch.full((1, 5, 80), torch.nan))


def test_a_published_model_speaks_as_the_run(some: torch.Tensor, tmp_path: Path) -> None:
    vocoder = build()
    state = {f"model.{k}": v for k, v in vocoder.network.state_dict().items()}
    saved = checkpoint.save(
        tmp_path / "run",
        3,
        tensors={"model": state, "ema": state},
        files={
            NETWORK: configs.to_dict(vocoder.config),
            "features.json": configs.to_dict(SPEC),
            "config.json": {"stage": "vocoder.source_filter"},
        },
    )
    loaded = load_vocoder(saved.parent, bf16=False)
    assert isinstance(loaded, SourceFilter) and torch.equal(loaded.decode(some), vocoder.decode(some))
    small = load_vocoder(checkpoint.publish(saved, tmp_path / "small", card={"kind": "vocoder"}), bf16=False)
    assert small.decode(some).shape == (2, 256 * some.shape[1])


@pytest.mark.parametrize(
    "fields", [{"f_min": 300.0, "f_max": 200.0}, {"f_min": 1.0}, {"floor": 0.0}, {"f_max": 5000.0}]
)
def test_refuses_sizes_that_are_none(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"f_min|floor"):
        SourceFilterConfig(**fields)
