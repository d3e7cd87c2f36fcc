"""The published systems as stages: what `intona train SYSTEM.STAGE` can run."""

from __future__ import annotations

import sys
from pathlib import Path

from intona import models, registry
from intona.errors import UserError, unknown

TAKE_ENCODER = ("prosody.gradtts", "prosody.ditto")


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
) -> Path:
    """Train a stage, or resume it if `out` holds a checkpoint; returns the newest checkpoint.

    Args:
        init: a model (shipped name, run or checkpoint directory) whose weights a new run starts from.
        encoder: text encoder (shipped name, run or checkpoint directory) to build on, if a stage takes one.

    Raises:
        UserError: unknown stage, size or config field (nearest offered); another config than the run's.
    """
    module = registry.get("stages", stage)
    if size not in module.SIZES:
        unknown("size", size, module.SIZES, where=stage)
    if Path(out).is_file():
        raise UserError("is a file, not a run directory", where=out)
    more = {}
    if encoder is not None:
        if stage not in TAKE_ENCODER:
            raise UserError(f"{stage} takes no --encoder", hint=f"{', '.join(TAKE_ENCODER)} does")
        known = {card.name for card in models.shipped("encoder")}
        more["encoder"] = models.find(encoder) if str(encoder) in known else Path(encoder)
    from intona.training.opening import table  # loads torch, which the help of a verb does without

    # Before what may take minutes: the latents of a corpus, the speech of a frozen voice.
    request = {
        "data": str(Path(data).resolve()),
        "encoder": "" if encoder is None else str(encoder),
        "settings": ", ".join(f"{name} {value}" for name, value in (overrides or {}).items()),
    }
    print("\n".join(table(request)), file=sys.stderr)
    return module.train(
        size=size,
        data=data,
        out=out,
        overrides=overrides or {},
        limit_minutes=limit_minutes,
        init=None if init is None else Path(models.find(init)),
        **more,
    )
