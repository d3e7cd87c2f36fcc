"""`prosody.combined`: its loss is that of stages 2 and 3; it resumes, and other stages start from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from intona import checkpoint, systems
from intona.errors import UserError
from intona.systems.encoder import combined
from intona.systems.encoder.combined import CombinedBatch, CombinedRun, CombinedTask
from intona.systems.encoder.contrastive import ContrastiveTask
from intona.systems.encoder.retrieve import retrieve
from intona.training.stage import Request, stage_of

from .interruption import hashes, interrupted

pytestmark = pytest.mark.trains

QUICK = {
    "loop.steps": "8",
    "loop.save_every": "4",
    "loop.validate_every": "4",
    "loop.log_every": "1",
    "loop.precision": "fp32",
    "loop.keep": "9",
    "speaker": "none",
    "batch": "6",
    "per_utterance": "1",
}
BOTH = QUICK | {"same_batch": "4"}


def train(stage: str, data: Path, out: Path, init: Path | None = None, **more: str) -> Path:
    return systems.train(stage, size="toy", data=data, out=out, overrides=QUICK | more, init=init)


@pytest.fixture(scope="module")
def run(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train("prosody.combined", spoken, tmp_path_factory.mktemp("combined") / "run", same_batch="4")


def prepared_task(spoken: Path, weight: float, statistics: str) -> tuple[CombinedTask, CombinedBatch]:
    overrides = BOTH | {"same_weight": str(weight), "statistics": statistics}
    request = Request(data=spoken, out=Path("run"), overrides=overrides)
    ready = combined.setup(combined.STAGE.resolve(combined.toy(), request), request)
    torch.manual_seed(0)
    task = ready.task().train()
    for module in task.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return task, ready.feed(0, 1).next()


def separate(task: CombinedTask, config: object) -> ContrastiveTask:
    """The task of stage 2 or 3 with the same weights, and as bias that of the batches of its kind."""
    alone = ContrastiveTask(config, task.prepared, task.bpe).train()
    alone.model.load_state_dict(task.model.state_dict())
    for module in alone.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return alone


def gradients(task: ContrastiveTask, batch: object) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    total = task(batch, 0).total
    total.backward()
    return total.detach(), {k: p.grad for k, p in task.model.named_parameters() if p.grad is not None}


def test_weight_0_is_stage_2(spoken: Path) -> None:
    task, batch = prepared_task(spoken, 0.0, "batch")
    stage2 = separate(task, dataclasses.replace(task.config.same(), batches="mixed"))
    loss, slopes = gradients(task, batch)
    expected, expected_slopes = gradients(stage2, batch.mixed)
    torch.testing.assert_close(loss, expected)
    for name, slope in expected_slopes.items():
        torch.testing.assert_close(slopes[name], slope)


@pytest.mark.parametrize("statistics", ["frozen", "batch"])
def test_weight_1_is_stage_3(spoken: Path, statistics: str) -> None:
    task, batch = prepared_task(spoken, 1.0, statistics)
    assert len(set(batch.same.kinds.tolist())) == 1 and len(batch.same) == 4
    with torch.no_grad():
        task.same["bias"].fill_(-2.5)
        # The mixed batch first moves the running statistics that the other one is normalised by.
        task.embed(batch.mixed, 0)
        stage3 = separate(task, task.config.same())
        stage3.model.bias.fill_(-2.5)
    for module in task.modules():  # so that the same mixed batch does not move them again
        if hasattr(module, "momentum"):
            module.momentum = 0.0
    loss, slopes = gradients(task, batch)
    expected, expected_slopes = gradients(stage3, batch.same)
    torch.testing.assert_close(loss, expected)
    for name, slope in expected_slopes.items():
        if name == "bias":
            torch.testing.assert_close(task.same["bias"].grad, slope)
        else:
            torch.testing.assert_close(slopes[name], slope)


def test_the_loss_is_the_weighted_mean_of_both(spoken: Path) -> None:
    losses = []
    for weight in (0.0, 1.0, 0.3):
        task, batch = prepared_task(spoken, weight, "frozen")
        losses.append(float(task(batch, 0).total.detach()))
    assert losses[2] == pytest.approx(0.7 * losses[0] + 0.3 * losses[1], rel=1e-5)


def test_stopped_and_resumed_is_bit_equal_to_straight(spoken: Path, run: Path, tmp_path: Path) -> None:
    with interrupted(CombinedTask, 6):  # after the checkpoint of step 4: two steps are lost
        train("prosody.combined", spoken, tmp_path, same_batch="4")
    train("prosody.combined", spoken, tmp_path, same_batch="4")
    assert hashes(run.parent, 8) == hashes(tmp_path, 8)


def test_its_run_retrieves_and_stages_start_from_it_and_before_it(
    spoken: Path, run: Path, tmp_path: Path
) -> None:
    state = checkpoint.read_tensors(run / "model.safetensors")
    assert "same.bias" in state and state["same.bias"] != state["model.bias"]
    recalls = retrieve(run, spoken, gallery=4, ks=(1,))
    assert recalls.encoder["R@1-diff text-audio"].queries
    refined = train("prosody.refine", spoken, tmp_path / "refined", run, **{"loop.steps": "2"})
    assert "same.bias" not in checkpoint.read_tensors(refined / "model.safetensors")
    again = train("prosody.combined", spoken, tmp_path / "again", refined, same_batch="4")
    assert "same.bias" in checkpoint.read_tensors(again / "model.safetensors")


def test_a_config_that_makes_no_sense_is_refused(spoken: Path, tmp_path: Path) -> None:
    assert stage_of("prosody.combined").sizes["small"]().same().batch == 32
    for field in ({"batches": "same"}, {"fit_bias": 2}, {"same_weight": 1.5}, {"same_batch": 1}):
        with pytest.raises(ValueError, match=next(iter(field))):
            CombinedRun(**field)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="same_weight"):
        train("prosody.combined", spoken, tmp_path / "run", same_weight="2")
