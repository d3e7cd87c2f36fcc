"""Stage 3, `prosody.refine`: the contrastive task on batches of one phoneme (CLAPSpeech's regime).

Told apart is then not which phoneme, but how it is said. The paper finds that it raises R@1-sim, lowers
R@1-diff, and harms the speech synthesized with the encoder.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from intona import config as configs
from intona.errors import UserError
from intona.systems.encoder import contrastive
from intona.systems.encoder.contrastive import RunConfig


def _refined(base: RunConfig, steps: int, lr: float, batch: int, fit_bias: int) -> RunConfig:
    return dataclasses.replace(
        base,
        stage="prosody.refine",
        batches="same",
        statistics="frozen",
        fit_bias=fit_bias,
        batch=batch,
        per_utterance=1,
        loop=dataclasses.replace(base.loop, steps=steps),
        optim=dataclasses.replace(base.optim, lr=lr),
    )


def paper() -> RunConfig:
    """10,000 steps (published) at half the rate of stage 2.

    Command: `intona train prosody.refine --size paper --data DATA --init STAGE2 --out RUN`. Published:
    R@1-diff .893, R@1-sim .770 after stages 1 + 2 + 3; Grad-TTS's WER rises from .176 to .429.
    """
    return _refined(contrastive.paper(), 10_000, 5e-5, 256, 12)


def small() -> RunConfig:
    """1,000 steps of 64 pairs, each of a text of its own.

    Command: `intona train prosody.refine --size small --data DATA --init STAGE2 --out RUN`. Cost: 3.5 s of
    one CPU core a step, about an hour in all. A twentieth of stage 2's rate and a fitted bias: at half of it
    and with stage 2's bias the first 30 steps take more than half of R@1-sim away (docs/notebook/prosody.md).
    """
    return _refined(contrastive.small(), 1000, 5e-5, 64, 12)


def toy() -> RunConfig:
    """Seconds: for tests and first tries."""
    return _refined(contrastive.toy(), 30, 1e-3, 8, 2)


SIZES = {"paper": paper, "small": small, "toy": toy}


def train(
    *,
    size: str,
    data: Path,
    out: Path,
    overrides: dict[str, str],
    limit_minutes: float | None,
    init: Path | None = None,
    fabric: Any = None,
) -> Path:
    """See `intona.systems.train`.

    Raises:
        UserError: no stage to start from.
    """
    if init is None:
        raise UserError("stage 3 refines an encoder that stands", hint="give the run of stage 2: --init RUN")
    config = configs.override(contrastive.built_as_stage(SIZES[size](), init), overrides)
    return contrastive.run_stage(
        config, data=data, out=out, limit_minutes=limit_minutes, init=init, fabric=fabric
    )
