"""Stage `restyle.style`: a style embedding, trained on recordings and captions of their prosody."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from intona import config as configs
from intona.data.prepared import Item, Prepared
from intona.encoders.captions import caption, corpus_scale, deviations
from intona.encoders.style_net import FACTS, StyleNet, StyleNetConfig, Tower, tower
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom, derive_seed
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.pairs import FrameBatch, FrameFeed, FramePair
from intona.systems.restyle.posterior import statistics
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task


@dataclass(frozen=True, kw_only=True)
class StyleRunConfig:
    """Config of a whole run.

    Attributes:
        tower: the frozen text encoder: "minilm", a directory or hub id of a BERT, or "words".
        captions: how many captions are drawn for each recording; each step uses one of them.
        name_speaker: captions also name the speaker and the language (not with "words").
        max_frames: at most so many frames per batch, padding included; longer recordings are left out.
    """

    stage: str = "restyle.style"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    tower: str = "minilm"
    captions: int = 8
    name_speaker: bool = False
    max_frames: int = 6400
    model: StyleNetConfig = field(default_factory=StyleNetConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


def small() -> StyleRunConfig:
    """0.6 M parameters. `intona train restyle.style --data DATA --output RUN [--tower words]`."""
    return StyleRunConfig(
        loop=LoopConfig(steps=2000, ema=0.99, validate_every=250, save_every=500),
        optim=OptimConfig(lr=1e-3, weight_decay=0.01, warmup=60, schedule="cosine", final=0.02),
    )


def paper() -> StyleRunConfig:
    """ECAPA of 512 channels, 6.8 M parameters. The paper uses CLAP, which is too large to train here."""
    base = small()
    sizes = dataclasses.replace(base.model.audio, channels=512, hidden=1536, bottleneck=128, dim=192)
    model = dataclasses.replace(base.model, audio=sizes, dim=512)
    return dataclasses.replace(base, size="paper", model=model)


def toy() -> StyleRunConfig:
    """For tests and first tries."""
    base = small()
    sizes = dataclasses.replace(base.model.audio, channels=32, hidden=64, bottleneck=16, scale=4, dim=32)
    return dataclasses.replace(
        base,
        size="toy",
        tower="words",
        model=dataclasses.replace(base.model, audio=sizes, dim=16),
        loop=dataclasses.replace(base.loop, steps=60, log_every=10, validate_every=30, save_every=30),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


class StyleTask(Task):
    """The caption of a recording is drawn by (seed, step, recording)."""

    def __init__(self, config: StyleRunConfig, facts: dict[str, Any]) -> None:
        super().__init__()
        self.config, self.facts = config, facts
        self.net = StyleNet(config.model)

    def forward(self, batch: FrameBatch, step: int) -> Losses:
        count = batch.style.shape[1] // self.config.model.text_dim
        captions = batch.style.view(len(batch.ids), count, -1)
        draws = ItemRandom(self.config.loop.seed, step, batch.ids).uniform()
        chosen = (draws * count).long().clamp(max=count - 1).to(captions.device)
        text = captions[torch.arange(len(chosen), device=captions.device), chosen]
        audio = self.net.embed_audio(batch.target, batch.frames.to(batch.target.device))
        return Losses(parts=self.net.parts(self.net.embed_text(text), audio))

    def extra_files(self) -> dict[str, Any]:
        return self.facts


def pairs_of(prepared: Prepared, config: StyleRunConfig, words: Tower) -> dict[str, list[FramePair]]:
    """Mels, and the vectors of `config.captions` captions, of each recording of train and dev.

    Captions such as "low" are relative to the recordings of train.
    """
    measured = measured_of(prepared)
    usable = {
        split: [i for i in prepared.items(split) if i.id in measured and i.n_frames <= config.max_frames]
        for split in ("train", "dev")
    }
    if len(usable["train"]) < 2:
        raise UserError("fewer than two recordings to train on", where=prepared.root)
    scale = corpus_scale([measured[i.id] for i in usable["train"]])
    named = config.name_speaker and config.tower != "words"

    def captions_of(item: Item) -> list[str]:
        rng = np.random.default_rng(derive_seed(config.loop.seed, "captions", item.id))
        who: dict[str, Any] = {}
        if named:
            who = {"speaker": prepared.speakers[item.speaker], "language": item.language}
        return [caption(deviations(measured[item.id], scale), rng, **who) for _ in range(config.captions)]

    out: dict[str, list[FramePair]] = {}
    for split, items in usable.items():
        texts = [captions_of(i) for i in items]
        known = sorted({t for row in texts for t in row})
        vectors: dict[str, np.ndarray] = {}
        for start in range(0, len(known), 64):
            some = known[start : start + 64]
            vectors |= dict(zip(some, words.of_texts(some), strict=True))
        out[split] = []
        for item, row in zip(items, texts, strict=True):
            mel = prepared.mel(item)
            style = np.concatenate([vectors[t] for t in row]).astype(np.float32)
            out[split].append(FramePair(id=item.id, source=mel[:, :1], target=mel, style=style))
    return out


def setup(config: StyleRunConfig, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    if config.captions < 1:
        raise UserError(f"{config.captions} captions", where="--captions", hint="use 1 or more")
    words = tower(config.tower)
    pairs = pairs_of(prepared, config, words)
    audio = dataclasses.replace(config.model.audio, n_mels=prepared.spec.n_mels)
    model = dataclasses.replace(config.model, audio=audio, text_dim=words.dim)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, model=model)
    facts = {
        FACTS: {
            "net": configs.to_dict(config.model),
            "tower": config.tower,
            "tower_is": words.describe(),
        },
        "features.json": configs.to_dict(prepared.spec),
    }

    def task() -> StyleTask:
        task = StyleTask(config, facts)
        mean, std = statistics(pairs["train"])
        task.net.mel_mean.copy_(mean)
        task.net.mel_std.copy_(std.clamp(min=1e-3))
        return task

    return Setup(
        config=config,
        task=task,
        feed=lambda rank, world: FrameFeed(
            pairs["train"],
            pairs["dev"],
            max_frames=config.max_frames,
            seed=config.loop.seed,
            rank=rank,
            world=world,
            frame_seconds=prepared.spec.hop_length / prepared.spec.sample_rate,
        ),
        facts={"recordings": len(pairs["train"]), "tower": config.tower},
    )


STAGE = Stage(name="restyle.style", makes="part", sizes=SIZES, setup=setup)
