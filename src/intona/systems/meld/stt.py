"""Stage `meld.stt`: the model learns to listen, and nothing else."""

from __future__ import annotations

import dataclasses

from intona.systems.meld import lm, presets
from intona.systems.meld.presets import MeldRun
from intona.training.stage import Stage

NAME = "meld.stt"


def _listening(run: MeldRun) -> MeldRun:
    return dataclasses.replace(run, listen=1.0, loop=dataclasses.replace(run.loop, best="text"))


STAGE = Stage(
    name=NAME, makes="voice", sizes=presets.sizes_of(NAME, _listening), resolve=lm.resolve, setup=lm.setup
)
