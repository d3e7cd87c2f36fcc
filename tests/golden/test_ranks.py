"""Every stage on several gloo processes has the losses and gradients of one with the same global batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intona import checkpoint
from intona.nn.losses import Part
from intona.systems.restyle.pairs import FrameBatch
from intona.training.stage import Request, Stage, stage_of, train

from ..training.forks import on_ranks, output_of
from .recipes import RECIPES, SPEED, Runs

pytestmark = [
    pytest.mark.trains,
    pytest.mark.slow,  # tests/training/test_ranks.py has the quick one
    pytest.mark.skipif(torch.cuda.is_available(), reason="autograd beside a GPU cannot be forked"),
]
NAMES = [n for n, r in RECIPES.items() if r.stage != "meld.codebook"]
PAIRED = ("prosody.contrastive", "prosody.refine", "prosody.combined")
PAIRS = {1: "6", 2: "3", 4: "2"}  # per rank
NOISE = 1e-4  # relative, of gradients; rounding of sums in another order


@dataclasses.dataclass(frozen=True)
class Job:
    """A stage with its arguments, for one step."""

    stage: Stage
    request: Request

    def train(self, out: Path, overrides: dict[str, str], fabric: Any = None) -> Path:
        return train(
            self.stage,
            size="toy",
            data=self.request.data,
            out=out,
            overrides={**self.request.overrides, **overrides},
            init=self.request.init,
            encoder=None if self.request.encoder is None else self.request.encoder.path,
            fabric=fabric,
        )


@pytest.fixture
def no_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its noise belongs to the rank: several ranks have other noise than one process."""
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x)


@pytest.fixture
def job(request: pytest.FixtureRequest, runs: Runs, tmp_path: Path) -> Any:
    def job(name: str, **overrides: str) -> Job:
        recipe = RECIPES[name]
        if recipe.stage.startswith("restyle"):
            pytest.importorskip("transformers", reason="a VITS voice needs transformers")
        settings = {**recipe.overrides, "loop.steps": "1"}
        settings |= {k: str(runs[v].checkpoint) for k, v in recipe.runs.items()}
        settings |= {k: str(request.getfixturevalue(v)) for k, v in recipe.fixtures.items()}
        if recipe.stage.startswith("vocoder"):
            settings["batch"] = "1"
        if recipe.stage == "meld.joint":
            settings["listen_from"] = "0"
        from intona.training.text_encoder import EncoderSource

        stage = stage_of(recipe.stage)
        encoder = runs[recipe.encoder].checkpoint if recipe.encoder else None
        source = None
        if encoder is not None:
            source = EncoderSource.of(encoder, published="published" in stage.encoders)
        return Job(
            stage,
            Request(
                data=request.getfixturevalue(recipe.data),
                out=tmp_path / "out",
                overrides={**settings, **overrides},
                init=runs[recipe.init].checkpoint if recipe.init else None,
                encoder=source,
            ),
        )

    return job


def _joined(batches: Sequence[FrameBatch]) -> FrameBatch:
    size = max(b.target.shape[1] for b in batches)

    def rows(name: str) -> torch.Tensor:
        padded = [nn.functional.pad(getattr(b, name), (0, 0, 0, size - b.target.shape[1])) for b in batches]
        return torch.cat(padded)

    return FrameBatch(
        ids=tuple(i for b in batches for i in b.ids),
        source=rows("source"),
        target=rows("target"),
        frames=torch.cat([b.frames for b in batches]),
        style=torch.cat([b.style for b in batches]),
    )


