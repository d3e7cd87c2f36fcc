"""Stage vocoder.source_filter: its losses, a resume to the bit, and a run that is a vocoder."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import checkpoint, systems
from intona.audio import MelSpec
from intona.systems.vocoder import source_filter as stage
from intona.systems.vocoder.feed import SegmentFeed
from intona.systems.vocoder.run import DEMO_CLIPS, known_bins
from intona.systems.vocoder.targets import Targets
from intona.vocoder import SourceFilter, load_vocoder
from intona.vocoder.source_filter import PITCH_BINS, Filters
from intona.vocoder.spectral import MultiResolution

pytestmark = pytest.mark.trains

FEW = {"loop.steps": "4", "loop.save_every": "4", "loop.validate_every": "4", "loop.precision": "fp32"}


def train(data: Path, out: Path, init: Path | None = None, **more: str) -> Path:
    return systems.train(
        "vocoder.source_filter", size="toy", data=data, out=out, overrides=FEW | more, init=init
    )


@pytest.fixture(scope="module")
def run(targets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(targets, tmp_path_factory.mktemp("source") / "run").parent


@pytest.mark.parametrize("more", [{}, {"adversary.adversarial": "0.02", "adversary.width": "0.05"}])
def test_half_and_half_is_the_whole_to_the_bit(targets: Path, tmp_path: Path, more: dict[str, str]) -> None:
    train(targets, tmp_path / "whole", **more)
    train(targets, tmp_path / "halves", **more, **{"loop.steps": "2"})
    train(targets, tmp_path / "halves", **more)
    for kind in ("model", "ema", "state/optimizer"):
        a, b = (
            checkpoint.read_tensors(checkpoint.resolve(tmp_path / r) / f"{kind}.safetensors")
            for r in ("whole", "halves")
        )
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_is_a_vocoder_and_another_starts_from_it(targets: Path, run: Path, tmp_path: Path) -> None:
    vocoder = load_vocoder(run, bf16=False)
    assert isinstance(vocoder, SourceFilter)
    wave = vocoder.decode(torch.full((1, 60, 80), -6.0))
    assert wave.shape == (1, 60 * 256) and bool(torch.isfinite(wave).all())
    more = {"loop.steps": "1", "adversary.adversarial": "0.02", "adversary.width": "0.05"}
    newest = train(targets, tmp_path / "second", init=run, **more)
    assert load_vocoder(newest).decode(torch.zeros(1, 9, 80)).shape == (1, 9 * 256)
    # A run without discriminators starts from one that has them.
    train(targets, tmp_path / "third", init=newest, **{"loop.steps": "1"})


def test_the_recordings_phases_are_those_of_its_fundamental(targets: Path) -> None:
    """A filter with the phase that is left between the recording and the pulses has no phase loss, and the
    phases of the lowest harmonics stand near 0 to begin with: the pulses run in time with the recording."""
    read = Targets(targets)
    torch.manual_seed(0)
    task = stage.SourceFilterTask(stage.toy(), read)
    batch = SegmentFeed(read, segment=48, batch=2, teacher=0.0, seed=0, pitch=True).next()
    assert batch.pitch is not None
    f0 = batch.pitch[..., 0]
    phase = stage.unwrapped_phase(batch.pitch[..., 1], stage.bridged(f0), read.spec)
    target, source = task.model.stft(batch.samples), task.model.harmonics(f0, phase)
    ratio = target / source.clone().masked_fill(source.abs() < 1e-6, 1)

    def losses(rotation: torch.Tensor) -> dict[str, float]:
        silence = torch.full_like(f0, -9)[..., None].expand(target.shape)
        filters = Filters(harmonic=silence, noise=silence, real=rotation.real, imag=rotation.imag)
        return {k: float(v) for k, (v, _) in task.terms(filters, batch, -2)[0].items()}

    right, zero = losses(ratio), losses(torch.ones_like(target))
    assert right["phase"] < 1e-3 and zero["phase"] > 1
    voiced = (f0 > 0).nonzero()
    bins = (f0[f0 > 0] / read.spec.sample_rate * 1024).round().long()
    first = ratio[voiced[:, 0], voiced[:, 1], bins].angle().abs()
    assert float(first.median()) < 0.3


def test_pitch_loss_is_the_entropy_at_its_least() -> None:
    centres = torch.linspace(6, 9, PITCH_BINS)
    f0 = torch.tensor([[0.0, 150.0, 211.0]])
    width = float(centres[1] - centres[0])
    target = (
        (-0.5 * ((f0.clamp_min(1).log2()[..., None] - centres) / width) ** 2).softmax(-1).clamp_min(1e-30)
    )
    entropy = -(target * target.log())[0, 1:].sum(-1).mean()
    least = stage.pitch_loss(target.log(), f0, centres, 1.0)
    assert float(least) == pytest.approx(float(entropy), rel=1e-5)
    assert float(entropy) == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=0.01)
    assert stage.pitch_loss(torch.zeros_like(target), f0, centres, 1.0) > least
    assert float(stage.pitch_loss(torch.zeros_like(target), 0 * f0, centres, 1.0)) == 0


def test_bins_above_the_band_of_a_recording_are_not_known() -> None:
    known = known_bins(torch.tensor([5512.5, float("inf")]), MelSpec())
    assert known.shape == (2, 1, 513) and known[0, 0, :257].all() and not known[0, 0, 257:].any()
    assert known[1].all()


def test_energy_distance_prefers_noise_of_the_right_level_to_a_smooth_spectrum() -> None:
    """With the distance to the target alone the smooth sound would win; both draws are compared as well."""
    generator = torch.Generator().manual_seed(0)
    distance = MultiResolution(((512, 128),))

    def draw(level: float) -> torch.Tensor:
        return level * torch.randn(2, 16384, generator=generator)

    target = draw(0.1)
    values = {
        level: float(distance.energy_distance(target, draw(level), draw(level))) for level in (0.05, 0.1, 0.2)
    }
    assert values[0.1] < values[0.05] and values[0.1] < values[0.2]
    # A click a hop has the same magnitude in every frame and bin: the smooth spectrum, whose draws are equal.
    click = torch.zeros(2, 16384)
    click[:, 64::128] = 1
    magnitude = distance.magnitudes(click, 512, 128).mean()
    click *= distance.magnitudes(target, 512, 128).mean() / magnitude
    assert values[0.1] < float(distance.energy_distance(target, click, click))
    assert float(distance.energy_distance(target, target, target)) == pytest.approx(0, abs=1e-5)
    first, second = draw(0.1), draw(0.1)
    whole, half, none = (
        float(distance.energy_distance(target, first, second, repulsion=r)) for r in (1.0, 0.5, 0.0)
    )
    assert whole < half < none and half == pytest.approx((whole + none) / 2, rel=1e-4)


def test_demonstrate_leaves_the_task_ready_to_train(targets: Path, tmp_path: Path) -> None:
    task = stage.SourceFilterTask(stage.toy(), Targets(targets))
    task.demonstrate(tmp_path / "demo", 1)
    assert len(list((tmp_path / "demo").glob("*.wav"))) == 2 * min(2, DEMO_CLIPS)
    assert all(p.requires_grad for p in task.parameters())
    assert np.isfinite(sum(float(p.detach().sum()) for p in task.parameters()))
