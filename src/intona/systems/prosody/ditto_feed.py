"""Batches of texts, codes and references."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intona.data.batch import Batch, Loader
from intona.latents.corpus import LatentCorpus
from intona.text import BpeTokenizer


@dataclass(frozen=True, kw_only=True)
class DittoBatch:
    """A `Batch` with codes (B, L, dim), references (B, R, dim) and their lengths (B,); 0 = no reference."""

    text: Batch
    codes: Tensor
    code_lengths: Tensor
    references: Tensor
    reference_lengths: Tensor

    @property
    def ids(self) -> list[str]:
        return self.text.ids

    def to(self, device: torch.device | str) -> DittoBatch:
        return DittoBatch(**{k: v.to(device) for k, v in vars(self).items()})


class DittoFeed:
    """Training batches of one rank, and the dev set, with a reference for each item."""

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
    ) -> None:
        self.corpus, self.seed = corpus, seed
        prepared = corpus.prepared
        limits = {"max_frames": max_frames, "max_items": max_items, "bpe": bpe}
        self._train = Loader(prepared, "train", seed=seed, rank=rank, world_size=world, **limits)
        self._dev = Loader(prepared, "dev", shuffle=False, **limits) if prepared.items("dev") else None

    def next(self) -> DittoBatch:
        batch = next(self._train)
        place = self._train.sampler
        return self._with_latents(batch, "train", place.epoch, place.position)

    def longest(self) -> DittoBatch:
        return self._with_latents(self._train.longest(), "train", "longest")

    def validation(self) -> Iterator[DittoBatch]:
        for batch in self._dev.epoch() if self._dev is not None else ():
            yield self._with_latents(batch, "dev")

    def seconds(self, batch: DittoBatch) -> float:
        return self.corpus.prepared.spec.seconds(batch.text.frames)

    def state_dict(self) -> dict[str, Any]:
        return self._train.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._train.load_state_dict(state)

    def _with_latents(self, batch: Batch, split: str, *keys: object) -> DittoBatch:
        items = [self.corpus.prepared[i] for i in batch.ids]
        codes, lengths = _pad([self.corpus.codes(i) for i in items])
        heard = [self.corpus.reference_for(i, split, self.seed, *keys) for i in items]
        references, reference_lengths = _pad(heard)
        # The mels themselves are of no more use: one column keeps the batch whole.
        batch = dataclasses.replace(batch, mels=batch.mels[..., :1])
        return DittoBatch(
            text=batch,
            codes=codes,
            code_lengths=lengths,
            references=references,
            reference_lengths=reference_lengths,
        )


def _pad(rows: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    out = torch.zeros(len(rows), max(map(len, rows)), rows[0].shape[1])
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = torch.from_numpy(row)
    return out, torch.tensor([len(r) for r in rows])
