"""Stage `meld.joint`: speaking first, then half and half (MELD, section 5.6).

In one run that is the first 40 % of its steps (80k of 200k in the paper); with `--init` of a meld.tts run,
set `--listen-from 0`.
"""

from __future__ import annotations

import dataclasses

from intona.systems.meld import lm, presets
from intona.systems.meld.presets import MeldRun
from intona.training.stage import Stage

NAME = "meld.joint"


def _half_and_half(run: MeldRun) -> MeldRun:
    loop = dataclasses.replace(run.loop, best="kl+text")
    return dataclasses.replace(run, listen=0.5, listen_from=-1, loop=loop)


STAGE = Stage(
    name=NAME, makes="voice", sizes=presets.sizes_of(NAME, _half_and_half), resolve=lm.resolve, setup=lm.setup
)
