"""Non-finite losses and gradients stop every rank before the update; the batch is recorded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from intona import config as configs
from intona.errors import UserError


def refuse_non_finite(values: dict[str, float], *, step: int, rank: int, batch: Any, run: Path) -> None:
    """Raise if any value is not finite, after writing RUN/nonfinite-STEP-rankR.json.

    `values` must be the same on all ranks (sums over ranks), so that all of them stop together.

    Raises:
        UserError: names the values and the file.
    """
    bad = {k: str(v) for k, v in values.items() if not math.isfinite(v)}
    if not bad:
        return
    dump = run / f"nonfinite-{step:08d}-rank{rank}.json"
    shown = {k: (v if math.isfinite(v) else str(v)) for k, v in values.items()}
    configs.write_json(
        dump, {"step": step, "rank": rank, "values": shown, "ids": list(getattr(batch, "ids", []))}
    )
    raise UserError(
        f"step {step}: {', '.join(bad)} is not finite; nothing was updated",
        where=dump,
        hint="the last checkpoint is intact; lower --optim.lr or look at the utterances listed",
    )
