"""The first two steps of every stage at the toy size, on the corpus in tests/assets, in float32, fixed seed.

Losses (golden/losses/*.json): every part of the loss, the objective and the gradient norm at both steps;
the losses on the dev set before and after; the RMS of the optimizer's moments and of the change of the
weights and of their averages. They depend on the data, the order of batches, the random numbers, the
model, the gradient and the update. Weights (golden/keys/*.txt): names and shapes, which earlier runs are
loaded by.

Tolerances. On one machine the tests ran natively (AVX-512, AMX), with ATEN_CPU_CAPABILITY=default and
avx2, with oneDNN, MKL and NumPy limited to SSE4 and not, and with two threads. The largest relative
differences were 9e-7 for losses and 7e-5 for gradients; for restyle.palette, which aligns random latents,
2e-4 and 9e-4. Allowed are 1e-4 and 1e-3, and ten times as much for restyle.palette. With bf16, objectives
differ by up to 6e-3, so these runs use float32 on every machine. Library versions: constraints.txt.
"""

from __future__ import annotations

import pytest

from intona import config as configs
from intona import registry
from intona.training.stage import stage_of

from .recipes import RECIPES, Runs
from .store import HERE, compare_figures, compare_keys, keys_of

pytestmark = pytest.mark.trains
EARLIER = HERE.parent / "assets" / "runs"
PLACES = tuple(
    f"{field}:"
    for field in (
        "corpus",
        "alignment",
        "init",
        "encoder",
        "codebook",
        "latents",
        "vits",
        "voice",
        "posterior",
    )
)
LOSS, GRADIENT = 1e-4, 1e-3  # relative
NAMES = [pytest.param(n, marks=[pytest.mark.slow] if r.slow else []) for n, r in RECIPES.items()]


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_two_steps_are_unchanged(name: str, runs: Runs, reason: str) -> None:
    slack = RECIPES[name].slack
    compare_figures(name, runs[name].figures, loss=slack * LOSS, gradient=slack * GRADIENT, reason=reason)


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_of_weights_are_unchanged(name: str, runs: Runs, reason: str) -> None:
    checkpoint = runs[name].checkpoint
    keys = keys_of(checkpoint / "model.safetensors")
    compare_keys(name, keys, reason)
    averages = checkpoint / "ema.safetensors"
    if averages.is_file():
        assert set(keys_of(averages)) <= set(keys)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_of_an_earlier_version_is_resumed(name: str, runs: Runs) -> None:
    """The config is the one that version 0.1.0 wrote, but for what names data and other runs."""
    stage = stage_of(RECIPES[name].stage)
    paths = (EARLIER / name / "config.json", runs[name].checkpoint / "config.json")
    before, now = (configs.load(type(stage.sizes["toy"]()), path) for path in paths)
    assert [d for d in configs.diff(before, now) if not d.startswith(PLACES)] == []


def test_every_stage_is_stored() -> None:
    assert {recipe.stage for recipe in RECIPES.values()} == set(registry.names("stages"))
    assert {path.stem for path in (HERE / "losses").iterdir()} == set(RECIPES)
    assert {p.stem for p in (HERE / "keys").iterdir() if not p.stem.startswith("shipped-")} == set(RECIPES)
