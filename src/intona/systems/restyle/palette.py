"""Stage `restyle.palette`: v-diffusion of Z_audio, conditioned on Z_text and a style."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from intona.systems.restyle import stage

NAME = "restyle.palette"
SIZES = {
    "paper": partial(stage.paper_of, NAME, "palette"),
    "small": partial(stage.small_of, NAME, "palette"),
    "toy": partial(stage.toy_of, NAME, "palette"),
}


def train(*, size: str, **options: Any) -> Path:
    """See `intona.systems.train`."""
    return stage.train(SIZES[size](), **options)
