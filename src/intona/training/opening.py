"""What a run prints before its first step: about ten lines; at log level DEBUG the whole config too."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intona import checkpoint
from intona import config as configs

log = logging.getLogger("intona.training")
LIMITS = ("batch", "max_")  # how the fields that bound a batch begin


def log_opening(
    config: Any, out: Path, facts: Mapping[str, Any], flags: Mapping[str, str] | None = None
) -> None:
    """Log `opening_lines`, and all fields of the config if the log level is DEBUG."""
    log.info("\n".join(opening_lines(config, out, facts, flags)))
    if log.isEnabledFor(logging.DEBUG):
        log.debug(json.dumps(configs.to_dict(config), indent=2, ensure_ascii=False))


def opening_lines(
    config: Any, out: Path, facts: Mapping[str, Any], flags: Mapping[str, str] | None = None
) -> list[str]:
    """Stage, corpus, sizes, steps, and where the whole config is.

    Args:
        config: the resolved config of a run, with or without `loop` and `optim`.
        facts: name -> value of other facts about the model.
        flags: name -> value of the flags of the command.
    """
    steps = checkpoint.steps(out)
    where = f"{out}, resumed at step {steps[-1]}" if steps else f"{out}, new"
    rows = {
        "stage": f"{config.stage}, size {config.size}",
        "corpus": config.corpus,
        **(flags or {}),
        "run": where,
        "starts from": getattr(config, "init", ""),
        "model": ", ".join(f"{name} {value}" for name, value in facts.items()),
    }
    limits = {n: v for n, v in vars(config).items() if n.startswith(LIMITS) and isinstance(v, int)}
    if loop := getattr(config, "loop", None):
        limits |= {"seed": loop.seed, "precision": loop.precision}
        rows["steps"] = (
            f"{loop.steps:,}; validated every {loop.validate_every:,}, saved every {loop.save_every:,}"
        )
    if optim := getattr(config, "optim", None):
        rows["learning"] = f"rate {optim.lr:g} {optim.schedule}, warm-up {optim.warmup:,}"
    rows["batches"] = ", ".join(f"{name} {value}" for name, value in limits.items())
    rows["whole config"] = f"config.json of each checkpoint in {out}; --verbose prints it"
    return table(rows)


def table(rows: Mapping[str, str]) -> list[str]:
    """Aligned lines `name  value`; empty values are left out."""
    return [f"{name:<12}  {value}" for name, value in rows.items() if value]
