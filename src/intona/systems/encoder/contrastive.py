"""Stage 2, `prosody.contrastive`: each phoneme of a text and its sound are drawn together.

Stage 3, `prosody.refine` (refine.py), is the same task on batches of one phoneme.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from intona import checkpoint
from intona import config as configs
from intona.data.pairs import PairBatch, collate_pairs
from intona.data.phoneme_batches import (
    Balance,
    MixedPhonemeSampler,
    PhonemePlaces,
    SamePhonemeSampler,
    phoneme_places,
)
from intona.data.pieces import Text
from intona.data.prepared import Item, Prepared
from intona.encoders import pretrained
from intona.encoders.contrastive import ContrastiveConfig, ContrastiveModel, balanced_bias
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.ecapa import EcapaConfig
from intona.encoders.speaker import SpeakerVectors
from intona.encoders.speakers import files as speakers_files
from intona.encoders.speakers import vectors_by
from intona.nn import ranks
from intona.nn.losses import Losses, Part
from intona.nn.random import ItemRandom, derive_seed
from intona.systems.encoder.mlm import toy_encoder
from intona.systems.encoder.pretrain import bpe_of, encoder_files, texts_of
from intona.text import BpeTokenizer
from intona.training.initial import built_as, config_of, start_from
from intona.training.loop import LoopConfig
from intona.training.mel_feed import mel_statistics
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task
from intona.training.text_encoder import report_new_symbols, start_encoder, symbol_rows

VALIDATION_BATCHES = 8
PAIRED = ("prosody.contrastive", "prosody.refine", "prosody.combined")  # have an audio side
Sampler = MixedPhonemeSampler | SamePhonemeSampler


@dataclass(frozen=True, kw_only=True)
class ContrastiveRun:
    """A whole run of stage 2 or 3.

    `batch`: pairs per rank; `per_utterance` of them from one text ("mixed" batches only; the paper: 1).
    `batches`: "mixed" draws phonemes of any kind, "same" one kind per batch. `balance`: see the sampler.
    `min_frames`, `max_frames`: shorter spans are never drawn, longer ones are cut at the end.
    `speaker`: where speaker vectors come from: "ge2e", "none" (always the vector of an unknown speaker), or a
    directory or hub id of a WavLM with an x-vector head; with probability `speaker_dropout` the vector of an
    unknown speaker replaces them.
    `statistics`: what the audio encoder normalises by in training: the "batch" or, in stage 3, the statistics
    of stage 2 ("frozen"), because a batch of one phoneme is unlike what evaluation has. `fit_bias`: number of
    batches that SigLIP's bias is fitted to before the first step; 0 = it is not fitted. `pieces`: size of the
    BPE vocabulary, unless an earlier stage brings one.
    """

    stage: str = "prosody.contrastive"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    batch: int = 256
    per_utterance: int = 1
    batches: Literal["mixed", "same"] = "mixed"
    balance: Balance = "places"
    min_frames: int = 2
    max_frames: int = 64
    pieces: int = 1000
    speaker: str = "ge2e"
    speaker_dropout: float = 0.1
    statistics: Literal["batch", "frozen"] = "batch"
    fit_bias: int = 0
    model: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, batch=2, per_utterance=1, min_frames=1, max_frames=1, pieces=1, fit_bias=0)
        if not 0 <= self.speaker_dropout <= 1:
            raise ValueError(f"speaker_dropout is {self.speaker_dropout}: from 0 to 1")


def paper() -> ContrastiveRun:
    """20,000 steps (published) of 256 pairs, one per utterance; 27 M + 6.2 M parameters; the rest is ours.

    Command: `intona train prosody.contrastive --size paper --data DATA --init STAGE1 --output RUN`. The paper
    trains on Russian podcasts and reaches R@1-diff .926 (.933 without stage 1), R@1-sim .746 (.690). Cost:
    days on two CPU cores; meant for a GPU.
    """
    return ContrastiveRun(
        size="paper",
        pieces=20_000,
        loop=LoopConfig(steps=20_000),
        optim=OptimConfig(
            lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=800, schedule="cosine", final=0.05
        ),
    )


def small() -> ContrastiveRun:
    """5.7 M parameters of text, 1.6 M of sound (C = 256); eight places per utterance.

    Command: `intona train prosody.contrastive --size small --data DATA --output RUN`. Cost: 1.3 to 2 s of one
    CPU core per step, about an hour in all. Expected on festvox-ru: R@1-diff .93 on held-out utterances after
    the first 127 steps (docs/notebook/prosody.md).
    """
    return ContrastiveRun(
        size="small",
        batch=128,
        per_utterance=8,
        model=ContrastiveConfig(
            text=DualStreamConfig(dim=128, hidden=256, kernel=3),
            audio=EcapaConfig(channels=256, hidden=512),
        ),
        loop=LoopConfig(steps=2000, ema=0.995, save_every=100, validate_every=100),
        optim=OptimConfig(
            lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup=100, schedule="cosine", final=0.05
        ),
    )


def toy() -> ContrastiveRun:
    """0.3 M parameters of text, 0.04 M of sound, seconds: for tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        batch=16,
        pieces=200,
        model=ContrastiveConfig(
            text=toy_encoder(), audio=EcapaConfig(channels=32, hidden=64, bottleneck=16, dim=32)
        ),
        loop=dataclasses.replace(
            base.loop, steps=60, ema=0.9, log_every=10, validate_every=30, save_every=30
        ),
        optim=dataclasses.replace(base.optim, lr=3e-3, warmup=10),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


