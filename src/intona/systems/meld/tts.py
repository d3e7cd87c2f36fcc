"""Stage `meld.tts`: the model learns to speak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intona.systems.meld import lm, presets

SIZES = presets.SIZES


def train(*, size: str, data: Path, out: Path, overrides: dict[str, str], **how: Any) -> Path:
    """See `intona.systems.train`."""
    return lm.run("meld.tts", SIZES[size](), data=data, out=out, overrides=overrides, **how)
