"""The embedding space of a contrastive run: vectors of held-out phonemes, and if they find each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from intona.errors import UserError
from intona.evaluation.retrieval import KNOWN, Embeddings, Recall, known_means, retrieval
from intona.nn.random import derive_seed
from intona.systems.prosody.contrastive import RunConfig
from intona.systems.prosody.pretrain import texts_of
from intona.systems.prosody.speakers import vectors_of

UTTERANCES = 8  # encoded at once


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Recalls of the run's encoder, and, text to sound, of queries that know less.

    Args:
        baselines: "speaker" and "speaker and phoneme" -> recalls of the mean training sound of both.
        phonemes: how many tokens. speaker_of: utterance -> speaker.
    """

    encoder: dict[str, Recall]
    baselines: dict[str, dict[str, Recall]]
    phonemes: int
    speaker_of: dict[str, str]


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
def embed(
    run: Path | str, data: Path | str, *, split: str = "test", seed: int = 0, most: int = 0
) -> Embeddings:
    """Text and audio vectors of every phoneme of a split.

    The speaker vector of a text is that of another utterance of the same speaker, drawn by `seed`.

    Args:
        most: so many utterances of each speaker, drawn by `seed`; 0 = all.

    Raises:
        UserError: features of another kind than the run's, an empty or unaligned split.
    """
    model, config = load_model(run)
    prepared = Prepared.open(data)
    path = checkpoint.resolve(models.find(run))
    prepared.spec.require_same(configs.load(MelSpec, path / "features.json"), where=path)
    tokenizer, bpe = pretrained.phonemes(path), pretrained.pieces(path)
    places = phoneme_places(prepared, split, min_frames=config.min_frames)
    chosen = _some(places.items, most, seed)
    if new := sorted({s for i in places.items for s in i.phonemes if s not in tokenizer}):
        print(f"{len(new)} phonemes that the run never saw: {' '.join(new[:20])}", file=sys.stderr)
    texts = texts_of(prepared, places.items, tokenizer, bpe)
    vectors = vectors_of(prepared, path) if config.model.text.adaln else None

    def speaker(item: Item) -> np.ndarray:
        assert vectors is not None
        return vectors.other(item, np.random.default_rng(derive_seed(seed, "retrieve", item.id)))

    text, audio = [], []
    for start in range(0, len(places.items), UTTERANCES):
        within = (places.utterance >= start) & (places.utterance < start + UTTERANCES)
        within &= chosen[places.utterance]
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
    kept = np.flatnonzero(chosen[places.utterance])
    items = [places.items[u] for u in places.utterance[kept]]
    return Embeddings(
        text=torch.cat(text).numpy(),
        audio=torch.cat(audio).numpy(),
        phonemes=tuple(i.phonemes[p] for i, p in zip(items, places.position[kept], strict=True)),
        speakers=tuple(prepared.speakers[i.speaker] for i in items),
        utterances=tuple(i.id for i in items),
    )


def _some(items: Sequence[Item], most: int, seed: int) -> np.ndarray:
    """(U,) bool: at most `most` utterances a speaker, all for 0."""
    chosen = np.full(len(items), not most)
    for speaker in sorted({i.speaker for i in items}) if most else ():
        own = [u for u, i in enumerate(items) if i.speaker == speaker]
        rng = np.random.default_rng(derive_seed(seed, "known", str(speaker)))
        chosen[rng.permutation(own)[:most]] = True
    return chosen


def retrieve(
    run: Path | str,
    data: Path | str,
    *,
    split: str = "test",
    gallery: int = 64,
    ks: tuple[int, ...] = (1, 5, 10),
    seed: int = 0,
    known: int = KNOWN,
) -> Retrieved:
    """Recalls of a run on a split, and those of its baselines.

    Args:
        known: training utterances a speaker that the baselines take their means of; 0 = no baselines.
    """
    found = embed(run, data, split=split, seed=seed)
    labels = (found.phonemes, found.speakers, found.utterances)
    baselines = {}
    if known:
        heard = embed(run, data, split="train", seed=seed, most=known)
        both = (list(zip(e.speakers, e.phonemes, strict=True)) for e in (heard, found))
        for name, (theirs, ours) in {
            "speaker": (heard.speakers, found.speakers),
            "speaker and phoneme": both,
        }.items():
            blind = known_means(heard.audio, theirs, ours)
            baselines[name] = retrieval(
                blind, found.audio, *labels, gallery=gallery, ks=ks, seed=seed, directions=("text-audio",)
            )
    return Retrieved(
        encoder=retrieval(found.text, found.audio, *labels, gallery=gallery, ks=ks, seed=seed),
        baselines=baselines,
        phonemes=len(found.text),
        speaker_of=dict(zip(found.utterances, found.speakers, strict=True)),
    )
