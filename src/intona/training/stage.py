"""What every stage does once its task stands: say what is about to be trained, and train it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from intona import checkpoint
from intona.training.initial import start_from
from intona.training.loop import fit
from intona.training.opening import print_opening
from intona.training.task import Feed, Task


def fit_stage(
    task: Task,
    config: Any,
    out: Path,
    *,
    feed: Callable[[int, int], Feed],
    facts: Mapping[str, Any],
    init: Path | None = None,
    start: Callable[[Any, Path], object] = start_from,
    limit_minutes: float | None = None,
    fabric: Any = None,
) -> Path:
    """`fit`, with what is about to be trained on stderr before it (`print_opening`).

    Args:
        config: the whole resolved config; its `loop` and `optim` are how long and how.
        facts: name -> value of what is worth knowing before hours are spent. The parameters that learn are
            counted here, unless `facts` counts them by part.
        init: the model that a new run starts from; the config of the run names it by its hash.
        start: (task, init), copies what it has of its weights.
    """
    if init is not None:
        config = dataclasses.replace(config, init=checkpoint.identity_of(init))
        start(task, init)
    millions = sum(p.numel() for p in task.parameters() if p.requires_grad) / 1e6
    said = {"parameters": f"{millions:.2f} M"} | dict(facts)
    print_opening(config, out, said)
    return fit(
        task,
        config.loop,
        config.optim,
        out,
        feed=feed,
        run_config=config,
        limit_minutes=limit_minutes,
        fabric=fabric,
    )
