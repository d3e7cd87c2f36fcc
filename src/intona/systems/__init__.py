"""The published systems as stages: what `intona train SYSTEM.STAGE` can run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def train(
    stage: str,
    *,
    size: str,
    data: Path,
    out: Path,
    overrides: dict[str, str] | None = None,
    limit_minutes: float | None = None,
    init: Path | str | None = None,
    encoder: Path | str | None = None,
    device: str = "auto",
    devices: int | None = None,
    nodes: int | None = None,
    strategy: Literal["auto", "ddp", "fsdp"] = "auto",
) -> Path:
    """Train a stage, or resume it if `out` holds a checkpoint; returns the newest checkpoint.

    Args:
        stage: its registered name, such as "prosody.gradtts". size: a preset of it.
        data: a directory of `intona prepare`. out: the run directory.
        overrides: dotted field of the run's config -> value, as text.
        limit_minutes: wall time after which the run stops, with a checkpoint.
        init: a model (shipped name, run or checkpoint directory) whose weights a new run starts from.
        encoder: text encoder (shipped name, run or checkpoint directory) to build a voice on.
        device, devices, nodes, strategy: see `training.launch.Processes`. Several devices start this program
            again, once for each further device.

    Raises:
        UserError: unknown stage, size or config field (nearest offered); another config than the run's; a
            device that is not there.
    """
    # Here, because they load torch, which the help of a command does without.
    from intona.training import launch
    from intona.training import stage as stages

    stage_ = stages.stage_of(stage)
    processes = launch.Processes(device=device, devices=devices, nodes=nodes, strategy=strategy)
    return stages.train(
        stage_,
        fabric=launch.launch(processes),
        size=size,
        data=data,
        out=out,
        overrides=overrides,
        limit_minutes=limit_minutes,
        init=init,
        encoder=encoder,
    )
