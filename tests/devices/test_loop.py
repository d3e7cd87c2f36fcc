"""The training loop on a GPU that computes on the CPU: the losses of the CPU, straight and resumed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from intona import systems
from intona.vocoder import load_vocoder

from ..golden.recipes import LOOP

pytestmark = [pytest.mark.trains, pytest.mark.slow]


class OneGpu:
    """What the loop uses of a Lightning Fabric of one process."""

    global_rank, world_size = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def setup_module(self, module: torch.nn.Module) -> torch.nn.Module:
        return module.to(self.device)

    def setup(self, module: torch.nn.Module, optimizer: Any) -> tuple[torch.nn.Module, Any]:
        return module.to(self.device), optimizer

    def backward(self, loss: torch.Tensor) -> None:
        loss.backward()

    def no_backward_sync(
        self, module: object, enabled: bool = True
    ) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def barrier(self) -> None: ...


def test_a_run_trains_saves_and_resumes(
    spoken: Path, tmp_path: Path, gpu: torch.device, fp32: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(name: str, steps: int) -> dict[int, float]:
        out = tmp_path / name
        how = {**LOOP, "loop.steps": str(steps), "optim.schedule": "constant", "loop.demo_every": "4"}
        systems.train("prosody.gradtts", size="toy", data=spoken, out=out, overrides=how)
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return {row["step"]: row["grad_norm"] for row in map(json.loads, lines) if row["kind"] == "train"}

    small = load_vocoder("vocoder-draft")  # of the demo sentences: a tenth of the time of hifigan
    monkeypatch.setattr("intona.vocoder.load_vocoder", lambda name, **_: small)
    on_cpu = train("cpu", 4)
    monkeypatch.setattr("lightning.fabric.Fabric", lambda **_: OneGpu(gpu))
    assert train("gpu", 4) == pytest.approx(on_cpu, rel=1e-3)
    train("parts", 2)
    assert train("parts", 4) == pytest.approx(on_cpu, rel=1e-3)
