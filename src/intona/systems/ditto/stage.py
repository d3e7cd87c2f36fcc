"""Stage `prosody.ditto`: latent diffusion on a prepared corpus, over a mel VAE or plain mels."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intona import checkpoint, hub
from intona import config as configs
from intona.data.pieces import utterance_of
from intona.data.prepared import Prepared
from intona.encoders import frozen, pretrained, speakers
from intona.encoders.speaker import SpeakerVectors
from intona.encoders.speakers import NOBODY, require_same
from intona.errors import UserError
from intona.latents.base import LatentSpace
from intona.latents.corpus import LatentCorpus
from intona.nn.losses import Losses
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.provenance import sha256
from intona.systems.ditto import Ditto
from intona.systems.ditto.feed import DittoBatch, DittoFeed
from intona.systems.ditto.latents import open_latents
from intona.systems.ditto.presets import SIZES, RunConfig
from intona.systems.ditto.voice import FORMAT, is_ditto_voice, require_format
from intona.text import BpeTokenizer, PhonemeTokenizer, load_tokenizer
from intona.training.initial import Rows, built_as, start_from
from intona.training.stage import fit_stage
from intona.training.task import Task
from intona.training.text_encoder import require_encoder, require_pieces, start_encoder, symbol_rows

DEMO_SENTENCES = 2
UNHEARD = (" ", "—")  # symbols that take no time


def feed_of(
    corpus: LatentCorpus,
    config: RunConfig,
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
    """The model with its losses; everything random belongs to (seed, step, utterance)."""

    def __init__(
        self,
        config: RunConfig,
        corpus: LatentCorpus,
        bpe: BpeTokenizer | None = None,
        vectors: SpeakerVectors | None = None,
    ) -> None:
        super().__init__()
        self.config, self.bpe, self.corpus, self.prepared = config, bpe, corpus, corpus.prepared
        self.vectors = vectors
        self.model = Ditto(config.model, corpus.space)
        self.model.space.set_statistics(*corpus.statistics())
        self.model.spread.copy_(corpus.spread())
        self.model.length.pace.fill_(corpus.pace())
        for row, symbol in enumerate(corpus.prepared.tokenizer.symbols):
            self.model.widths[row] = float(symbol not in UNHEARD)
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
        """voices.json: what the speaking side must know."""
        train = self.prepared.items("train")
        parts = self.corpus.clauses("train")
        units = [*train, *parts]
        sizes = np.percentile([len(i.phonemes) for i in parts], (25, 90)) if parts else ()
        return {
            "kind": "ditto",
            "speakers": list(self.prepared.speakers),
            "languages": list(self.prepared.languages),
            "latents": self.model.space.fingerprint(),
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


def resolve(
    size: str,
    prepared: Prepared,
    overrides: dict[str, str],
    encoder: Path | None = None,
    init: Path | None = None,
) -> tuple[RunConfig, LatentSpace]:
    """The preset or the model of `init`, filled with what corpus, latents and encoder say, and overridden.

    Raises:
        UserError: latents set in two ways.
    """
    if set_twice := [k for k in overrides if k.replace("-", "_").startswith("model.latents")]:
        raise UserError(
            "the latents are what --latents says",
            where=f"--{set_twice[0]}",
            hint="--latents mel8x64 names frames and numbers; a run of prosody.melvae has its own",
        )
    config = built_as(SIZES[size](), init)
    require_encoder(config.model.encoder, encoder, init)
    published = None if encoder is None else frozen.find(encoder)
    if encoder is not None:
        n = len(prepared.tokenizer)
        if published is not None:
            name = hub.weights_file(published)
            sizes, identity = frozen.config_of(published, n), sha256(name)[:16]
        else:
            sizes = dataclasses.replace(pretrained.config(encoder), n_tokens=n)
            identity = checkpoint.identity_of(encoder)
        model = dataclasses.replace(config.model, encoder=sizes)
        config = dataclasses.replace(config, encoder=identity, model=model)
    if encoder is not None and getattr(config.model.encoder, "adaln", False):
        # A voice that learns on keeps its kind of vectors; those of earlier versions had nobody's.
        speaker = speakers.kind_of(encoder) if init is None else speakers.kind_of(init, default=NOBODY)
        config = dataclasses.replace(config, speaker=speaker)
    config = configs.override(config, overrides)
    if encoder is not None and config.encoder_rate is None:
        rate = 0.1 if published is None and config.encoder_weights == "pretrained" else 1.0
        config = dataclasses.replace(config, encoder_rate=rate)
    given = {k.replace("-", "_") for k in overrides}
    if init is not None and not config.latents:  # weights fit no other latents than those they learned on
        config = dataclasses.replace(config, latents=str(_voice(init)))
    space = open_latents(config.latents, prepared, config.patch_proportion)
    if space.proportion and "model.noise_shift" not in given and (init is None or "patch_shift" in given):
        shifted = dataclasses.replace(config.model, noise_shift=config.patch_shift)
        config = dataclasses.replace(config, model=shifted)
    model = dataclasses.replace(
        config.model,
        n_tokens=len(prepared.tokenizer),
        latents=space.config,
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
    """Weights of another voice on the same latents; symbols are matched by name.

    The statistics of the latents stay the source's: its weights are scaled to them.

    Raises:
        UserError: another kind of model, other latents.
    """
    path = _voice(source)
    voices = configs.read_json(path / "voices.json")
    task.model.space.require(str(voices.get("latents")), where=path)
    before = load_tokenizer(path / "tokenizer.json")
    if not isinstance(before, PhonemeTokenizer):
        raise UserError("a voice needs a phoneme tokenizer", where=path / "tokenizer.json")
    now = task.prepared.tokenizer.symbols
    rows = symbol_rows(before.symbols, now) | {"model.widths": Rows(before=before.symbols, now=now)}
    require_pieces(path, task.bpe)
    fresh = list(dict.fromkeys(start_from(task, source, rows=rows)))
    if fresh:
        print(f"{len(fresh)} symbols start anew: {' '.join(fresh[:20])}", file=sys.stderr)


def train(
    *,
    size: str,
    data: Path,
    out: Path,
    overrides: dict[str, str],
    limit_minutes: float | None,
    init: Path | None = None,
    encoder: Path | None = None,
    fabric: Any = None,
) -> Path:
    """See `intona.systems.train`."""
    prepared = Prepared.open(data)
    config, space = resolve(size, prepared, overrides, encoder, init)
    vectors = speakers.vectors_by(prepared, config.speaker)  # first: it may need a package
    corpus = LatentCorpus(prepared, space, seconds=config.reference, clauses=config.clauses > 0)
    torch.manual_seed(config.loop.seed)
    published = None if encoder is None else frozen.find(encoder)
    bpe = None
    if encoder is not None:
        bpe = pretrained.pieces(encoder) if published is None else frozen.pieces_of(published)
    if vectors is not None:
        for source in (s for s in (encoder, init) if s is not None):
            require_same(checkpoint.resolve(source), config.speaker, vectors.made_by)
    task = DittoTask(config, corpus, bpe, vectors)
    if published is not None:
        frozen.start(task.model.encoder, published)  # type: ignore[arg-type]
    elif encoder is not None and config.encoder_weights == "pretrained":
        start_encoder(task.model.encoder, encoder, prepared.tokenizer)  # type: ignore[arg-type]
    return fit_stage(
        task,
        config,
        out,
        feed=lambda rank, world: feed_of(corpus, config, rank, world, bpe, vectors),
        facts={
            "utterances": len(prepared.items("train")),
            "latents": f"{space.rate:.2f} Hz x {space.dim}",
        },
        init=init,
        start=start_from_voice,
        limit_minutes=limit_minutes,
        fabric=fabric,
    )