class ContrastiveTask(Task):
    """The loss of a batch of pairs; whose speaker vector is dropped follows from (seed, step, utterance)."""

    def __init__(
        self,
        config: ContrastiveRun,
        prepared: Prepared,
        bpe: BpeTokenizer,
        speakers: SpeakerVectors | None = None,
    ) -> None:
        super().__init__()
        self.config, self.prepared, self.bpe, self.speakers = config, prepared, bpe, speakers
        self.model = ContrastiveModel(config.model, pairs=config.batch * ranks.world())
        self.model.set_statistics(*mel_statistics(prepared))
        if config.statistics == "frozen":
            self.model.audio.freeze_statistics()

    def embed(self, batch: PairBatch, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Texts and sounds of a batch, both (B, D) of norm 1."""
        known = None
        if self.training and self.config.speaker_dropout and batch.speaker is not None:
            draws = ItemRandom(self.config.loop.seed, step, batch.ids).uniform()
            known = (draws >= self.config.speaker_dropout).to(batch.tokens.device)
        text = self.model.embed_text(
            batch.tokens, batch.lengths, batch.pieces, batch.speaker, batch.rows, batch.positions, known
        )
        return text, self.model.embed_audio(batch.mels, batch.mel_lengths)

    def forward(self, batch: PairBatch, step: int) -> Losses:
        return Losses(parts=self.losses(batch, step))

    def losses(self, batch: PairBatch, step: int, bias: torch.Tensor | None = None) -> dict[str, Part]:
        """The parts of `forward`; `bias`: see `ContrastiveModel.parts`."""
        parts = self.model.parts(*self.embed(batch, step), bias)
        same = (batch.kinds[:, None] == batch.kinds[None, :]).sum() - len(batch)
        wrong = torch.tensor(float(len(batch) * (len(batch) - 1)), device=batch.mels.device)
        parts["same_phoneme"] = Part(total=same.to(wrong), count=wrong, weight=0.0)
        return parts

    def summary(self) -> dict[str, Any]:
        millions = {n: sum(p.numel() for p in m.parameters()) / 1e6 for n, m in self.model.named_children()}
        return {"parameters": f"{millions['encoder']:.2f} M text, {millions['audio']:.2f} M sound"}

    def extra_files(self) -> dict[str, Any]:
        text = encoder_files(self.config.model.text, self.prepared.tokenizer, self.bpe, self.prepared)
        return text | speakers_files(self.speakers)


class PhonemePairFeed:
    """Training pairs of one rank, and fixed pairs of the dev set."""

    def __init__(
        self,
        prepared: Prepared,
        config: ContrastiveRun,
        texts: dict[str, Text],
        speakers: SpeakerVectors | None,
        rank: int,
        world: int,
    ) -> None:
        self.prepared, self.config, self.texts, self.speakers = prepared, config, texts, speakers
        self.places = phoneme_places(prepared, "train", min_frames=config.min_frames)
        self.sampler = make_sampler(self.places, config, rank=rank, world_size=world)
        self._validation = list(self._dev_batches())
        self._frame_seconds = prepared.spec.hop_length / prepared.spec.sample_rate

    def _collate(self, places: PhonemePlaces, indices: list[int], step: int) -> PairBatch:
        def speaker(item: Item) -> np.ndarray:
            assert self.speakers is not None
            seed = derive_seed(self.config.loop.seed, "speaker", step, item.id)
            return self.speakers.other(item, np.random.default_rng(seed))

        return collate_pairs(
            self.prepared,
            places,
            indices,
            self.texts,
            max_frames=self.config.max_frames,
            speaker=speaker if self.speakers is not None else None,
        )

    def _dev_batches(self) -> Iterator[PairBatch]:
        if not any(self.prepared.durations(i) is not None for i in self.prepared.items("dev")):
            return
        places = phoneme_places(self.prepared, "dev", min_frames=self.config.min_frames)
        batch = min(self.config.batch, capacity(places, self.config))
        if batch < 2:
            return
        sampler = make_sampler(places, dataclasses.replace(self.config, batch=batch))
        for step in range(VALIDATION_BATCHES):
            yield self._collate(places, sampler.draw(step), -1 - step)

    def next(self) -> PairBatch:
        step = self.sampler.step
        return self._collate(self.places, next(self.sampler), step)

    def at(self, step: int) -> PairBatch:
        """The batch of a step; the feed stays where it is."""
        return self._collate(self.places, self.sampler.draw(step), step)

    def longest(self) -> PairBatch:
        """The longest texts, each with its longest spans."""
        lengths = np.array([len(item.phonemes) for item in self.places.items])
        per = self.config.per_utterance if self.config.batches == "mixed" else 1
        out: list[int] = []
        for u in np.argsort(-lengths, kind="stable"):
            if len(out) >= self.config.batch:
                break
            places = np.flatnonzero(self.places.utterance == u)
            if len(places) >= per:
                out += places[np.argsort(-self.places.frames[places], kind="stable")[:per]].tolist()
        return self._collate(self.places, out, -1)

    def validation(self) -> Sequence[PairBatch]:
        return self._validation

    def seconds(self, batch: PairBatch) -> float:
        return int(batch.mel_lengths.sum()) * self._frame_seconds

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state)


def make_sampler(
    places: PhonemePlaces, config: ContrastiveRun, *, rank: int = 0, world_size: int = 1
) -> Sampler:
    """The sampler of the config."""
    common: dict[str, Any] = {
        "batch": config.batch,
        "seed": config.loop.seed,
        "rank": rank,
        "world_size": world_size,
    }
    if config.batches == "same":
        return SamePhonemeSampler(places, **common)
    return MixedPhonemeSampler(places, per_utterance=config.per_utterance, balance=config.balance, **common)


def capacity(places: PhonemePlaces, config: ContrastiveRun) -> int:
    """The largest batch that the sampler of the config can draw in one process."""
    if config.batches == "same":
        pairs = np.unique(np.stack([places.kind, places.utterance]), axis=1)
        return int(np.unique(pairs[0], return_counts=True)[1].max())
    enough = np.unique(places.utterance, return_counts=True)[1] >= config.per_utterance
    return int(enough.sum()) * config.per_utterance


def built_as_stage(config: ContrastiveRun, init: Path | None) -> ContrastiveRun:
    """The text encoder of stage 1; the whole model of a stage with an audio side."""
    if init is None or config_of(init).get("stage") != "prosody.mlm":
        return built_as(config, init, stages=PAIRED)
    return dataclasses.replace(config, model=dataclasses.replace(config.model, text=pretrained.config(init)))


def start_from_stage(task: ContrastiveTask, init: Path) -> None:
    """After stage 1: the text encoder alone. After a stage with an audio side: everything."""
    path, prepared = checkpoint.resolve(init), task.prepared
    if config_of(path).get("stage") == "prosody.mlm":
        start_encoder(task.model.encoder, path, prepared.tokenizer)
        return
    before, now = pretrained.phonemes(path).symbols, prepared.tokenizer.symbols
    start_from(
        task,
        path,
        rows=symbol_rows(task.config.model.text, before, now),
        added=("same.bias",),  # of prosody.combined,
        unused=("same",),  # whose other stages have no place for it
    )
    report_new_symbols(path, prepared.tokenizer)


@torch.no_grad()
def fit_bias(task: ContrastiveTask, feed: PhonemePairFeed) -> None:
    """Set SigLIP's bias to the best value for the first batches; all other weights stay.

    Wrong pairs of one phoneme are far more alike than the mixed ones that the bias of stage 2 was learnt on.
    At the encoder's learning rate the bias would need thousands of steps, at the expense of the encoder.
    """
    if task.model.bias is None:
        return
    task.eval()
    embedded = [task.embed(feed.at(step), step) for step in range(task.config.fit_bias)]
    task.train()
    bias = balanced_bias(
        [text.cpu() @ audio.cpu().T for text, audio in embedded],
        float(task.model.log_scale.exp()),
        pairs=task.config.batch * ranks.world(),
    )
    task.model.bias.fill_(bias)


def resolve(preset: ContrastiveRun, request: Request) -> ContrastiveRun:
    """The preset with the encoder or the model of --init, and overridden."""
    return configs.override(built_as_stage(preset, request.init), request.overrides)


def setup(
    config: Any, request: Request, *, task: Any = ContrastiveTask, feed: Any = PhonemePairFeed
) -> Setup:
    """See `training.stage.Stage`.

    Args:
        task, feed: their classes.
    """
    prepared = Prepared.open(request.data)
    # First: it may need a package that is not installed.
    speakers = vectors_by(prepared, config.speaker) if config.model.text.condition_dim else None
    bpe = bpe_of(request, prepared, config.pieces)
    text = config.model.text.sized(n_tokens=len(prepared.tokenizer), n_pieces=len(bpe))
    if speakers is not None:
        text = dataclasses.replace(text, speaker_dim=speakers.dim)
    audio = dataclasses.replace(config.model.audio, n_mels=prepared.spec.n_mels)
    config = dataclasses.replace(
        config,
        corpus=prepared.fingerprint,
        model=dataclasses.replace(config.model, text=text, audio=audio),
    )
    items = [i for split in ("train", "dev") for i in prepared.items(split)]
    texts = texts_of(prepared, items, prepared.tokenizer, bpe)
    alone = feed(prepared, config, texts, speakers, 0, 1)

    def start(task: ContrastiveTask, source: Path) -> None:
        start_from_stage(task, source)
        if config.fit_bias and not request.resumes:  # a checkpoint has its own bias
            # On the batches that all ranks have together: the loss is over all of their pairs.
            whole = dataclasses.replace(config, batch=config.batch * ranks.world())
            fit_bias(
                task, alone if ranks.world() == 1 else PhonemePairFeed(prepared, whole, texts, speakers, 0, 1)
            )

    collisions = alone.sampler.collisions(20)
    return Setup(
        config=config,
        task=lambda: task(config, prepared, bpe, speakers),
        feed=lambda rank, world: (
            alone if world == 1 else feed(prepared, config, texts, speakers, rank, world)
        ),
        facts={
            "utterances": len(alone.places.items),
            "phonemes": len(alone.places),
            "wrong pairs of one phoneme": f"{collisions.same_phoneme:.1%}",
            "of one utterance": f"{collisions.same_utterance:.1%}",
            "of one speaker": f"{collisions.same_speaker:.1%}",
        },
        start=start,
    )


STAGE = Stage(name="prosody.contrastive", makes="encoder", sizes=SIZES, resolve=resolve, setup=setup)
