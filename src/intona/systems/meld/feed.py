"""Batches of text pieces and mels: utterances of like length together, padded at the end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from intona.acoustic.speech_lm import spelling
from intona.data.prepared import Item, Prepared
from intona.data.samplers import DurationBatchSampler
from intona.errors import UserError
from intona.systems.meld.pace import Pace
from intona.text import BpeTokenizer


@dataclass(frozen=True, kw_only=True)
class SpeechBatch:
    """Padded with 0. Text ids (B, N), natural-log mels (B, T, n_mels), their lengths (B,), names.

    `spans` (B, N): frames that each piece lasts; None = as expected of it.
    """

    text: torch.Tensor
    text_lengths: torch.Tensor
    mels: torch.Tensor
    mel_lengths: torch.Tensor
    ids: list[str]
    spans: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> SpeechBatch:
        tensors = {k: v for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return dataclasses.replace(self, **{k: v.to(device, non_blocking=True) for k, v in tensors.items()})

    def rows(self, keep: torch.Tensor) -> SpeechBatch:
        """The items where `keep` (B,) is True, padded to their own longest."""
        place = torch.nonzero(keep)[:, 0]
        n, t = self.text_lengths[place], self.mel_lengths[place]
        return SpeechBatch(
            text=self.text[place, : int(n.max())],
            text_lengths=n,
            mels=self.mels[place, : int(t.max())],
            mel_lengths=t,
            ids=[self.ids[i] for i in place.tolist()],
            spans=None if self.spans is None else self.spans[place, : int(n.max())],
        )


class Corpus:
    """Items of a split with their text pieces, and batches of them."""

    def __init__(
        self,
        prepared: Prepared,
        split: str,
        tokenizer: BpeTokenizer,
        *,
        group: int,
        context: int,
        pace: Pace | None = None,
    ) -> None:
        self.prepared, self.items, self.pace = prepared, prepared.items(split), pace
        self.pieces = [spelling.encode(tokenizer, i.normalized).ids for i in self.items]
        # Positions in the stream: pieces, the task token, steps.
        self.lengths = [
            len(p) + 1 + i.n_frames // group for p, i in zip(self.pieces, self.items, strict=True)
        ]
        for item, pieces, length in zip(self.items, self.pieces, self.lengths, strict=True):
            if not pieces or item.n_frames < group:
                raise UserError(f'"{item.id}" has no text or no sound', where=prepared.root)
            if length > context:
                raise UserError(
                    f'"{item.id}" takes {length} positions, the model\'s context is {context}',
                    where=prepared.root,
                    mend=f"raise --model.context to {max(self.lengths)}, or prepare with a lower max_seconds",
                )

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        chosen: list[Item] = [self.items[i] for i in indices]
        text = [self.pieces[i] for i in indices]
        mels = np.zeros((len(chosen), max(i.n_frames for i in chosen), self.prepared.spec.n_mels), np.float32)
        for row, item in zip(mels, chosen, strict=True):
            row[: item.n_frames] = self.prepared.mel_rows(item)
        padded = np.zeros((len(text), max(map(len, text))), np.int64)
        for row, ids in zip(padded, text, strict=True):
            row[: len(ids)] = ids
        spans = None
        if self.pace is not None and self.pace.kind != "none":
            spans = np.zeros(padded.shape, np.float32)
            for row, item, ids in zip(spans, chosen, text, strict=True):
                row[: len(ids)] = self.pace.frames(item, ids)
        return SpeechBatch(
            text=torch.from_numpy(padded),
            text_lengths=torch.tensor([len(t) for t in text]),
            mels=torch.from_numpy(mels),
            mel_lengths=torch.tensor([i.n_frames for i in chosen]),
            ids=[i.id for i in chosen],
            spans=None if spans is None else torch.from_numpy(spans),
        )


class SpeechFeed:
    """Training batches of one rank, and the dev set. Satisfies `training.task.Feed`."""

    def __init__(
        self, train: Corpus, dev: Corpus | None, *, max_positions: int, seed: int, rank: int, world: int
    ):
        self._train, self._dev = train, dev
        self._sampler = DurationBatchSampler(
            train.lengths, max_frames=max_positions, seed=seed, rank=rank, world_size=world
        )
        self._plan: list[list[int]] = []
        if dev is not None:
            self._plan = DurationBatchSampler(
                dev.lengths, max_frames=max(max_positions, max(dev.lengths)), shuffle=False
            ).one_epoch()
        spec = train.prepared.spec
        self._frame_seconds = spec.hop_length / spec.sample_rate

    def next(self) -> SpeechBatch:
        return self._train.batch(next(self._sampler))

    def longest(self) -> SpeechBatch:
        return self._train.batch(self._sampler.longest_batch())

    def validation(self) -> Iterator[SpeechBatch]:
        for indices in self._plan:
            assert self._dev is not None
            yield self._dev.batch(indices)

    def seconds(self, batch: SpeechBatch) -> float:
        return int(batch.mel_lengths.sum()) * self._frame_seconds

    def state_dict(self) -> dict[str, Any]:
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sampler.load_state_dict(state)
