"""Stage `restyle.bridge`: an I2SB bridge from Z_text to Z_audio, conditioned on a style."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from intona.systems.restyle import stage

NAME = "restyle.bridge"
SIZES = {
    "paper": partial(stage.paper_of, NAME, "bridge"),
    "small": partial(stage.small_of, NAME, "bridge"),
    "toy": partial(stage.toy_of, NAME, "bridge"),
}


def train(*, size: str, **options: Any) -> Path:
    """See `intona.systems.train`."""
    return stage.train(SIZES[size](), **options)
