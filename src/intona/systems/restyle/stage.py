"""Shared by `restyle.palette` and `restyle.bridge`: config, task and training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from intona import checkpoint
from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders import styles
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom
from intona.systems.restyle import NetworkConfig, Restyle, RestyleConfig, vits
from intona.systems.restyle.frozen import setup_on_voice
from intona.systems.restyle.latents import corpus_pairs
from intona.systems.restyle.measured import train_scale
from intona.systems.restyle.own import synthetic_pairs
from intona.systems.restyle.pairs import FrameBatch, FramePair
from intona.systems.restyle.posterior import statistics, texts_of
from intona.systems.restyle.vits import posterior as posteriors
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup
from intona.training.task import Task

FACTS = "restyle.json"
VERSION = 2  # version 1 had styles in fixed units, not in deviations of the train split


@dataclass(frozen=True, kw_only=True)
class RestyleRunConfig:
    """Config of a whole run.

    Attributes:
        vits: the frozen voice ("piper", a directory, a hub id); `voice` is its fingerprint.
        posterior: run of `restyle.posterior`, for a voice without a posterior encoder.
        align: "mas" = Z_text aligned to the recording (ours); "none" = the paper.
        style: the condition: "prosody"; "style:" and a run of restyle.style; "clap:" and a directory or
            hub id.
        speech: the training targets. "recorded" = recordings of the corpus; "own" = synthetic speech of the
            voice, `sentences` texts of the corpus with other noise, which needs no posterior encoder and no
            alignment.
        speaker: of a voice that has several.
        max_frames: at most so many frames per batch, padding included; longer recordings are left out.
        batch: windows of `model.segment` frames per batch; None = as many whole recordings as `max_frames`
            allows.
    """

    stage: str = ""
    size: str = "small"
    corpus: str = ""
    init: str = ""
    vits: str = "piper"
    voice: str = ""
    posterior: str = ""
    align: Literal["mas", "none"] = "mas"
    style: str = "prosody"
    speech: Literal["recorded", "own"] = "recorded"
    sentences: int = 600
    speaker: str = ""
    max_frames: int = 2400
    batch: int | None = None
    model: RestyleConfig = field(default_factory=RestyleConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, batch=1)


def paper_of(stage: str, process: Literal["palette", "bridge"]) -> RestyleRunConfig:
    """The model of the paper (arXiv 2311.10804).

    2-D U-Net, one style token, unaligned, unmasked, latents that are not standardized; batches of 64 windows
    of 384 frames, 50,000 steps at a constant 1e-4. Where the paper and the authors' code differ, the paper is
    followed. Known differences: training noise is Gaussian (uniform in the authors' later code); our U-Net
    has three downsampling levels instead of four, with the blocks of Grad-TTS; the style is measured prosody
    (`--style prosody`) instead of CLAP (`--style clap:laion/clap-htsat-unfused`).
    """
    return RestyleRunConfig(
        stage=stage,
        size="paper",
        align="none",
        max_frames=64 * 384,
        batch=64,
        model=RestyleConfig(
            process=process,
            network=NetworkConfig(kind="unet2d", dim=128, mults=(1, 2, 4, 4), attend=2, tokens=1, heads=8),
            normalize=False,
            masked=False,
            segment=384,
            see_text=process == "palette",
            x1_noise=process == "bridge",
            ot_ode=process == "bridge",
        ),
        loop=LoopConfig(steps=50_000, ema=0.999, save_every=1000, validate_every=2000),
        optim=OptimConfig(lr=1e-4, betas=(0.95, 0.999)),
    )


def small_of(stage: str, process: Literal["palette", "bridge"]) -> RestyleRunConfig:
    """Our model: a 1-D network over 192 channels, 5.6 M parameters; aligned, masked, standardized latents."""
    return RestyleRunConfig(
        stage=stage,
        model=RestyleConfig(process=process, partial=0.3),
        loop=LoopConfig(steps=20_000, ema=0.999, save_every=1000, validate_every=1000),
        optim=OptimConfig(
            lr=4e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=500, schedule="cosine", final=0.02
        ),
    )


def toy_of(stage: str, process: Literal["palette", "bridge"]) -> RestyleRunConfig:
    """Trains in seconds, for tests and first tries; its speech is unintelligible."""
    base = small_of(stage, process)
    network = NetworkConfig(dim=32, depth=2, heads=2, mults=(1, 2))
    return dataclasses.replace(
        base,
        size="toy",
        model=dataclasses.replace(base.model, network=network, segment=64),
        loop=dataclasses.replace(base.loop, steps=60, log_every=10, validate_every=30, save_every=30),
    )


class RestyleTask(Task):
    """The model with its loss; noise, times and windows are drawn by (seed, step, recording)."""

    def __init__(self, config: RestyleRunConfig, facts: dict[str, Any]) -> None:
        super().__init__()
        self.config, self.facts = config, facts
        self.model = Restyle(config.model)

    def forward(self, batch: FrameBatch, step: int) -> Losses:
        return self.model.losses(
            batch.source,
            batch.target,
            batch.frames,
            batch.style,
            ItemRandom(self.config.loop.seed, step, batch.ids),
        )

    def extra_files(self) -> dict[str, Any]:
        return {FACTS: self.facts}


def facts_of(space: vits.VitsSpace, style: styles.StyleEncoder) -> dict[str, Any]:
    """What a checkpoint records about the voice and the style encoder, to be checked when it is loaded."""
    return {
        "version": VERSION,
        "voice": space.facts.name,
        "voice_hash": space.weights_hash(),
        "channels": space.channels,
        "language": space.facts.symbols.language,
        "style": style.describe(),
        "style_dim": style.dim,
    }


def setup(config: RestyleRunConfig, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    space = vits.load(config.vits)
    before = space.weights_hash()
    texts_of(prepared, space)  # refuses another language
    partial = config.model.partial if config.style == "prosody" else 0.0  # other styles have no flags
    config = dataclasses.replace(config, corpus=prepared.fingerprint, voice=before[:16])
    pairs, style = _pairs(prepared, space, config)
    model = dataclasses.replace(config.model, channels=space.channels, style_dim=style.dim, partial=partial)
    config = dataclasses.replace(config, model=model)

    def task() -> RestyleTask:
        task = RestyleTask(config, facts_of(space, style))
        task.model.set_statistics(*statistics(pairs["train"]))
        return task

    return setup_on_voice(
        space,
        task,
        config,
        pairs,
        before=before,
        facts={"recordings": len(pairs["train"])},
        batch=config.batch,
        window=config.model.segment,
    )


def _pairs(
    prepared: Prepared, space: vits.VitsSpace, config: RestyleRunConfig
) -> tuple[dict[str, list[FramePair]], styles.StyleEncoder]:
    """The training pairs, and the style encoder; measured prosody is in deviations of these pairs."""
    prosody = config.style == "prosody"
    how: dict[str, Any] = {
        "seed": config.loop.seed,
        "max_frames": config.max_frames,
        "speaker": config.speaker,
    }
    if config.speech == "own":
        if not prosody:
            raise UserError(
                "training on synthetic speech needs measured prosody", where="--style", hint="use prosody"
            )
        if config.sentences < 2:
            raise UserError(f"{config.sentences} sentences", where="--sentences", hint="use 2 or more")
        return synthetic_pairs(prepared, space, count=config.sentences, align=config.align, **how)
    net = posteriors.load_for(space, config.posterior)
    style = styles.load(config.style, train_scale(prepared) if prosody else None)
    pairs = corpus_pairs(
        prepared,
        space,
        net,
        style,
        align=config.align,
        posterior="" if net is None else checkpoint.identity_of(Path(config.posterior)),
        **how,
    )
    return pairs, style
