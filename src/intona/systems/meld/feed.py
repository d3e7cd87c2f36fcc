"""Batches of text pieces and mels: utterances of like length together, padded at the end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from intona.data.dev_groups import grouped_batches, speaker_groups
from intona.data.prepared import Prepared
from intona.data.samplers import DurationBatchSampler
from intona.errors import UserError
from intona.systems.meld import spelling
from intona.systems.meld.pace import Pace
from intona.text import BpeTokenizer
from intona.training.task import Batches


@dataclass(frozen=True, kw_only=True)
class SpeechBatch:
    """Padded with 0. Text ids (B, N), natural-log mels (B, T, n_mels), their lengths (B,), names.

    `transcribe_only` (B,): never to be spoken. `spans` (B, N): frames of each piece; None = as expected.
    """

    text: torch.Tensor
    text_lengths: torch.Tensor
    mels: torch.Tensor
    mel_lengths: torch.Tensor
    ids: list[str]
    transcribe_only: torch.Tensor
    spans: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> SpeechBatch:
        tensors = {k: v for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return dataclasses.replace(self, **{k: v.to(device, non_blocking=True) for k, v in tensors.items()})

    def rows(self, keep: torch.Tensor) -> SpeechBatch:
        """The items where `keep` (B,) is True, padded to the longest of them."""
        place = torch.nonzero(keep)[:, 0]
        n, t = self.text_lengths[place], self.mel_lengths[place]
        return SpeechBatch(
            text=self.text[place, : int(n.max())],
            text_lengths=n,
            mels=self.mels[place, : int(t.max())],
            mel_lengths=t,
            ids=[self.ids[i] for i in place.tolist()],
            transcribe_only=self.transcribe_only[place],
            spans=None if self.spans is None else self.spans[place, : int(n.max())],
        )


class Corpus:
    """Utterances of a split with their text pieces, and batches of them.

    Args:
        joined: share of the utterances that are followed by another one of their speaker in one stream, as a
            text follows a reference; together at most half of the context, as much as a reference may take,
            and at most `longest` positions.
        transcribe_only: speakers who are transcribed and never spoken.

    Raises:
        UserError: an utterance without text or sound, or longer than the context.
    """

    def __init__(
        self,
        prepared: Prepared,
        split: str,
        tokenizer: BpeTokenizer,
        *,
        group: int,
        context: int,
        pace: Pace | None = None,
        joined: float = 0.0,
        longest: int | None = None,
        seed: int = 0,
        transcribe_only: Collection[int] = (),
    ) -> None:
        self.prepared, self.items, self.pace = prepared, prepared.items(split), pace
        self.transcribe_only = frozenset(transcribe_only)
        encoded = [spelling.encode(tokenizer, i.normalized) for i in self.items]
        self.pieces = [e.ids for e in encoded]
        self.unknown = Counter(ch for e in encoded for ch in e.unknown)
        # Positions in the stream: pieces, the task token, steps.
        alone = [len(p) + 1 + i.n_frames // group for p, i in zip(self.pieces, self.items, strict=True)]
        for item, pieces, length in zip(self.items, self.pieces, alone, strict=True):
            if not pieces or item.n_frames < group:
                raise UserError(f'"{item.id}" has no text or no sound', where=prepared.root)
            if length > context:
                # Speaking may take twice the expected time and a second more before it is cut.
                frames = 2 * max(i.n_frames for i in self.items) + 86
                most = max(map(len, self.pieces)) + 1 + -(-frames // group)
                raise UserError(
                    f'"{item.id}" takes {length} positions, the model\'s context is {context}',
                    where=prepared.root,
                    hint=f"raise --model.context to {most}, or prepare with a lower max_seconds",
                )
        self.entries = self._entries(alone, joined, min(context // 2, longest or context), seed)
        self.lengths = [sum(alone[i] for i in e) - len(e) + 1 for e in self.entries]

    def _entries(
        self, lengths: Sequence[int], joined: float, longest: int, seed: int
    ) -> list[tuple[int, ...]]:
        """Each utterance once, some with a second one behind."""
        rng = np.random.default_rng([seed, len(lengths)])
        speakers, sizes = np.array([i.speaker for i in self.items]), np.array(lengths)
        out: list[tuple[int, ...]] = []
        for i, length in enumerate(lengths):
            follows = np.flatnonzero((speakers == speakers[i]) & (sizes <= longest - length))
            follows = follows[follows != i]
            drawn = rng.random() < joined and len(follows)
            out.append((i, int(rng.choice(follows))) if drawn else (i,))
        return out

    def batch(self, indices: Sequence[int]) -> SpeechBatch:
        chosen = [[self.items[i] for i in self.entries[k]] for k in indices]
        text = [[p for i in self.entries[k] for p in self.pieces[i]] for k in indices]
        frames = [sum(i.n_frames for i in items) for items in chosen]
        mels = np.zeros((len(chosen), max(frames), self.prepared.spec.n_mels), np.float32)
        for row, items, n in zip(mels, chosen, frames, strict=True):
            row[:n] = np.concatenate([self.prepared.mel_rows(i) for i in items])
        padded = np.zeros((len(text), max(map(len, text))), np.int64)
        for row, ids in zip(padded, text, strict=True):
            row[: len(ids)] = ids
        spans = None
        if self.pace is not None and self.pace.kind != "none":
            spans = np.zeros(padded.shape, np.float32)
            for row, k in zip(spans, indices, strict=True):
                durations = [self.pace.frames(self.items[i], self.pieces[i]) for i in self.entries[k]]
                whole = np.concatenate([x for x in durations if x is not None])
                row[: len(whole)] = whole
        return SpeechBatch(
            text=torch.from_numpy(padded),
            text_lengths=torch.tensor([len(t) for t in text]),
            mels=torch.from_numpy(mels),
            mel_lengths=torch.tensor(frames),
            ids=["+".join(i.id for i in items) for items in chosen],
            transcribe_only=torch.tensor([items[0].speaker in self.transcribe_only for items in chosen]),
            spans=None if spans is None else torch.from_numpy(spans),
        )


class SpeechFeed:
    """Training batches of one rank, and the dev set. Satisfies `training.task.Feed`."""

    def __init__(
        self, train: Corpus, dev: Corpus | None, *, max_positions: int, seed: int, rank: int, world: int
    ):
        self._train = train
        if (longest := max(train.lengths)) > max_positions:
            raise UserError(
                f"the longest utterance takes {longest} positions, a batch holds {max_positions}",
                where="--max-positions",
                hint=f"at least {longest}",
            )
        self._sampler = DurationBatchSampler(
            train.lengths, max_frames=max_positions, seed=seed, rank=rank, world_size=world
        )
        self._dev: Sequence[SpeechBatch] = ()
        if dev is not None:
            groups = speaker_groups(dev.prepared, [dev.items[entry[0]].speaker for entry in dev.entries])
            plan, names = grouped_batches(
                dev.lengths, groups, max_frames=max(max_positions, max(dev.lengths))
            )
            self._dev = Batches(plan, dev.batch, names)
        spec = train.prepared.spec
        self._frame_seconds = spec.hop_length / spec.sample_rate

    def next(self) -> SpeechBatch:
        return self._train.batch(next(self._sampler))

    def longest(self) -> SpeechBatch:
        return self._train.batch(self._sampler.longest_batch())

    def validation(self) -> Sequence[SpeechBatch]:
        return self._dev

    def seconds(self, batch: SpeechBatch) -> float:
        return int(batch.mel_lengths.sum()) * self._frame_seconds

    def state_dict(self) -> dict[str, Any]:
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._sampler.load_state_dict(state)
