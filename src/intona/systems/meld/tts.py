"""Stage `meld.tts`: the model learns to speak."""

from __future__ import annotations

from intona.systems.meld import lm, presets
from intona.training.stage import Stage

NAME = "meld.tts"
STAGE = Stage(name=NAME, makes="voice", sizes=presets.sizes_of(NAME), resolve=lm.resolve, setup=lm.setup)
