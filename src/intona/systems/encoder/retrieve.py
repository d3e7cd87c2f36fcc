"""The embedding space of a contrastive run: vectors of held-out phonemes, and retrieval between them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import MelSpec
from intona.data.pairs import PairBatch, collate_pairs
from intona.data.phoneme_batches import PhonemePlaces, phoneme_places
from intona.data.prepared import Item, Prepared
from intona.encoders import pretrained
from intona.encoders.contrastive import ContrastiveModel
from intona.encoders.speakers import vectors_of
from intona.errors import UserError
from intona.evaluation.retrieval import (
    KNOWN,
    Embeddings,
    Recall,
    context_means,
    known_means,
    largest_galleries,
    retrieval,
)
from intona.nn.random import derive_seed
from intona.systems.encoder.combined import CombinedRun
from intona.systems.encoder.contrastive import PAIRED, ContrastiveRun
from intona.systems.encoder.pretrain import texts_of

log = logging.getLogger(__name__)

UTTERANCES = 8  # encoded at once
CONTEXTS = 200  # training utterances per speaker from which the sound of a triphone is known
Token = tuple[str, str, str, str]  # speaker, phoneme, the one before, the one after


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Recalls of the run's encoder, and, text to sound, of baselines that know less.

    Args:
        baselines: "speaker", "speaker and phoneme" -> recalls of the mean training sound of both; "triphone":
            of the phoneme between its neighbours, whoever speaks (`context_means`).
        phonemes: how many tokens. speaker_of: utterance -> speaker.
        largest: condition -> the largest gallery that has a query (`largest_galleries`).
    """

    encoder: dict[str, Recall]
    baselines: dict[str, dict[str, Recall]]
    phonemes: int
    speaker_of: dict[str, str]
    largest: dict[str, int] = field(default_factory=dict)


def load_model(run: Path) -> tuple[ContrastiveModel, ContrastiveRun]:
    """Both encoders of a run with an audio side, averaged weights.

    Raises:
        UserError: no such run, or one without an audio side.
    """
    path = checkpoint.resolve(run)
    raw = configs.read_json(path / "config.json")
    stage = raw.get("stage") if isinstance(raw, dict) else None
    if stage not in PAIRED:
        raise UserError(
            f"a run of {stage or 'nothing known'} has no audio side to compare with",
            where=path,
            hint=f"give a run of {', '.join(PAIRED[:-1])} or {PAIRED[-1]}",
        )
    kind = CombinedRun if stage == "prosody.combined" else ContrastiveRun
    config = configs.load(kind, path / "config.json")
    path, state = checkpoint.weights_of(path)
    model = ContrastiveModel(config.model, pairs=config.batch)
    both = {k.removeprefix("model."): v for k, v in state.items() if not k.startswith("same.")}
    checkpoint.load_weights(model, both, where=path)
    return model.eval(), config


