"""What a checkpoint of a run holds, written by rank 0 and read by every rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intona import checkpoint, provenance
from intona import config as configs
from intona.errors import UserError
from intona.training.ema import EMA
from intona.training.ranks import Ranks
from intona.training.sharding import divided, load_whole, whole_state
from intona.training.task import Feed, Task

KINDS = {"voices.json": "voices", "vocoder.json": "vocoders"}  # file with a "kind" -> group of parts
# Fields of the loop that a run may continue with other values of.
FREE = tuple(
    f"loop.{k}:"
    for k in (
        "steps",
        "accumulate",  # with another number of ranks it keeps the size of the batch
        "log_every",
        "validate_every",
        "validate_within",
        "save_every",
        "demo_every",
        "keep",
        "recompute",
    )
)


def files_of(run_config: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """The JSON files of a checkpoint: config, provenance, and what the task adds.

    Provenance has the stage, the parts of the config, and the kind of voice or vocoder that `extra` declares.
    """
    parts = [("stages", run_config.stage), *configs.parts_of(run_config)]
    for name, group in KINDS.items():
        declared = extra.get(name)
        if isinstance(declared, dict) and isinstance(kind := declared.get("kind"), str):
            parts.append((group, kind))
    return {
        "config.json": configs.to_dict(run_config),
        provenance.FILE: provenance.describe(parts),
        **extra,
    }


def save(
    run: Path,
    step: int,
    task: Task,
    ema: EMA,
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    run_config: Any,
    *,
    ranks: Ranks,
    keep: int,
    bf16: bool,
) -> None:
    """Write RUN/step-N on rank 0, with whole tensors and the place of each rank in the data; collective."""
    feeds = ranks.gather(feed.state_dict())
    state, writes = task.state_dict(), ranks.rank == 0
    model = whole_state(state, keep=writes)
    averages = whole_state(ema.state_dict(), state, keep=writes)
    moments = whole_state(_moments(task, optimizer), keep=writes)

    def write() -> None:
        checkpoint.save(
            run,
            step,
            tensors={"model": model, "ema": averages, "state/optimizer": moments},
            files={
                "state/loop.json": {"step": step, "bf16": bf16, "feeds": feeds},
                **files_of(run_config, task.extra_files()),
            },
        )
        checkpoint.prune(run, keep=keep)

    ranks.first_only(write)


def _moments(task: Task, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of the optimizer: "parameter:name of the moment" -> tensor."""
    return {
        f"{name}:{k}": torch.as_tensor(v)
        for name, p in task.named_parameters()
        for k, v in optimizer.state.get(p, {}).items()
    }


def keep_best(
    run: Path,
    step: int,
    task: Task,
    ema: EMA,
    measure: str,
    values: dict[str, float],
    run_config: Any,
    *,
    ranks: Ranks,
) -> None:
    """Save the averaged weights as RUN/best/step-N if their dev loss is lower than all before; collective.

    Raises:
        UserError: no dev loss is named so.
    """
    missing = [k for k in measure.split("+") if k not in values]
    if missing:
        raise UserError(
            f'no dev loss "{missing[0]}"', where="--loop.best", hint=f"one of {', '.join(values)}"
        )
    value, best = sum(values[k] for k in measure.split("+")), run / "best"

    def is_better() -> bool:
        # A killed run passes the same steps again, with the same values.
        saved = checkpoint.steps(best)
        return not saved or configs.read_json(best / f"step-{saved[-1]:08d}" / "best.json")["value"] > value

    if not ranks.first_only(is_better):
        return
    averages = whole_state(ema.state_dict(), task.state_dict(), keep=ranks.rank == 0)

    def write() -> None:
        checkpoint.save(
            best,
            step,
            tensors={"model": averages},
            files={
                "best.json": {"measure": measure, "value": value, "step": step},
                **files_of(run_config, task.extra_files()),
            },
        )
        checkpoint.prune(best, keep=1)

    ranks.first_only(write)


def saved_bf16(run: Path) -> bool | None:
    """Whether a run computes in bf16; None for a new run. "auto" is measured once, when the run starts."""
    saved = checkpoint.steps(run)
    if not saved:
        return None
    state = configs.read_json(run / f"step-{saved[-1]:08d}" / "state" / "loop.json", max_bytes=64 << 20)
    return state["bf16"] if isinstance(state.get("bf16"), bool) else None


def resume(
    run: Path,
    task: Task,
    ema: EMA,
    optimizer: torch.optim.Optimizer,
    feed: Feed,
    run_config: Any,
    *,
    rank: int,
) -> int:
    """Load the newest checkpoint if there is one. Returns the number of updates done.

    Weights, averages and moments are those of the checkpoint, bit for bit, on any number of ranks. On another
    number than it was written by, the order of the data continues from the place of rank 0; see `Feed`.

    Raises:
        UserError: the run was started with another config; a checkpoint that is damaged.
    """
    saved = checkpoint.steps(run)
    if not saved:
        return 0
    path = run / f"step-{saved[-1]:08d}"
    checkpoint.verify(path)
    before = configs.load(type(run_config), path / "config.json")
    changed = [d for d in configs.diff(before, run_config) if not d.startswith(FREE)]
    if changed:
        raise UserError(
            f"the run was started with another config: {'; '.join(changed[:5])}",
            where=run,
            hint="choose another --output, or use the config it was started with",
        )
    weights = checkpoint.read_tensors(path / "model.safetensors")
    checkpoint.require_fit(task, weights, where=path)
    load_whole(task, weights)
    ema.load_state_dict(checkpoint.read_tensors(path / "ema.safetensors"), task)
    moments = checkpoint.read_tensors(path / "state" / "optimizer.safetensors")
    for name, p in task.named_parameters():
        state = {k.rsplit(":", 1)[1]: v for k, v in moments.items() if k.rsplit(":", 1)[0] == name}
        if state:
            optimizer.state[p] = {
                k: divided(v, p) if v.shape == p.shape else v.to(p.device) for k, v in state.items()
            }
    loop = configs.read_json(path / "state" / "loop.json", max_bytes=64 << 20)
    feeds = loop["feeds"]
    feed.load_state_dict(feeds[rank] if rank < len(feeds) else feeds[0])
    return int(loop["step"])