def _one_process(job: Job, world: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Losses and clipped gradients of the first global batch of `world` ranks, in this process."""
    stage, request = job.stage, job.request
    if stage.name in PAIRED:  # one batch is drawn, and divided
        whole = str(world * int(PAIRS[world]))
        pairs = {"batch": whole, **({"same_batch": whole} if stage.name == "prosody.combined" else {})}
        request = dataclasses.replace(request, overrides={**request.overrides, **pairs})
    setup = stage.setup(stage.resolve(stage.sizes["toy"](), request), request)
    assert setup.task is not None and setup.feed is not None
    torch.manual_seed(setup.config.loop.seed)
    task = setup.task()
    if request.init is not None:
        setup.start(task, request.init)
    if stage.name in PAIRED:
        batches = [setup.feed(0, 1).next()]
    else:
        batches = [setup.feed(rank, world).next() for rank in range(world)]
    if stage.name == "restyle.style":  # the loss is over all pairs
        batches = [_joined(batches)]
    sums: dict[str, Part] = {}
    for batch in batches:
        for name, part in task(batch, 0).parts.items():
            before = sums.get(name)
            if before is not None:
                total, count = before.total + part.total, before.count + part.count
                part = dataclasses.replace(part, total=total, count=count)
            sums[name] = part
    torch.stack([p.weight * p.mean for p in sums.values()]).sum().backward()
    nn.utils.clip_grad_norm_(task.parameters(), setup.config.optim.clip)
    gradients = {n: p.grad for n, p in task.named_parameters() if p.grad is not None}
    return {k: float(p.mean.detach()) for k, p in sums.items()}, gradients


def _rows(run: Path) -> dict[tuple[str, int], dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return {(row["kind"], row["step"]): row for row in map(json.loads, lines)}


def _on_ranks(job: Job, world: int, tmp_path: Path, strategy: str, **overrides: str) -> Path:
    out = tmp_path / "run"
    if job.stage.name in PAIRED:
        overrides["batch"] = PAIRS[world]
    if job.stage.name == "prosody.combined":
        overrides["same_batch"] = PAIRS[world]
    logs = tmp_path / "ranks"
    results = on_ranks(world, lambda fabric: str(job.train(out, overrides, fabric)), logs, strategy)
    assert results == [str(out / "step-00000001")] * world, [output_of(logs, r) for r in range(world)]
    return out


@pytest.mark.parametrize(
    ("world", "strategy"), [(2, "ddp"), (4, "ddp"), pytest.param(2, "fsdp", id="2-fsdp")]
)
@pytest.mark.usefixtures("no_dropout")
@pytest.mark.parametrize("name", NAMES)
def test_ranks_equal_one_process(
    name: str, world: int, strategy: str, job: Any, runs: Runs, tmp_path: Path
) -> None:
    slack = RECIPES[name].slack
    one = job(name)
    losses, gradients = _one_process(one, world)
    out = _on_ranks(one, world, tmp_path, strategy)
    rows = _rows(out)
    trained = rows["train", 1]
    weighted = set(losses) - {"r1", "same_phoneme", "same_r1"}  # shares of the pairs of a rank
    for term in weighted:
        assert trained[term] == pytest.approx(losses[term], rel=1e-5 * slack, abs=1e-6), term
    moments = checkpoint.read_tensors(out / "step-00000001" / "state" / "optimizer.safetensors")
    first = {k.removesuffix(":exp_avg"): v for k, v in moments.items() if k.endswith(":exp_avg")}
    assert first.keys() == gradients.keys()
    beta = float(json.loads((out / "step-00000001" / "config.json").read_text())["optim"]["betas"][0])
    error = sum(float((v / (1 - beta) - gradients[k]).square().sum()) for k, v in first.items())
    size = sum(float(g.square().sum()) for g in gradients.values())
    assert size > 0 and (error / size) ** 0.5 < NOISE * slack
    before = runs[name].figures.get("dev_raw, step 0", {})
    if one.stage.name not in PAIRED:  # whose dev batches are as large as those of a rank
        for term, value in before.items():
            assert rows["dev_raw", 0][term] == pytest.approx(value, rel=1e-4 * slack, abs=1e-6), term


@pytest.mark.parametrize("name", NAMES)
def test_recomputed_activations_change_nothing(name: str, job: Any, tmp_path: Path) -> None:
    """Gradients and losses with gradient checkpointing are those without, dropout included."""
    one = job(name)
    kept, again = (one.train(tmp_path / str(on), {"loop.recompute": str(on).lower()}) for on in (False, True))
    a, b = (checkpoint.read_tensors(p / "state" / "optimizer.safetensors") for p in (kept, again))
    assert a.keys() == b.keys()
    for k, v in a.items():
        torch.testing.assert_close(b[k], v, rtol=1e-5, atol=1e-7 + 1e-6 * float(v.abs().max()))
    rows = [_rows(p.parent)["train", 1] for p in (kept, again)]
    for term in rows[0].keys() - SPEED:
        assert rows[1][term] == pytest.approx(rows[0][term], rel=1e-6), term


def test_a_codebook_is_made_by_the_first_process(job: Any, runs: Runs, tmp_path: Path) -> None:
    recipe = RECIPES["meld.codebook"]
    one = job("meld.codebook")
    overrides = dict(recipe.overrides)
    settings = dataclasses.replace(one.request, overrides=overrides)
    one = dataclasses.replace(one, request=settings)
    out = tmp_path / "codebook"
    work = partial(_codebook, one, out)
    assert on_ranks(2, work, tmp_path / "ranks") == [str(out / "step-00000002")] * 2
    expected = checkpoint.read_tensors(runs["meld.codebook"].checkpoint / "model.safetensors")
    trained = checkpoint.read_tensors(out / "step-00000002" / "model.safetensors")
    assert all(torch.equal(trained[k], v) for k, v in expected.items())


def _codebook(job: Job, out: Path, fabric: Any) -> str:
    return str(job.train(out, {}, fabric))
