"""Stage `meld.stt`: the model learns to listen, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from intona.systems.meld import lm, presets

SIZES = presets.SIZES


def train(*, size: str, data: Path, out: Path, overrides: dict[str, str], **how: Any) -> Path:
    """See `intona.systems.train`."""
    base = SIZES[size]()
    base = dataclasses.replace(base, listen=1.0, loop=dataclasses.replace(base.loop, best="text"))
    return lm.run("meld.stt", base, data=data, out=out, overrides=overrides, **how)
