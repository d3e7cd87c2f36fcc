"""Shared by the stages on a frozen voice: training on pairs in memory, and a check of the voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from intona.errors import UserError
from intona.systems.restyle.pairs import FrameFeed, FramePair
from intona.systems.restyle.vits import VitsSpace
from intona.training.stage import Setup
from intona.training.task import Task


def setup_on_voice(
    space: VitsSpace,
    task: Callable[[], Task],
    config: Any,
    pairs: Mapping[str, list[FramePair]],
    *,
    before: str,
    facts: Mapping[str, Any],
    batch: int | None = None,
    window: int = 0,
) -> Setup:
    """A `Setup` over "train" and "dev" pairs; the voice's weights are hashed again at the end.

    Args:
        config: of the run; its `max_frames` limits a batch.
        before: hash of the voice's weights when the stage began; it must be the same at the end.
        batch, window: of `FrameFeed`.

    Raises:
        UserError: at the end, the voice has changed.
    """

    def require_frozen(newest: Path) -> None:
        if space.weights_hash() != before:
            raise UserError("the frozen voice has changed: this is a bug", where=config.vits)

    return Setup(
        config=config,
        task=task,
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
        finish=require_frozen,
    )
