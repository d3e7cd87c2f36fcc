"""Stage `meld.joint`: speaking first, then half and half (MELD, section 5.6).

In one run that is the first 40 % of its steps (80k of 200k in the paper); with `--init` of a meld.tts run,
set `--listen-from 0`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from intona.systems.meld import lm, presets

SIZES = presets.SIZES


def train(*, size: str, data: Path, out: Path, overrides: dict[str, str], **how: Any) -> Path:
    """See `intona.systems.train`."""
    base = SIZES[size]()
    loop = dataclasses.replace(base.loop, best="kl+text")
    base = dataclasses.replace(base, listen=0.5, listen_from=-1, loop=loop)
    return lm.run("meld.joint", base, data=data, out=out, overrides=overrides, **how)
