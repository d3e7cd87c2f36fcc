"""The vocoder with an inverse-STFT head: shapes, chunks, what it reaches, files that do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import checkpoint
from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.vocoder import GriffinLim, Vocos, VocosConfig, load_vocoder
from intona.vocoder.trunk import NETWORK, TrunkConfig
from intona.vocoder.vocos import VocosNetwork, untrained

SPEC = MelSpec()
TINY = VocosConfig(trunk=TrunkConfig(width=24, depth=2, expand=2))


def build(config: VocosConfig = TINY, **options: object) -> Vocos:
    torch.manual_seed(0)
    network = untrained(config, SPEC)
    return Vocos(network, network.config, SPEC, **{"bf16": False, **options})  # type: ignore[arg-type]


@pytest.fixture
def some(mel: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mel)[None]


def test_default_size_fits_in_20_megabytes() -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in VocosNetwork(VocosConfig(), SPEC).parameters())
    assert 7e6 < parameters < 10e6


def test_untrained_amplitude_is_the_pseudo_inverse_and_keeps_the_mel(some: torch.Tensor) -> None:
    """FreeV's start: before any step the predicted magnitudes already give back the mel they came from."""
    network = build().network
    spectrum = network.spectrum(some)
    magnitude = spectrum.log_amplitude.exp()
    again = (magnitude @ network.stft.filters).clamp_min(SPEC.floor).log()
    loud = some > np.log(1e-2)
    assert (again - some)[loud].abs().mean() < 0.15
    assert torch.allclose(spectrum.complex.abs(), magnitude, rtol=1e-3, atol=1e-6)
    assert torch.allclose(spectrum.complex.angle(), spectrum.phase, atol=1e-3)


@pytest.mark.parametrize("chunk", [7, 31, 64])
@pytest.mark.parametrize("refinements", [0, 3])
def test_chunks_are_the_whole(some: torch.Tensor, chunk: int, refinements: int) -> None:
    config = dataclasses.replace(TINY, refinements=refinements)
    whole = build(config).decode(some)
    assert whole.shape == (1, 256 * some.shape[1]) and whole.std() > 1e-4
    assert (whole - build(config, chunk_frames=chunk).decode(some)).abs().max() < 1e-4


def test_refinements_bring_the_sound_nearer_to_the_amplitudes(some: torch.Tensor) -> None:
    """And as near as the other implementation comes from the same amplitudes."""
    errors = []
    for refinements in (0, 4, 32):
        network = build(dataclasses.replace(TINY, refinements=refinements)).network
        amplitude = network.spectrum(some).log_amplitude.exp()
        got = network.stft(network.stft.padded(network(some))).abs()
        errors.append(float((got - amplitude).norm() / amplitude.norm()))
    other = GriffinLim(SPEC, iterations=32)
    wave = np.pad(other.waveform(amplitude[0].numpy()), SPEC.pad)
    got = np.abs(other.stft(wave, some.shape[1]))
    theirs = float(np.linalg.norm(got - amplitude[0].numpy()) / np.linalg.norm(amplitude[0].numpy()))
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1.1 * theirs


@pytest.mark.parametrize("size", [5, 40])
def test_chunks_that_come_in_turn_are_the_whole(some: torch.Tensor, size: int) -> None:
    vocoder = build()
    parts = list(vocoder.stream(some[0].split(size)))
    assert np.abs(np.concatenate(parts) - vocoder.decode(some)[0].numpy()).max() < 1e-5


def test_reach_holds_and_is_tight() -> None:
    network = build().network.double()
    for p in network.parameters():
        p.requires_grad_(False)
    for block in network.trunk.blocks:
        block.modulation.bias.fill_(1)  # type: ignore[union-attr, operator]
    # The trunk alone: the pseudo-inverse sees one frame, and the mel is cast to float32 before it.
    x = torch.randn(1, 41, 80, dtype=torch.float64)

    def affected(change: torch.Tensor) -> torch.Tensor:
        one = x.new_ones(1, 1)
        outs = []
        for value in (x, x + change):
            h = network.trunk.norm_in(network.trunk.inlet(value))
            for block in network.trunk.blocks:
                h = block(h, one, None)
            outs.append(h)
        return (outs[0] - outs[1]).abs().sum(-1)[0].nonzero()[:, 0] - 20

    change = torch.zeros_like(x)
    change[0, 20] = 1
    felt = affected(change)
    # A frame reaches two further by the overlap of the inverse transform.
    assert int(felt.abs().max()) + 2 == TINY.reach


def test_bf16_is_close_to_float32(some: torch.Tensor) -> None:
    high, low = build().decode(some), build(bf16=True).decode(some)
    assert low.dtype == torch.float32 and (low - high).norm() / high.norm() < 0.08


def test_no_frames_no_samples_and_one_frame() -> None:
    assert build().decode(torch.zeros(2, 0, 80)).shape == (2, 0)
    assert build().decode(torch.zeros(1, 1, 80)).shape == (1, 256)


def test_refuses_what_is_no_mel() -> None:
    with pytest.raises(UserError, match="shape"):
        build().decode(torch.zeros(10, 80))
    with pytest.raises(UserError, match="NaN"):
        build().decode(torch.full((1, 5, 80), torch.nan))
    with pytest.raises(UserError, match="f_max"):
        build().speak(np.zeros((5, 80), np.float32), dataclasses.replace(SPEC, f_max=11025.0))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    vocoder = build()
    state = {f"model.{k}": v for k, v in vocoder.network.state_dict().items()}
    return checkpoint.save(
        tmp_path / "run",
        3,
        tensors={"model": state, "ema": state},
        files={
            NETWORK: configs.to_dict(vocoder.config),
            "features.json": configs.to_dict(SPEC),
            "config.json": {"stage": "vocoder.vocos"},
        },
    )


def test_a_run_a_checkpoint_and_a_published_model_speak_alike(
    saved: Path, some: torch.Tensor, tmp_path: Path
) -> None:
    expected = build().decode(some)
    for directory in (saved, saved.parent):
        assert torch.equal(load_vocoder(directory, bf16=False).decode(some), expected)
    small = checkpoint.publish(saved, tmp_path / "small", card={"kind": "vocoder"})
    half = load_vocoder(small, bf16=False).decode(some)
    assert (half - expected).norm() / expected.norm() < 0.02
    assert not any(
        "inverse" in k or "window" in k for k in checkpoint.read_tensors(saved / "ema.safetensors")
    )


def spoil(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    checkpoint.write_index(path.parent, [p for p in json.loads((path.parent / "files.json").read_text())])


@pytest.mark.parametrize(
    ("file", "fields", "reason"),
    [
        ("features.json", {"f_max": 11025.0}, "fingerprint .* trained on f0ac3443515fd9d8"),
        (NETWORK, {"kind": "wavenet"}, 'unknown vocoder "wavenet"'),
        (NETWORK, {"features": ""}, "none that is named"),
        (NETWORK, {"n_mels": 100}, "weights for 100 mels"),
        (NETWORK, {"trunk": {"width": 32}}, "do not fit the config"),
        (NETWORK, {"trunk": {"kernel": 4}}, "odd"),
        (NETWORK, {"trunk": {"depth": 100000}}, "more than 1000"),
    ],
)
def test_refuses_a_spoilt_directory(saved: Path, file: str, fields: dict, reason: str) -> None:
    spoil(saved / file, **fields)
    with pytest.raises(UserError, match=reason):
        load_vocoder(saved)


def test_refuses_damaged_weights(saved: Path) -> None:
    weights = saved / "ema.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="truncated"):
        load_vocoder(saved)
