"""Run config of meld.tts, meld.stt and meld.joint: sizes, and the paper's controls as presets."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from intona import config as configs
from intona.errors import UserError, unknown
from intona.nn.quantize import KMeansConfig
from intona.nn.sampling import SamplingConfig
from intona.systems.meld import SpeechLMConfig
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig

MIN_PIECES = 3  # two special pieces and one of text


@dataclass(frozen=True, kw_only=True)
class MeldRun:
    """A whole run.

    `corpus` is the fingerprint of the data, `init` the model it started from, `codebook` the codebook: a
    directory on the command line ("" = made from the corpus in RUN/codebook), its hash from then on.
    `arm` is one of the paper's controls (`ARMS`). `bpe` pieces of text. `max_positions` bounds a batch with
    padding. `listen` is the share of utterances that are transcribed, from step `listen_from` on; -1 = after
    40 % of the steps that the run was started with.
    `pace` (ours, `positions` "time" only): where text stands in training: "none" = as expected of its
    letters, "length" = that, scaled to the utterance, "words" = as aligned (an utterance without alignment:
    "length"). `pace_noise`: seconds of error put on each place in training. `joined` (ours): share of the
    utterances with another one of their speaker behind, as a text behind a reference. `only_heard`: speakers,
    names or patterns (`talk*`) with commas, who are transcribed and never spoken; a codebook that the run
    makes has no frames of theirs.
    """

    stage: str = "meld.tts"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    codebook: str = ""
    arm: str = ""
    bpe: int = 256
    perplexity: float = 5.0
    pace: Literal["none", "length", "words"] = "none"
    pace_noise: float = 0.0
    joined: float = 0.0
    only_heard: str = ""
    max_positions: int = 1600
    listen: float = 0.0
    listen_from: int = 0
    model: SpeechLMConfig = field(default_factory=SpeechLMConfig)
    kmeans: KMeansConfig = field(default_factory=KMeansConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.listen <= 1:
            raise UserError(f"{self.listen:g} is not between 0 and 1", where="--listen")
        configs.at_least(self, bpe=MIN_PIECES, max_positions=1, listen_from=-1)
        if not 1 <= self.perplexity < max(2, self.model.codes):
            raise UserError(
                f"{self.perplexity:g} is not between 1 and the number of codes", where="--perplexity"
            )
        if self.pace != "none" and self.model.positions != "time":
            raise UserError(
                f'"{self.pace}" needs text placed in time',
                where="--pace",
                hint="take --model.positions time, or --pace none",
            )
        if not 0 <= self.pace_noise < 1:
            raise UserError("not between 0 and 1 second", where="--pace-noise")
        if not 0 <= self.joined <= 1:
            raise UserError("not between 0 and 1", where="--joined")


# The paper's controls (sections 4 and 5), as overrides of any size: `--arm hard-vq`.
ARMS: dict[str, dict[str, str]] = {
    "": {},
    # One code alone would be penalised for coming again at every step.
    "mel-lm": {
        "model.codes": "1",
        "model.code_embedding": "zero",
        "perplexity": "1",
        "sampling.penalty": "0",
    },
    "hard-vq": {"perplexity": "1"},
    "codes": {"model.see": "codes", "perplexity": "1"},
    "codec": {"model.see": "codes", "model.train_prenet": "false", "perplexity": "1"},
    "frozen-prenet": {"model.train_prenet": "false"},
    "no-slowness": {"model.slowness": "0"},
    "no-penalty": {"sampling.penalty": "0"},
    "zero-code": {"model.code_embedding": "zero"},
}


def paper() -> MeldRun:
    """The paper's sizes: 12 layers, 1024, 16 heads, K = 8192, 4096 pieces; some 180 M parameters.

    200k updates of 50k frames on 16 V100 in the paper; learning rate and schedule are ours (it gives none).
    """
    return MeldRun(
        size="paper",
        bpe=4096,
        max_positions=50_000,
        model=SpeechLMConfig(),
        loop=LoopConfig(steps=200_000, save_every=2000, validate_every=2000, best="kl"),
        optim=OptimConfig(lr=5e-4, betas=(0.9, 0.98), warmup=16_000, schedule="linear"),
    )


def small() -> MeldRun:
    """6.4 M parameters, four frames per step, text placed in time: for hours of speech and a CPU.

    Figures and cost: docs/notebook/meld.md.
    """
    return MeldRun(
        size="small",
        bpe=64,
        pace="words",
        pace_noise=0.04,
        joined=0.3,
        max_positions=1600,
        model=SpeechLMConfig(
            codes=1024,
            group=4,
            reconstruction_weight=0.02,
            centroid_inputs=0.25,
            dropped_inputs=0.15,
            heard_masks=2,
            ctc=0.5,
            dim=256,
            layers=6,
            heads=4,
            hidden=1024,
            prenet=256,
            positions="time",
            reconstruction_hidden=512,
            postnet_channels=128,
            context=2048,
        ),
        loop=LoopConfig(steps=10_000, ema=0.999, validate_every=500, save_every=500, best="kl"),
        optim=OptimConfig(
            lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup=400, schedule="cosine", final=0.02, clip=5.0
        ),
    )


def toy() -> MeldRun:
    """0.2 M parameters: trains in seconds, says nothing. For tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        bpe=64,
        model=dataclasses.replace(
            base.model,
            codes=32,
            group=2,
            dim=64,
            layers=2,
            heads=2,
            hidden=128,
            prenet=64,
            reconstruction_hidden=64,
            reconstruction_blocks=1,
            postnet_channels=32,
            postnet_layers=2,
        ),
        kmeans=KMeansConfig(batch=1024, iterations=60),
        loop=dataclasses.replace(base.loop, steps=200, log_every=10, validate_every=100, save_every=100),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


def sizes_of(
    stage: str, change: Callable[[MeldRun], MeldRun] = lambda run: run
) -> dict[str, Callable[[], MeldRun]]:
    """The presets of one of the three stages.

    Args:
        change: what the stage does otherwise than `meld.tts`.
    """

    def preset_of(make: Callable[[], MeldRun]) -> Callable[[], MeldRun]:
        @functools.wraps(make)
        def preset() -> MeldRun:
            return dataclasses.replace(change(make()), stage=stage)

        return preset

    return {name: preset_of(make) for name, make in SIZES.items()}


def resolve(stage: str, base: MeldRun, overrides: Mapping[str, str]) -> MeldRun:
    """The config of a stage, with the overrides of the arm that they name, then with these."""
    arm = overrides.get("arm", "")
    if arm not in ARMS:
        unknown("arm", arm, [a for a in ARMS if a], where="--arm")
    return configs.override(dataclasses.replace(base, stage=stage), {**ARMS[arm], **overrides})
