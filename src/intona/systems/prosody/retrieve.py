"""The embedding space of a contrastive run: vectors of held-out phonemes, and if they find each other."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import MelSpec
from intona.data.pairs import collate_pairs
from intona.data.phoneme_batches import phoneme_places
from intona.data.prepared import Item, Prepared
from intona.encoders import pretrained
from intona.encoders.contrastive import ContrastiveModel
from intona.encoders.speaker import speaker_vectors
from intona.errors import UserError
from intona.evaluation.retrieval import Embeddings, Recall, retrieval, speaker_only
from intona.nn.random import derive_seed
from intona.systems.prosody.contrastive import RunConfig
from intona.systems.prosody.pretrain import texts_of

UTTERANCES = 8  # encoded at once


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Recalls of the run's encoder, and of queries that know the speaker alone."""

    encoder: dict[str, Recall]
    speaker_only: dict[str, Recall]
    phonemes: int
    utterances: int
    speakers: int


def load_model(run: Path | str) -> tuple[ContrastiveModel, RunConfig]:
    """Both encoders of a run of stage 2 or 3, averaged weights.

    Raises:
        UserError: no such run, or one without an audio side.
    """
    path = checkpoint.resolve(models.find(run))
    raw = configs.read_json(path / "config.json")
    stage = raw.get("stage") if isinstance(raw, dict) else None
    if stage not in ("prosody.contrastive", "prosody.refine"):
        raise UserError(
            f"a run of {stage or 'nothing known'} has no audio side to compare with",
            where=path,
            mend="give a run of prosody.contrastive or prosody.refine",
        )
    config = configs.load(RunConfig, path / "config.json")
    path, state = checkpoint.weights_of(path)
    model = ContrastiveModel(config.model, pairs=config.batch)
    checkpoint.load_weights(model, {k.removeprefix("model."): v for k, v in state.items()}, where=path)
    return model.eval(), config


@torch.inference_mode()
def embed(run: Path | str, data: Path | str, *, split: str = "test", seed: int = 0) -> Embeddings:
    """Text and audio vectors of every phoneme of a split.

    The speaker vector of a text is that of another utterance of the same speaker, drawn by `seed`.

    Raises:
        UserError: features of another kind than the run's, an empty or unaligned split.
    """
    model, config = load_model(run)
    prepared = Prepared.open(data)
    path = checkpoint.resolve(models.find(run))
    prepared.spec.require_same(configs.load(MelSpec, path / "features.json"), where=path)
    tokenizer, bpe = pretrained.phonemes(path), pretrained.pieces(path)
    places = phoneme_places(prepared, split, min_frames=config.min_frames)
    if new := sorted({s for i in places.items for s in i.phonemes if s not in tokenizer}):
        print(f"{len(new)} phonemes that the run never saw: {' '.join(new[:20])}", file=sys.stderr)
    texts = texts_of(prepared, places.items, tokenizer, bpe)
    wants_speaker = config.speaker != "none" and config.model.text.adaln
    vectors = speaker_vectors(prepared) if wants_speaker else None

    def speaker(item: Item) -> np.ndarray:
        assert vectors is not None
        return vectors.other(item, np.random.default_rng(derive_seed(seed, "retrieve", item.id)))

    text, audio = [], []
    for start in range(0, len(places.items), UTTERANCES):
        within = (places.utterance >= start) & (places.utterance < start + UTTERANCES)
        if not within.any():
            continue
        batch = collate_pairs(
            prepared,
            places,
            np.flatnonzero(within).tolist(),
            texts,
            max_frames=config.max_frames,
            speaker=speaker if vectors is not None else None,
        )
        text.append(
            model.embed_text(
                batch.tokens, batch.lengths, batch.pieces, batch.speaker, batch.rows, batch.positions
            )
        )
        audio.append(model.embed_audio(batch.mels, batch.mel_lengths))
    items = [places.items[u] for u in places.utterance]
    return Embeddings(
        text=torch.cat(text).numpy(),
        audio=torch.cat(audio).numpy(),
        phonemes=tuple(i.phonemes[p] for i, p in zip(items, places.position, strict=True)),
        speakers=tuple(prepared.speakers[i.speaker] for i in items),
        utterances=tuple(i.id for i in items),
    )


def retrieve(
    run: Path | str,
    data: Path | str,
    *,
    split: str = "test",
    gallery: int = 64,
    ks: tuple[int, ...] = (1, 5, 10),
    seed: int = 0,
) -> Retrieved:
    """Recalls of a run on a split, and those of its speaker-only baseline."""
    found = embed(run, data, split=split, seed=seed)
    labels = (found.phonemes, found.speakers, found.utterances)
    blind = speaker_only(found.audio, found.speakers, found.utterances)
    return Retrieved(
        encoder=retrieval(found.text, found.audio, *labels, gallery=gallery, ks=ks, seed=seed),
        speaker_only=retrieval(blind, found.audio, *labels, gallery=gallery, ks=ks, seed=seed),
        phonemes=len(found.text),
        utterances=len(set(found.utterances)),
        speakers=len(set(found.speakers)),
    )
