"""Several processes: one run, one voice on the terminal, one end. Stages: tests/golden/test_ranks.py."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intona import checkpoint, logs
from intona.data.samplers import DurationBatchSampler
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.training import state
from intona.training.ema import EMA
from intona.training.loop import LoopConfig, Objective
from intona.training.optim import OptimConfig, build_optimizer
from intona.training.ranks import Ranks
from intona.training.sharding import whole, whole_state
from intona.training.stage import Request, Setup, Stage, train
from intona.training.task import Batches, Task

from .forks import on_ranks, output_of

pytestmark = [
    pytest.mark.trains,
    pytest.mark.skipif(torch.cuda.is_available(), reason="autograd beside a GPU cannot be forked"),
]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    items: int = 7
    width: int = 3


@dataclass(frozen=True, kw_only=True)
class SumRun:
    stage: str = "test.sums"
    size: str = "toy"
    corpus: str = ""
    init: str = ""
    model: Sizes = field(default_factory=Sizes)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            steps=4, precision="fp32", validate_every=2, save_every=2, log_every=1, best="error"
        )
    )
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=0.01, clip=0.5))


@dataclass
class Rows:
    ids: list[str]
    x: torch.Tensor

    def to(self, device: Any) -> Rows:
        return self


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 5), nn.Linear(5, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.tanh(self.up(x)))


class SumTask(Task):
    """Layers, a scalar, and a part that only odd steps use: what divides badly among ranks."""

    def __init__(self, config: SumRun) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(config.model.width) for _ in range(2))
        self.odd = nn.Linear(config.model.width, 1)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.register_buffer("ones", torch.ones(2))

    def forward(self, batch: Rows, step: int) -> Losses:
        x = batch.x
        for layer in self.layers:
            x = layer(x)
        y = self.odd(x)[:, 0] if step % 2 else x.sum(1)
        error = (self.scale * y - 1).square()
        return Losses(parts={"error": Part(total=error.sum(), count=torch.tensor(float(len(error))))})


class SumFeed:
    def __init__(self, config: SumRun, rank: int, world: int) -> None:
        n = config.model.items
        lengths = [10 + i for i in range(n)]
        self.x = torch.randn(n, config.model.width, generator=torch.Generator().manual_seed(5))
        self.sampler = DurationBatchSampler(lengths, max_frames=40, rank=rank, world_size=world)

    def _batch(self, indices: Sequence[int]) -> Rows:
        return Rows(ids=[str(i) for i in indices], x=self.x[list(indices)])

    def next(self) -> Rows:
        return self._batch(next(self.sampler))

    def longest(self) -> Rows:
        return self._batch(self.sampler.longest_batch())

    def validation(self) -> Batches[Rows]:
        return Batches([[0, 1], [2], [3, 4, 5]], self._batch)

    def seconds(self, batch: Rows) -> float:
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state)


def setup(config: SumRun, request: Request) -> Setup:
    return Setup(
        config=config, task=lambda: SumTask(config), feed=lambda rank, world: SumFeed(config, rank, world)
    )


STAGE = Stage(name="test.sums", makes="part", sizes={"toy": SumRun}, setup=setup)
Run = Callable[..., list[Any]]


def _train(out: Path, overrides: dict[str, str], fabric: Any, stage: Stage = STAGE) -> str:
    with logs.on_stderr():
        return str(train(stage, size="toy", data=out.parent, out=out, overrides=overrides, fabric=fabric))


def _on(world: int, out: Path, strategy: str = "ddp", stage: Stage = STAGE, **overrides: str) -> list[Any]:
    settings = {k.replace("__", "."): v for k, v in overrides.items()}
    if world == 1:
        return [_train(out, settings, None, stage)]
    work = partial(_train, out, settings, stage=stage)
    return on_ranks(world, work, out.parent / f"{out.name}-ranks", strategy)


def _tensors(run: Path, step: int, name: str = "model") -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(run / f"step-{step:08d}" / f"{name}.safetensors")


def _rows(run: Path) -> dict[tuple[str, int], dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {(row["kind"], row["step"]): row for row in map(json.loads, lines)}


def _first_gradients(world: int) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and clipped gradients of the first step of `world` ranks, in this process."""
    config = SumRun()
    torch.manual_seed(0)
    task = SumTask(config)
    parts = [task(SumFeed(config, r, world).next(), 0).parts["error"] for r in range(world)]
    loss = sum(p.total for p in parts) / sum(p.count for p in parts)
    loss.backward()  # type: ignore[union-attr]
    nn.utils.clip_grad_norm_(task.parameters(), config.optim.clip)
    return float(loss.detach()), {k: p.grad for k, p in task.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("world", "strategy"),
    [
        (2, "ddp"),
        pytest.param(3, "ddp", marks=pytest.mark.slow),
        pytest.param(2, "fsdp", marks=pytest.mark.slow),
    ],
)
def test_loss_gradients_and_dev_losses_are_those_of_one_process(
    world: int, strategy: str, tmp_path: Path
) -> None:
    """Seven items on two or three ranks: uneven batches, and an uneven number of dev batches."""
    run = tmp_path / "run"
    assert _on(world, run, strategy) == [str(run / "step-00000004")] * world
    loss, gradients = _first_gradients(world)
    assert _rows(run)["train", 1]["error"] == pytest.approx(loss, rel=1e-5)
    _on(world, tmp_path / "short", strategy, loop__steps="1")
    moments = _tensors(tmp_path / "short", 1, "state/optimizer")
    assert {k for k in moments if k.startswith("odd")} == set()  # unused in step 0, as in one process
    for name, gradient in gradients.items():
        torch.testing.assert_close(moments[f"{name}:exp_avg"], 0.1 * gradient, rtol=1e-4, atol=1e-7)
    _on(1, tmp_path / "one", loop__steps="1")
    before, after = (_rows(path)["dev_raw", 0]["error"] for path in (tmp_path / "one", run))
    assert after == pytest.approx(before, rel=1e-5)
    first, *others = (output_of(tmp_path / "run-ranks", r) for r in range(world))
    assert f"{world} on cpu" in first and "dev_raw" in first and others == [""] * (world - 1)


