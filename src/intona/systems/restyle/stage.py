"""What `restyle.palette` and `restyle.bridge` share: the run's config, its task, training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from intona import checkpoint
from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders import style as styles
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom
from intona.systems.restyle import NetworkConfig, Restyle, RestyleConfig, vits
from intona.systems.restyle.frozen import setup_beside
from intona.systems.restyle.latents import corpus_pairs
from intona.systems.restyle.measured import train_scale
from intona.systems.restyle.own import own_pairs
from intona.systems.restyle.pairs import Pair, PairBatch
from intona.systems.restyle.posterior import statistics, texts_of
from intona.systems.restyle.vits import posterior as posteriors
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup
from intona.training.task import Task

FACTS = "restyle.json"
VERSION = 2  # 1 had styles in fixed units, not in deviations of its train split


@dataclass(frozen=True, kw_only=True)
class RestyleRunConfig:
    """A whole run.

    Attributes:
        vits: the frozen voice ("piper", a directory, a hub id); `voice` is its fingerprint.
        posterior: run of `restyle.posterior`, for a voice without a posterior encoder.
        align: "mas" = Z_text on the recording's own frames (ours); "none" = the paper.
        style: the condition: "prosody"; "style:" and a run of restyle.style; "clap:" and a directory or
            hub id.
        speech: "recorded" = towards the recordings of the corpus; "own" = towards the voice's own speech of
            its texts, `sentences` of them, with other noise (no posterior, no alignment).
        speaker: of a voice that has several.
        max_frames: bounds a batch with padding; longer recordings are left out.
        batch: windows of `model.segment` frames that a step holds; None = as many whole recordings as
            `max_frames` allow.
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
    """The paper's arm: 2-D U-Net, one style token, unaligned, unmasked, latents as they are; batch 64 of 384
    frames, 50,000 steps, constant 1e-4 (arXiv 2311.10804). Its training noise is Gaussian here, where the
    authors' later code drew it uniform. Our U-Net halves three times, not four, and is Grad-TTS's in its
    blocks. Where their code and paper differ the paper's figure stands. The style is the twelve numbers of
    `--style prosody`, not the paper's CLAP, which `--style clap:laion/clap-htsat-unfused` takes."""
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
    """Ours: 1-D network over 192 channels, 5.6 M parameters, aligned, masked, standardised."""
    return RestyleRunConfig(
        stage=stage,
        model=RestyleConfig(process=process, partial=0.3),
        loop=LoopConfig(steps=20_000, ema=0.999, save_every=1000, validate_every=1000),
        optim=OptimConfig(
            lr=4e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=500, schedule="cosine", final=0.02
        ),
    )


def toy_of(stage: str, process: Literal["palette", "bridge"]) -> RestyleRunConfig:
    """Trains in seconds, says nothing worth hearing. For tests and first tries."""
    base = small_of(stage, process)
    network = NetworkConfig(dim=32, depth=2, heads=2, mults=(1, 2))
    return dataclasses.replace(
        base,
        size="toy",
        model=dataclasses.replace(base.model, network=network, segment=64),
        loop=dataclasses.replace(base.loop, steps=60, log_every=10, validate_every=30, save_every=30),
    )


class RestyleTask(Task):
    """The model with its loss; noise, times and windows belong to (seed, step, recording)."""

    def __init__(self, config: RestyleRunConfig, facts: dict[str, Any]) -> None:
        super().__init__()
        self.config, self.facts = config, facts
        self.model = Restyle(config.model)

    def forward(self, batch: PairBatch, step: int) -> Losses:
        return self.model.losses(
            batch.given,
            batch.wanted,
            batch.frames,
            batch.style,
            ItemRandom(self.config.loop.seed, step, batch.ids),
        )

    def extra_files(self) -> dict[str, Any]:
        return {FACTS: self.facts}


def facts_of(space: vits.VitsSpace, style: styles.StyleEncoder) -> dict[str, Any]:
    """What a checkpoint must find again when it is loaded."""
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

    return setup_beside(
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
) -> tuple[dict[str, list[Pair]], styles.StyleEncoder]:
    """What the config trains on, and the style it is told: prosody in deviations of those very recordings."""
    prosody = config.style == "prosody"
    how: dict[str, Any] = {
        "seed": config.loop.seed,
        "max_frames": config.max_frames,
        "speaker": config.speaker,
    }
    if config.speech == "own":
        if not prosody:
            raise UserError("the style of its own speech is measured", where="--style", hint="prosody")
        if config.sentences < 2:
            raise UserError(f"{config.sentences} sentences", where="--sentences", hint="take 2 or more")
        return own_pairs(prepared, space, count=config.sentences, align=config.align, **how)
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
