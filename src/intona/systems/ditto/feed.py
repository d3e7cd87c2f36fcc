"""Batches of texts, codes and references."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intona.data.batch import Batch, collate
from intona.data.dev_groups import grouped_batches, speaker_groups
from intona.data.prepared import Item
from intona.data.samplers import DurationBatchSampler
from intona.encoders.speaker import SpeakerVectors
from intona.errors import UserError
from intona.latents.corpus import LatentCorpus
from intona.nn.random import derive_seed
from intona.text import BpeTokenizer
from intona.training.task import Batches


@dataclass(frozen=True, kw_only=True)
class DittoBatch:
    """A `Batch` with codes (B, L, dim), references (B, R, dim) and their lengths (B,); 0 = no reference.

    `speakers` (B, S) are the speaker vectors of the references, zeros where there is none; None where the
    text encoder takes none.
    """

    text: Batch
    codes: Tensor
    code_lengths: Tensor
    references: Tensor
    reference_lengths: Tensor
    speakers: Tensor | None = None

    @property
    def ids(self) -> list[str]:
        return self.text.ids

    def to(self, device: torch.device | str) -> DittoBatch:
        moved: dict[str, Any] = {k: None if v is None else v.to(device) for k, v in vars(self).items()}
        return DittoBatch(**moved)


class DittoFeed:
    """Training batches of one rank, and the dev set, with a reference for each item.

    Args:
        clauses: share of the batches that hold clauses instead of whole utterances, where the corpus has any.
        vectors: of the speakers of the references, if the text encoder takes them.
    """

    def __init__(
        self,
        corpus: LatentCorpus,
        *,
        seed: int,
        rank: int,
        world: int,
        max_frames: int,
        max_items: int | None = None,
        bpe: BpeTokenizer | None = None,
        clauses: float = 0.0,
        vectors: SpeakerVectors | None = None,
    ) -> None:
        self.corpus, self.seed, self.bpe, self.vectors = corpus, seed, bpe, vectors
        self.share, self.drawn = clauses, 0
        limits: dict[str, Any] = {"max_frames": max_frames, "max_items": max_items}
        ranks: dict[str, Any] = {"seed": seed, "rank": rank, "world_size": world}

        def units(split: str, **how: Any) -> dict[str, _Units]:
            kinds: dict[str, Sequence[Item]] = {"whole": corpus.prepared.items(split)}
            if clauses:
                kinds["clauses"] = corpus.clauses(split)
            return {k: _Units(items, **limits, **how) for k, items in kinds.items() if items}

        self._train = units("train", **ranks)
        if "whole" not in self._train:
            raise UserError('the split "train" is empty', where=corpus.prepared.root)
        plan: list[list[Item]] = []
        names: list[str] = []
        for dev in units("dev", shuffle=False).values():
            groups = speaker_groups(corpus.prepared, [i.speaker for i in dev.items])
            batches, of = grouped_batches(dev.sampler.lengths, groups, **limits)
            plan += [dev.at(indices) for indices in batches]
            names += of
        self._dev = Batches(plan, lambda items: self._batch(items, "dev"), names)

    def next(self) -> DittoBatch:
        """The kind of a batch follows from (seed, number of batches before it), on all ranks alike."""
        draw = np.random.default_rng(derive_seed("clauses", self.seed, self.drawn)).random()
        units = self._train["clauses" if draw < self.share and "clauses" in self._train else "whole"]
        self.drawn += 1
        return self._batch(units.at(next(units.sampler)), "train", self.drawn)

    def longest(self) -> DittoBatch:
        items = [u.at(u.sampler.longest_batch()) for u in self._train.values()]
        return self._batch(max(items, key=len), "train", "longest")

    def validation(self) -> Sequence[DittoBatch]:
        return self._dev

    def seconds(self, batch: DittoBatch) -> float:
        return self.corpus.prepared.spec.seconds(batch.text.frames)

    def state_dict(self) -> dict[str, Any]:
        return {"taken": self.drawn} | {k: u.sampler.state_dict() for k, u in self._train.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if "taken" not in state or any(k not in state for k in self._train):
            raise UserError("the order of the data cannot be continued", hint="start the run anew")
        self.drawn = int(state["taken"])
        for kind, units in self._train.items():
            units.sampler.load_state_dict(state[kind])

    def _batch(self, items: list[Item], split: str, *keys: object) -> DittoBatch:
        batch = collate(self.corpus.prepared, items, self.bpe)
        codes, lengths = _pad([self.corpus.codes(i) for i in items])
        cuts, others = zip(
            *(self.corpus.reference_for(i, split, self.seed, *keys) for i in items), strict=True
        )
        references, reference_lengths = _pad(cuts)
        speakers = None
        if self.vectors is not None:
            nobody = np.zeros(self.vectors.dim, np.float32)
            rows = [self.vectors.vectors.get(o.id, nobody) if o else nobody for o in others]
            speakers = torch.from_numpy(np.stack(rows))
        # The mels themselves are of no more use: one column keeps the batch whole.
        batch = dataclasses.replace(batch, mels=batch.mels[..., :1])
        return DittoBatch(
            text=batch,
            codes=codes,
            code_lengths=lengths,
            references=references,
            reference_lengths=reference_lengths,
            speakers=speakers,
        )


class _Units:
    """Items that meet in batches: whole utterances, or clauses. Arguments as `DurationBatchSampler`."""

    def __init__(self, items: Sequence[Item], **how: Any) -> None:
        self.items = items
        self.sampler = DurationBatchSampler([i.n_frames for i in items], **how)

    def at(self, indices: Sequence[int]) -> list[Item]:
        return [self.items[i] for i in indices]


def _pad(rows: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    out = torch.zeros(len(rows), max(map(len, rows)), rows[0].shape[1])
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = torch.from_numpy(row)
    return out, torch.tensor([len(r) for r in rows])
