"""Stage 3, `prosody.refine`: the contrastive task on batches of one phoneme (CLAPSpeech's regime).

The model then learns to tell how a phoneme is spoken, not which phoneme it is. In the paper this raises
R@1-sim, lowers R@1-diff, and harms the speech synthesized with the encoder.
"""

from __future__ import annotations

import dataclasses

from intona.systems.encoder import contrastive
from intona.systems.encoder.contrastive import ContrastiveRun
from intona.training.stage import Stage


def _refined(base: ContrastiveRun, steps: int, lr: float, batch: int, fit_bias: int) -> ContrastiveRun:
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


def paper() -> ContrastiveRun:
    """10,000 steps (published) at half the rate of stage 2.

    Command: `intona train prosody.refine --size paper --data DATA --init STAGE2 --output RUN`. Published:
    R@1-diff .893, R@1-sim .770 after stages 1 + 2 + 3; Grad-TTS's WER rises from .176 to .429.
    """
    return _refined(contrastive.paper(), 10_000, 5e-5, 256, 12)


def small() -> ContrastiveRun:
    """1,000 steps of 64 pairs, each of another text.

    Command: `intona train prosody.refine --size small --data DATA --init STAGE2 --output RUN`. Cost: 3.5 s of
    one CPU core per step, about an hour in all. The learning rate is a twentieth of stage 2's and the bias is
    fitted: with half the rate and stage 2's bias, R@1-sim falls by more than half in the first 30 steps
    (docs/notebook/prosody.md).
    """
    return _refined(contrastive.small(), 1000, 5e-5, 64, 12)


def toy() -> ContrastiveRun:
    """Seconds: for tests and first tries."""
    return _refined(contrastive.toy(), 30, 1e-3, 8, 2)


SIZES = {"paper": paper, "small": small, "toy": toy}
STAGE = Stage(
    name="prosody.refine",
    makes="encoder",
    sizes=SIZES,
    resolve=contrastive.resolve,
    setup=contrastive.setup,
    init="required",
)