def _differences(run: Path, fabric: Any) -> list[str]:
    """The tensors of a resumed run that are not those of its checkpoint, bit for bit."""
    ranks, config = Ranks(fabric), SumRun()
    task = SumTask(config)
    if fabric is not None:
        fabric.setup_module(Objective(task))
    ema, optimizer = EMA(task, config.loop.ema), build_optimizer(config.optim, task)
    feed = SumFeed(config, ranks.rank, ranks.world)
    step = state.resume(run, task, ema, optimizer, feed, config, rank=ranks.rank)
    now = {f"model/{k}": whole(v) for k, v in task.state_dict().items()}
    now |= {f"ema/{k}": v for k, v in whole_state(ema.state_dict(), task.state_dict()).items()}
    for name, p in task.named_parameters():
        now |= {f"state/optimizer/{name}:{k}": whole(v) for k, v in optimizer.state[p].items()}
    saved = {
        f"{file}/{k}": v
        for file in ("model", "ema", "state/optimizer")
        for k, v in _tensors(run, step, file).items()
    }
    assert now.keys() == saved.keys()
    return [k for k, v in saved.items() if not torch.equal(now[k], v)]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_another_number_of_ranks_resumes_exactly(strategy: str, tmp_path: Path) -> None:
    """2 -> 1 -> 2: weights, averages and moments are loaded bit for bit; checkpoints are whole."""
    run = tmp_path / "run"
    for world, steps in ((2, 2), (1, 4), (2, 6)):
        assert str(run / f"step-{steps:08d}") in _on(world, run, strategy, loop__steps=str(steps))
        if world == 2:
            assert _differences(run, None) == []
        else:
            work = partial(_differences, run)
            assert on_ranks(2, work, tmp_path / "loaded", strategy) == [[], []]
    loop = json.loads((run / "step-00000006" / "state" / "loop.json").read_text())
    assert [feed["identity"]["world_size"] for feed in loop["feeds"]] == [2, 2]
    assert [step for kind, step in _rows(run) if kind == "train"] == [1, 2, 3, 4, 5, 6]


def test_too_few_utterances_end_all_ranks_with_one_line(tmp_path: Path) -> None:
    results = _on(3, tmp_path / "run", model__items="2")
    line = "2 utterances for 3 processes, each of which needs one; start at most 2 processes"
    assert results == [{"error": line}, 1, 1]
    assert output_of(tmp_path / "run-ranks", 1) == ""


def _fails_on_the_second(config: SumRun, request: Request) -> Setup:
    if os.environ.get("LOCAL_RANK") == "1":
        raise UserError("cannot be read", where="disk")
    return setup(config, request)


def _dies(config: SumRun, request: Request) -> Setup:
    def feed(rank: int, world: int) -> SumFeed:
        feed = SumFeed(config, rank, world)
        if rank == 1:
            feed.seconds = lambda batch: os._exit(9)  # type: ignore[method-assign]
        return feed

    return dataclasses.replace(setup(config, request), feed=feed)


def test_an_error_or_the_death_of_one_rank_ends_the_others(tmp_path: Path) -> None:
    failing = dataclasses.replace(STAGE, setup=_fails_on_the_second)
    assert _on(2, tmp_path / "a", stage=failing) == [{"error": "process 1 of 2: disk: cannot be read"}, 1]
    first, second = _on(2, tmp_path / "b", stage=dataclasses.replace(STAGE, setup=_dies))
    assert "another of the 2 processes of this run has ended, at step 0" in first["error"]
    assert second == 9


def _rank_zero_is_first(folder: Path, fabric: Any) -> list[str]:
    ranks = Ranks(fabric)
    (folder / f"rank-{ranks.rank}-{os.getpid()}").touch()

    def look() -> list[str]:
        names = sorted(p.name for p in folder.glob("made-*"))
        (folder / f"made-{ranks.rank}").touch()
        return names

    return [*ranks.in_turn(look), str(ranks.any(ranks.rank == 1)), ranks.first(f"of {ranks.rank}")]


def test_rank_zero_works_first(tmp_path: Path) -> None:
    first, second = on_ranks(2, partial(_rank_zero_is_first, tmp_path), tmp_path / "ranks")
    assert first == ["True", "of 0"] and second == ["made-0", "True", "of 0"]
