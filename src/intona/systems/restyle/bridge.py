"""Stage `restyle.bridge`: an I2SB bridge from Z_text to Z_audio, conditioned on a style."""

from __future__ import annotations

from functools import partial

from intona.systems.restyle import stage
from intona.training.stage import Stage

NAME = "restyle.bridge"
SIZES = {
    "paper": partial(stage.paper_of, NAME, "bridge"),
    "small": partial(stage.small_of, NAME, "bridge"),
    "toy": partial(stage.toy_of, NAME, "bridge"),
}
STAGE = Stage(name=NAME, makes="voice", sizes=SIZES, setup=stage.setup)
