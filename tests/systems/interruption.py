"""A training that stops between two checkpoints, and what is compared after it has been resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from intona.training.task import Task


@contextmanager
def interrupted(task: type[Task], step: int) -> Iterator[None]:
    """Ctrl-C in the forward pass of a step."""
    real: Any = task.forward

    def forward(self: Any, batch: Any, number: int) -> Any:
        if number == step:
            raise KeyboardInterrupt
        return real(self, batch, number)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(task, "forward", forward)
        yield


def hashes(run: Path, step: int) -> dict[str, str]:
    """File of a checkpoint -> its sha256."""
    index = json.loads((run / f"step-{step:08d}" / "files.json").read_text())
    return {k: v["sha256"] for k, v in index.items() if k != "provenance.json"}
