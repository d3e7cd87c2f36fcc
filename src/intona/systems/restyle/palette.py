"""Stage `restyle.palette`: v-diffusion of Z_audio, conditioned on Z_text and a style."""

from __future__ import annotations

from functools import partial

from intona.systems.restyle import stage
from intona.training.stage import Stage

NAME = "restyle.palette"
SIZES = {
    "paper": partial(stage.paper_of, NAME, "palette"),
    "small": partial(stage.small_of, NAME, "palette"),
    "toy": partial(stage.toy_of, NAME, "palette"),
}
STAGE = Stage(name=NAME, makes="voice", sizes=SIZES, setup=stage.setup)
