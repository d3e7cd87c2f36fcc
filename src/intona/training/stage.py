"""What every stage does with its task: print what is about to be trained, and train it."""

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
    """Print what is about to be trained on stderr (`print_opening`), then `fit`.

    Args:
        config: the whole resolved config; `loop` and `optim` of it are passed to `fit`.
        facts: name -> value of other facts to print. The number of trainable parameters is added, unless
            `facts` has it by part.
        init: the model that a new run starts from; the config of the run records its hash.
        start: called with (task, init), copies the weights of `init`.
    """
    if init is not None:
        config = dataclasses.replace(config, init=checkpoint.identity_of(init))
        start(task, init)
    millions = sum(p.numel() for p in task.parameters() if p.requires_grad) / 1e6
    print_opening(config, out, {"parameters": f"{millions:.2f} M"} | dict(facts))
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
