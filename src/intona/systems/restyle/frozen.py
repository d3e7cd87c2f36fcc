"""Shared by the stages on a frozen voice: training on pairs in memory, and a check of the voice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from intona.errors import UserError
from intona.systems.restyle.pairs import FrameFeed, FramePair
from intona.systems.restyle.vits import VitsSpace
from intona.training.stage import fit_stage
from intona.training.task import Task


def fit_on_voice(
    space: VitsSpace,
    task: Task,
    config: Any,
    pairs: Mapping[str, list[FramePair]],
    out: Path,
    *,
    before: str,
    facts: Mapping[str, Any],
    batch: int | None = None,
    window: int = 0,
    init: Path | None = None,
    limit_minutes: float | None = None,
    fabric: Any = None,
) -> Path:
    """`fit_stage` on "train" and "dev" pairs; returns the newest checkpoint.

    Args:
        config: of the run; its `max_frames` limits a batch.
        before: hash of the voice's weights when the stage began; it must be the same at the end.
        batch, window: of `PairFeed`.

    Raises:
        UserError: the voice has changed.
    """
    checkpoint = fit_stage(
        task,
        config,
        out,
        feed=lambda rank, world: FrameFeed(
            pairs["train"],
            pairs["dev"],
            max_frames=config.max_frames,
            seed=config.loop.seed,
            rank=rank,
            world=world,
            frame_seconds=1 / space.frame_rate,
            batch=batch,
            window=window,
        ),
        facts=facts,
        init=init,
        limit_minutes=limit_minutes,
        fabric=fabric,
    )
    if space.weights_hash() != before:
        raise UserError("the frozen voice has changed: this is a bug", where=config.vits)
    return checkpoint
