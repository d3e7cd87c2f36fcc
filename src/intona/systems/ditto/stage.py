"""Stage `prosody.ditto`: latent diffusion on a prepared corpus, over a mel VAE or plain mels."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from intona import checkpoint
from intona import config as configs
from intona.data.pieces import utterance_of
from intona.data.prepared import Prepared
from intona.encoders import speakers
from intona.encoders.speaker import SpeakerVectors
from intona.encoders.speakers import GE2E, NOBODY, kind_of
from intona.errors import UserError
from intona.latents.base import LatentSpace
from intona.latents.corpus import LatentCorpus
from intona.nn.losses import Losses
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.systems.ditto import Ditto
from intona.systems.ditto.feed import DittoBatch, DittoFeed
from intona.systems.ditto.latents import open_latents
from intona.systems.ditto.presets import SIZES, DittoRun
from intona.systems.ditto.voice import FORMAT, is_ditto_voice, require_format
from intona.text import BpeTokenizer
from intona.training.initial import Rows, built_as, start_from
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task
from intona.training.text_encoder import (
    pieces_for,
    require_pieces,
    require_width,
    symbol_rows,
    symbols_of,
    with_encoder,
    with_rate,
)

log = logging.getLogger(__name__)

DEMO_SENTENCES = 2
SILENT = (" ", "—")  # symbols that take no time


def feed_of(
    corpus: LatentCorpus,
    config: DittoRun,
    rank: int,
    world: int,
    bpe: BpeTokenizer | None = None,
    vectors: SpeakerVectors | None = None,
) -> DittoFeed:
    """The batches of one rank."""
    return DittoFeed(
        corpus,
        seed=config.loop.seed,
        rank=rank,
        world=world,
        max_frames=config.max_frames,
        max_items=config.max_items,
        bpe=bpe,
        clauses=config.clauses,
        vectors=vectors,
    )


class DittoTask(Task):
    """The model with its losses; everything random follows from (seed, step, utterance)."""

    def __init__(
        self,
        config: DittoRun,
        corpus: LatentCorpus,
        bpe: BpeTokenizer | None = None,
        vectors: SpeakerVectors | None = None,
    ) -> None:
        super().__init__()
        self.config, self.bpe, self.corpus, self.prepared = config, bpe, corpus, corpus.prepared
        self.vectors = vectors
        self.model = Ditto(config.model, corpus.space)
        self.latents = self.model.space.fingerprint()  # of frozen weights, while they are whole
        self.model.space.set_statistics(*corpus.statistics())
        self.model.spread.copy_(corpus.spread())
        self.model.length.pace.fill_(corpus.pace())
        for row, symbol in enumerate(corpus.prepared.tokenizer.symbols):
            self.model.widths[row] = float(symbol not in SILENT)
        if config.encoder_rate == 0:
            self.model.encoder.requires_grad_(False)  # type: ignore[attr-defined]

    def train(self, mode: bool = True) -> DittoTask:
        super().train(mode)
        if self.config.encoder_rate == 0:
            self.model.encoder.eval()  # type: ignore[attr-defined]  # frozen: no dropout either
        return self

    def rates(self) -> dict[str, float]:
        rate = self.config.encoder_rate
        return {} if rate is None else {"model.encoder.": rate}

    def forward(self, batch: DittoBatch, step: int) -> Losses:
        return self.model.losses(
            tokens=batch.text.tokens,
            token_lengths=batch.text.token_lengths,
            latents=self._standard(batch.codes, batch.code_lengths),
            latent_lengths=batch.code_lengths,
            references=self._standard(batch.references, batch.reference_lengths),
            reference_lengths=batch.reference_lengths,
            pieces=batch.text.pieces,
            speakers=batch.speakers,
            random=ItemRandom(self.config.loop.seed, step, batch.ids),
        )

    def _standard(self, codes: Tensor, lengths: Tensor) -> Tensor:
        space = self.model.space
        return (codes - space.mean) / space.std * length_mask(lengths, codes.shape[1])[..., None]

    def voices(self) -> dict[str, Any]:
        """The voices.json of the checkpoint, which synthesis reads."""
        train = self.prepared.items("train")
        parts = self.corpus.clauses("train")
        units = [*train, *parts]
        sizes = np.percentile([len(i.phonemes) for i in parts], (25, 90)) if parts else ()
        return {
            "kind": "ditto",
            "speakers": list(self.prepared.speakers),
            "languages": list(self.prepared.languages),
            "latents": self.latents,
            "longest_symbols": max(len(i.phonemes) for i in train),
            "longest_seconds": max(self.prepared.spec.seconds(i.n_frames) for i in train),
            "shortest_seconds": min(self.prepared.spec.seconds(i.n_frames) for i in units),
            "clause_symbols": [round(n) for n in sizes],
            "pauses": self.corpus.pauses() if parts else {},
            "reference_seconds": list(self.config.reference),
            "speaker": self.config.speaker,
        }

    def extra_files(self) -> dict[str, Any]:
        root = self.prepared.root
        names = ("tokenizer.json", "features.json")
        files = {n: json.loads((root / n).read_text(encoding="utf-8")) for n in names}
        if self.bpe is not None:
            files["bpe.json"] = self.bpe.to_json()
        files |= speakers.files(self.vectors)
        return {**files, "stats.json": self.prepared.stats, "voices.json": self.voices()}

    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev sentences, without a reference: wav and spectrogram, the same noise every time."""
        from intona.plots import spectrogram_of
        from intona.systems.ditto.voice import DittoVoice

        out.mkdir(parents=True, exist_ok=True)
        prepared = self.prepared
        voice = DittoVoice(self.model, prepared.tokenizer, prepared.spec, voices=self.voices(), bpe=self.bpe)
        for item in prepared.items("dev")[:DEMO_SENTENCES]:
            audio = voice.speak([utterance_of(item)])[0]
            audio.write(out / f"{item.id}.wav")
            spectrogram_of(audio, out / f"{item.id}.png", title=f"{item.id}, step {step}")


