"""The one `train`: what a stage declares is checked, and what it sets up is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from intona import checkpoint, logs, registry
from intona import config as configs
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.training import stage as stages
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage, train
from intona.training.task import Task

pytestmark = pytest.mark.trains


@dataclass(frozen=True, kw_only=True)
class Width:
    width: int = 3


@dataclass(frozen=True, kw_only=True)
class LineRun:
    stage: str = "test.line"
    size: str = "toy"
    corpus: str = ""
    init: str = ""
    model: Width = field(default_factory=Width)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(steps=2, precision="fp32", validate_every=2, save_every=2)
    )
    optim: OptimConfig = field(default_factory=OptimConfig)


@dataclass
class Rows:
    ids: list[str]
    x: torch.Tensor

    def to(self, device: Any) -> Rows:
        return self


class LineTask(Task):
    def __init__(self, config: LineRun) -> None:
        super().__init__()
        self.net = nn.Linear(config.model.width, 1)

    def forward(self, batch: Rows, step: int) -> Losses:
        error = (self.net(batch.x)[:, 0] - 1).square()
        return Losses(parts={"error": Part(total=error.sum(), count=torch.tensor(float(len(error))))})

    def summary(self) -> dict[str, Any]:
        return {"slope": "unknown"}


class LineFeed:
    def __init__(self, width: int) -> None:
        self.batch = Rows(ids=["a", "b"], x=torch.ones(2, width))

    def next(self) -> Rows:
        return self.batch

    longest = next

    def validation(self) -> Iterator[Rows]:
        return iter([self.batch])

    def seconds(self, batch: Rows) -> float:
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def setup(config: LineRun, request: Request) -> Setup:
    config = dataclasses.replace(config, corpus="abc")
    return Setup(
        config=config,
        task=lambda: LineTask(config),
        feed=lambda rank, world: LineFeed(config.model.width),
        facts={"rows": 2},
    )


STAGE = Stage(name="test.line", makes="part", sizes={"toy": LineRun}, setup=setup)


def test_what_is_set_up_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Overridden, opened once in about ten lines, and with the same weights for the same seed."""
    run = tmp_path / "run"
    with logs.on_stderr():
        path = train(STAGE, size="toy", data=tmp_path, out=run, overrides={"model.width": "5"})
    lines = capsys.readouterr().err.splitlines()
    opening = lines[: next(i for i, line in enumerate(lines) if "rehearsed" in line)]
    assert 8 <= len(opening) <= 12
    for part in ("test.line, size toy", f"{tmp_path}", "model.width 5", "rows 2", "slope unknown", "abc"):
        assert sum(part in line for line in opening if not line.startswith(("run ", "whole"))) == 1, part
    assert configs.read_json(path / "config.json")["model"] == {"width": 5}
    torch.manual_seed(0)
    expected = nn.Linear(5, 1).state_dict()
    start = checkpoint.read_tensors(run / "step-00000000" / "model.safetensors")
    assert all(torch.equal(start[f"net.{k}"], v) for k, v in expected.items())


def test_a_run_starts_from_another(tmp_path: Path) -> None:
    """With its model, its weights and its identity."""
    first = train(STAGE, size="toy", data=tmp_path, out=tmp_path / "a", overrides={"model.width": "4"})
    second = train(STAGE, size="toy", data=tmp_path, out=tmp_path / "b", init=first.parent)
    config = configs.read_json(second / "config.json")
    assert config["init"] == checkpoint.identity_of(first) and config["model"] == {"width": 4}
    start = checkpoint.read_tensors(tmp_path / "b" / "step-00000000" / "model.safetensors")
    assert torch.equal(start["net.weight"], checkpoint.read_tensors(first / "ema.safetensors")["net.weight"])


def test_the_end_is_called_with_the_newest_checkpoint(tmp_path: Path) -> None:
    ends: list[Path] = []
    ending = dataclasses.replace(
        STAGE, setup=lambda config, request: dataclasses.replace(setup(config, request), finish=ends.append)
    )
    assert ends == [] and [train(ending, size="toy", data=tmp_path, out=tmp_path / "run")] == ends


@pytest.mark.usefixtures("messages_on_stderr")
def test_a_stage_without_gradients_trains_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def by_itself(config: LineRun, request: Request) -> Setup:
        return Setup(config=config, facts={"codes": 8}, run=lambda: request.out / "done")

    stage = dataclasses.replace(STAGE, setup=by_itself)
    assert train(stage, size="toy", data=tmp_path, out=tmp_path / "run") == tmp_path / "run" / "done"
    assert "codes 8" in capsys.readouterr().err
    bare = dataclasses.replace(STAGE, setup=lambda config, request: Setup(config=config))
    with pytest.raises(ValueError, match="neither `run`, nor `task` and `feed`"):
        train(bare, size="toy", data=tmp_path, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, {"size": "toi"}, r'test\.line: unknown size "toi"; did you mean "toy"'),
        ({"init": "required"}, {}, r"test\.line starts from an earlier run; name it: --init RUN"),
        ({"init": "refused"}, {"init": "x"}, "--init: test.line starts from its corpus, not from a model"),
        ({}, {"encoder": "x"}, r"takes no --encoder; prosody\.ditto, prosody\.gradtts do"),
        ({}, {"overrides": {"model.widht": "3"}}, 'unknown config key "model.widht"; did you mean "width"'),
        ({}, {"init": "nobody-s-model"}, "no shipped model and no directory is named"),
    ],
)
def test_what_a_stage_does_not_take_is_refused(
    changes: dict[str, Any], arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    stage = dataclasses.replace(STAGE, **changes)
    with pytest.raises(UserError, match=message):
        train(stage, **{"size": "toy", "data": tmp_path, "out": tmp_path / "run", **arguments})
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_run_directory(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file, not a run directory"):
        train(STAGE, size="toy", data=tmp_path, out=tmp_path / "run")


@pytest.mark.parametrize("name", registry.names("stages"))
def test_a_stage_has_the_name_that_it_is_registered_under(name: str) -> None:
    stage = stages.stage_of(name)
    assert stage.name == name
    for size, preset in stage.sizes.items():
        config = preset()
        assert (config.stage, config.size) == (name, size) and (preset.__doc__ or "").strip()


def test_what_is_registered_must_be_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "get", lambda group, name: LineTask)
    with pytest.raises(UserError, match=r'"test\.line" is registered as a stage and is type'):
        stages.stage_of("test.line")
