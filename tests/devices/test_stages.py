"""One step of every stage, on the CPU and on a GPU that computes on the CPU: the same losses and gradients.

A tensor that a stage leaves on the wrong device raises. The runs are those of tests/golden, which build on
one another; each takes its step on both devices before it trains on the CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intona.training import stage as stages
from intona.vocoder import load_vocoder

from ..golden.recipes import RECIPES, Runs
from .fake_gpu import fake_gpu

pytestmark = [pytest.mark.trains, pytest.mark.slow]
NAMES = [name for name in RECIPES if name != "meld.codebook"]  # k-means on the CPU: no network
Step = dict[str, torch.Tensor]


def step(task: Any, batch: Any, dev: Any, out: Path) -> Step:
    """The parts of the losses, and the gradients, all on the CPU; the demo sentences are written to `out`."""
    torch.manual_seed(0)  # dropout
    task.train()
    losses = task(batch, 0)
    losses.total.backward()
    values = {f"train {name}": part.total.detach().cpu() for name, part in losses.parts.items()}
    values |= {name: p.grad.cpu() for name, p in task.named_parameters() if p.grad is not None}
    task.eval()
    with torch.no_grad():
        losses = task(dev, 0)
    task.demonstrate(out, 0)
    return values | {f"dev {name}": part.total.detach().cpu() for name, part in losses.parts.items()}


@pytest.fixture(scope="module")
def steps() -> Iterator[dict[Path, tuple[Step, Step]]]:
    """Run directory -> a step on the CPU and the same on the fake GPU, taken before the run trains."""
    pairs: dict[Path, tuple[Step, Step]] = {}
    fit: Callable[..., Path] = stages.fit

    def both(task: Any, config: Any, optim: Any, run: Path, *, feed: Any, **more: Any) -> Path:
        with fake_gpu() as device:
            batch = feed(0, 1).next()
            dev = next(iter(feed(0, 1).validation()), batch)
            moved = copy.deepcopy(task).to(device)
            pairs[run] = (
                step(copy.deepcopy(task), batch, dev, run / "demo-cpu"),
                step(moved, batch.to(device), dev.to(device), run / "demo-gpu"),
            )
        return fit(task, config, optim, run, feed=feed, **more)

    def quick_vocoder(name: str, **more: Any) -> Any:
        return load_vocoder("vocoder-draft" if name == "hifigan" else name, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "fit", both)
        patch.setattr("intona.vocoder.load_vocoder", quick_vocoder)  # of the demo sentences
        yield pairs


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, steps: object) -> Runs:
    return Runs(tmp_path_factory.mktemp("devices"), request.getfixturevalue)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_the_same_on_a_gpu(
    name: str, runs: Runs, steps: dict[Path, tuple[Step, Step]], fp32: None
) -> None:
    on_cpu, on_gpu = steps[runs[name].checkpoint.parent]
    assert on_cpu.keys() == on_gpu.keys()
    for key, value in on_cpu.items():
        error = float((on_gpu[key] - value).norm() / value.norm().clamp(min=1e-3))
        assert error < 1e-3, key


def test_a_restyled_voice_says_the_same(runs: Runs, voice: Path, fp32: None) -> None:
    from intona.systems.restyle import voice as restyle

    run = runs["restyle.bridge"].checkpoint
    with fake_gpu() as device:
        voices = [restyle.load(run, device=d, vits=str(voice)) for d in ("cpu", device)]
        ours, theirs = (v.say("мама мыла раму", seed=1).samples for v in voices)
    np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_vectors_of_phonemes_are_the_same(runs: Runs, spoken: Path, fp32: None) -> None:
    from intona.systems.encoder.retrieve import Space

    run = runs["prosody.contrastive"].checkpoint
    with fake_gpu() as device:
        ours, theirs = (Space(run, spoken, device=d).embed("test") for d in ("cpu", device))
    np.testing.assert_allclose(theirs.text, ours.text, atol=1e-5)
    np.testing.assert_allclose(theirs.audio, ours.audio, atol=1e-5)