def resolve(preset: DittoRun, request: Request) -> DittoRun:
    """The preset or the model of --init, with the encoder of --encoder, and overridden.

    Raises:
        UserError: latents set in two ways.
    """
    if set_twice := [k for k in request.overrides if k.replace("-", "_").startswith("model.latents")]:
        raise UserError(
            "the latents are set by --latents",
            where=f"--{set_twice[0]}",
            hint="--latents mel8x64 names frames and numbers; those of a run of prosody.melvae are fixed",
        )
    source, init = request.encoder, request.init
    config = with_encoder(built_as(preset, init), source, init)
    if source is not None and config.model.encoder.condition_dim:
        # A voice that learns on keeps its kind of vectors; those of earlier versions had nobody's.
        speaker = kind_of(source.path) if init is None else kind_of(init, default=NOBODY)
        config = dataclasses.replace(config, speaker=speaker)
    config = configs.override(config, request.overrides)
    if source is None and config.model.encoder.condition_dim and not _is_set("speaker", request):
        speaker = GE2E if init is None else kind_of(init, default=NOBODY)
        config = dataclasses.replace(config, speaker=speaker)
    return with_rate(config, source)


def _is_set(name: str, request: Request) -> bool:
    """Whether the command line sets a field."""
    return name in {k.replace("-", "_") for k in request.overrides}


def fitted(
    config: DittoRun, prepared: Prepared, request: Request, *, bpe: BpeTokenizer | None = None
) -> tuple[DittoRun, LatentSpace]:
    """The config for a corpus, and its latents: vocabularies, latents and the noise shift over them."""
    init = request.init
    if init is not None and not config.latents:  # weights fit no other latents than those they learned on
        config = dataclasses.replace(config, latents=str(_voice(init)))
    space = open_latents(config.latents, prepared, config.patch_proportion)
    shift = config.model.noise_shift
    if space.proportion and not _is_set("model.noise_shift", request):
        shift = config.patch_shift if init is None or _is_set("patch_shift", request) else shift
    n_tokens = len(prepared.tokenizer)
    model = dataclasses.replace(
        config.model,
        n_tokens=n_tokens,
        noise_shift=shift,
        latents=space.config,
        encoder=config.model.encoder.sized(n_tokens=n_tokens, n_pieces=0 if bpe is None else len(bpe)),
    )
    config = dataclasses.replace(
        config, corpus=prepared.fingerprint, latents=space.fingerprint(), model=model, format=FORMAT
    )
    return config, space


def _voice(source: Path) -> Path:
    """The checkpoint of a run to start from, if it is one of this stage."""
    path = checkpoint.resolve(source)
    if not is_ditto_voice(path):
        raise UserError("not a run of prosody.ditto", where=path)
    require_format(configs.read_json(path / "config.json"), path)
    return path


def start_from_voice(task: DittoTask, source: Path) -> None:
    """Copy the weights of another voice on the same latents; symbols are matched by name.

    The statistics of the latents stay the source's: its weights are scaled to them.

    Raises:
        UserError: another kind of model, other latents.
    """
    path = _voice(source)
    voices = configs.read_json(path / "voices.json")
    task.model.space.require(str(voices.get("latents")), where=path)
    before, now = symbols_of(path), task.prepared.tokenizer.symbols
    rows = symbol_rows(task.config.model.encoder, before, now)
    rows |= {"model.widths": Rows(before=before, now=now)}
    require_pieces(path, task.bpe)
    fresh = list(dict.fromkeys(start_from(task, source, rows=rows)))
    if fresh:
        log.info(f"{len(fresh)} symbols start anew: {' '.join(fresh[:20])}")


def setup(config: DittoRun, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared, source = Prepared.open(request.data), request.encoder
    bpe = pieces_for(config.model.encoder, prepared, source=source, out=request.out, init=request.init)
    config, space = fitted(config, prepared, request, bpe=bpe)
    vectors = speakers.vectors_by(prepared, config.speaker)  # first: it may need a package
    require_width(vectors, config.model.encoder)
    for run in (None if source is None else source.path, request.init):
        if vectors is not None and run is not None:
            speakers.require_same(checkpoint.resolve(run), config.speaker, vectors.encoder_facts)
    corpus = LatentCorpus(prepared, space, seconds=config.reference, clauses=config.clauses > 0)

    def task() -> DittoTask:
        task = DittoTask(config, corpus, bpe, vectors)
        if source is not None and (source.published or config.encoder_weights == "pretrained"):
            source.start(task.model.encoder, prepared.tokenizer)  # type: ignore[arg-type]
        return task

    return Setup(
        config=config,
        task=task,
        feed=lambda rank, world: feed_of(corpus, config, rank, world, bpe, vectors),
        facts={
            "utterances": len(prepared.items("train")),
            "latents": f"{space.rate:.2f} Hz x {space.dim}",
        },
        start=start_from_voice,
    )


STAGE = Stage(
    name="prosody.ditto",
    makes="voice",
    sizes=SIZES,
    resolve=resolve,
    setup=setup,
    encoders=("run", "published"),
)