class Space:
    """A run's two encoders, and a corpus to look at through them.

    Raises:
        UserError: no such run, one without an audio side, or other features than the run's.
    """

    def __init__(self, run: Path | str, data: Path | str, *, device: str | torch.device = "cpu") -> None:
        self.path = checkpoint.resolve(models.find(run))
        self.model, self.config = load_model(self.path)
        self.model.to(device)
        self.device = torch.device(device)
        self.prepared = Prepared.open(data)
        self.prepared.spec.require_same(configs.load(MelSpec, self.path / "features.json"), where=self.path)
        self._tokenizer, self._bpe = pretrained.phonemes(self.path), pretrained.pieces(self.path)
        conditioned = self.config.model.text.condition_dim > 0
        self._speakers = vectors_of(self.prepared, self.path) if conditioned else None

    @torch.inference_mode()
    def embed(self, split: str, *, seed: int = 0) -> Embeddings:
        """Text and audio vectors of every phoneme of a split.

        The speaker vector of a text is that of another utterance of the same speaker, drawn by `seed`.

        Raises:
            UserError: an empty or unaligned split.
        """
        places = phoneme_places(self.prepared, split, min_frames=self.config.min_frames)
        if new := sorted({s for i in places.items for s in i.phonemes if s not in self._tokenizer}):
            log.info(f"{len(new)} phonemes that the run never saw: {' '.join(new[:20])}")
        text, audio = [], []
        for b in self._batches(places, np.arange(len(places.items)), seed):
            text.append(self.model.embed_text(b.tokens, b.lengths, b.pieces, b.speaker, b.rows, b.positions))
            audio.append(self.model.embed_audio(b.mels, b.mel_lengths))
        items = [places.items[u] for u in places.utterance]
        return Embeddings(
            text=torch.cat(text).cpu().numpy(),
            audio=torch.cat(audio).cpu().numpy(),
            phonemes=tuple(i.phonemes[p] for i, p in zip(items, places.position, strict=True)),
            speakers=tuple(self.prepared.speakers[i.speaker] for i in items),
            utterances=tuple(i.id for i in items),
            neighbours=tuple(neighbours(i.phonemes, p) for i, p in zip(items, places.position, strict=True)),
        )

    @torch.inference_mode()
    def hear(
        self, split: str, speakers: Collection[str], *, most: int, seed: int = 0
    ) -> tuple[np.ndarray, list[Token]]:
        """(K, D) audio vectors of `most` utterances of each speaker, and what each is."""
        places = phoneme_places(self.prepared, split, min_frames=self.config.min_frames)
        names = [self.prepared.speakers[i.speaker] for i in places.items]
        chosen: list[int] = []
        for name in sorted(speakers):
            candidates = [u for u, n in enumerate(names) if n == name]
            rng = np.random.default_rng(derive_seed(seed, "known", name))
            chosen += rng.permutation(candidates)[:most].tolist() if candidates else []
        within = np.flatnonzero(np.isin(places.utterance, chosen))
        if not len(within):  # none of them is in the split: all of its speakers stand for them
            return self.hear(split, set(names), most=1, seed=seed)
        audio = [
            self.model.embed_audio(b.mels, b.mel_lengths)
            for b in self._batches(places, np.array(sorted(chosen)), seed)
        ]
        labels = [
            (names[u], places.items[u].phonemes[p], *neighbours(places.items[u].phonemes, p))
            for u, p in zip(places.utterance[within], places.position[within], strict=True)
        ]
        return torch.cat(audio).cpu().numpy(), labels

    def _batches(self, places: PhonemePlaces, utterances: np.ndarray, seed: int) -> Iterator[PairBatch]:
        """All phonemes of some utterances, in their order, a few utterances at once."""
        items = [places.items[u] for u in utterances]
        texts = texts_of(self.prepared, items, self._tokenizer, self._bpe)

        def speaker(item: Item) -> np.ndarray:
            assert self._speakers is not None
            return self._speakers.other(item, np.random.default_rng(derive_seed(seed, "retrieve", item.id)))

        for start in range(0, len(utterances), UTTERANCES):
            within = np.flatnonzero(np.isin(places.utterance, utterances[start : start + UTTERANCES]))
            if len(within):
                yield collate_pairs(
                    self.prepared,
                    places,
                    within.tolist(),
                    texts,
                    max_frames=self.config.max_frames,
                    speaker=speaker if self._speakers is not None else None,
                ).to(self.device)


def neighbours(phonemes: Sequence[str], position: int) -> tuple[str, str]:
    """The symbols before and after one. A space between words has no sound and is skipped; "" is an end."""
    before, after = position - 1, position + 1
    before -= before >= 0 and phonemes[before] == " "
    after += after < len(phonemes) and phonemes[after] == " "
    return (
        phonemes[before] if before >= 0 else "",
        phonemes[after] if after < len(phonemes) else "",
    )


def _contexts(tokens: Sequence[tuple[str, str, str]]) -> list[list[Hashable]]:
    """Labels of `context_means` of (phoneme, before, after): phoneme, with the next, with both."""
    return [[t[0] for t in tokens], [(t[0], t[2]) for t in tokens], list(tokens)]


def retrieve(
    run: Path | str,
    data: Path | str,
    *,
    split: str = "test",
    gallery: int = 64,
    ks: tuple[int, ...] = (1, 5, 10),
    seed: int = 0,
    known: int = KNOWN,
    device: str | torch.device = "cpu",
) -> Retrieved:
    """Recalls of a run on a split, and those of its baselines.

    Args:
        known: training utterances per speaker that the baselines average; 0 = no baselines.
        device: of the encoders.
    """
    space = Space(run, data, device=device)
    embeddings = space.embed(split, seed=seed)
    labels = (embeddings.phonemes, embeddings.speakers, embeddings.utterances)
    baselines = {}
    if known:
        audio, known_labels = space.hear("train", set(embeddings.speakers), most=known, seed=seed)
        queries = list(zip(embeddings.speakers, embeddings.phonemes, strict=True))
        blind = {
            name: known_means(audio, [h[:width] for h in known_labels], [a[:width] for a in queries])
            for name, width in (("speaker", 1), ("speaker and phoneme", 2))
        }
        audio, known_labels = space.hear("train", set(embeddings.speakers), most=CONTEXTS, seed=seed)
        tokens = [(p, *n) for p, n in zip(embeddings.phonemes, embeddings.neighbours, strict=True)]
        blind["triphone"] = context_means(audio, _contexts([h[1:] for h in known_labels]), _contexts(tokens))
        baselines = {
            name: retrieval(
                vectors,
                embeddings.audio,
                *labels,
                gallery=gallery,
                ks=ks,
                seed=seed,
                directions=("text-audio",),
            )
            for name, vectors in blind.items()
        }
    return Retrieved(
        encoder=retrieval(embeddings.text, embeddings.audio, *labels, gallery=gallery, ks=ks, seed=seed),
        baselines=baselines,
        phonemes=len(embeddings.text),
        speaker_of=dict(zip(embeddings.utterances, embeddings.speakers, strict=True)),
        largest=largest_galleries(*labels),
    )
