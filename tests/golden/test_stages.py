"""The first two steps of every stage at the toy size, on the corpus in tests/assets, in float32, with a seed.

Losses (golden/losses/*.json): each part, the objective and the norm of its gradient at both steps; the
losses on the dev set before and after; the size of the optimizer's moments and of the way that weights and
averages went. They depend on the data, the order of batches, the random numbers, the model, the gradient
and the update. Weights (golden/keys/*.txt): names and shapes, by which an earlier run is opened.

Tolerances. One machine ran them native (AVX-512, AMX), with ATEN_CPU_CAPABILITY=default and avx2, with
oneDNN, MKL and NumPy held at SSE4 and not, and on two threads. The largest relative differences were 9e-7
of a loss and 7e-5 of a gradient; 2e-4 and 6e-4 of restyle.palette, whose alignments are of random latents.
Allowed are 1e-4 and 1e-3, ten times as much of restyle.palette. In bf16 objectives differ by up to 6e-3:
these runs are in float32 wherever they run. Libraries: the versions of constraints.txt.
"""

from __future__ import annotations

import pytest

from intona.systems import STAGES

from .recipes import RECIPES, Runs
from .store import HERE, compare_figures, compare_keys, keys_of

LOSS, GRADIENT = 1e-4, 1e-3  # relative
NAMES = [pytest.param(n, marks=[pytest.mark.slow] if r.slow else []) for n, r in RECIPES.items()]


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_give_the_losses_of_before(name: str, runs: Runs, reason: str) -> None:
    slack = RECIPES[name].slack
    compare_figures(name, runs[name].figures, loss=slack * LOSS, gradient=slack * GRADIENT, reason=reason)


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_has_the_weights_of_before(name: str, runs: Runs, reason: str) -> None:
    """Those that learn, as they are saved, and the averages beside them."""
    checkpoint = runs[name].checkpoint
    keys = keys_of(checkpoint / "model.safetensors")
    compare_keys(name, keys, reason)
    averages = checkpoint / "ema.safetensors"
    if averages.is_file():
        assert set(keys_of(averages)) <= set(keys)


def test_every_stage_is_stored() -> None:
    assert {recipe.stage for recipe in RECIPES.values()} == set(STAGES)
    assert {path.stem for path in (HERE / "losses").iterdir()} == set(RECIPES)
    assert {p.stem for p in (HERE / "keys").iterdir() if not p.stem.startswith("shipped-")} == set(RECIPES)
