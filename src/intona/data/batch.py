"""Items as tensors. Reading a float16 memory map in this process is much faster than worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from intona.data.contours import CorpusContours
from intona.data.intonation import Intonation, intonation_of
from intona.data.item import Item, Items
from intona.data.pieces import Pieces, collate_pieces, padded, text_of, utterance_of
from intona.data.prepared import Prepared
from intona.data.samplers import DurationBatchSampler
from intona.errors import UserError
from intona.text import BpeTokenizer


@dataclass(frozen=True, kw_only=True)
class Contours:
    """What a variance adaptor learns from, one value per symbol; see `data.contours.SymbolContours`."""

    pitch: torch.Tensor  # (B, N) float32, semitones above 100 Hz, 0 where unvoiced
    voiced: torch.Tensor  # (B, N) float32, share of voiced frames
    energy: torch.Tensor  # (B, N) float32, dB
    present: torch.Tensor  # (B, N) bool: the symbol has frames

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Contours:
        return Contours(**{k: v.to(device, non_blocking=non_blocking) for k, v in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A padded batch. Padding is `tokenizer.pad_id` in tokens and 0 in mels and durations."""

    tokens: torch.Tensor  # (B, N) int64
    token_lengths: torch.Tensor  # (B,) int64
    mels: torch.Tensor  # (B, T, n_mels) float32, natural log
    mel_lengths: torch.Tensor  # (B,) int64
    speakers: torch.Tensor  # (B,) int64
    durations: torch.Tensor | None  # (B, N) int64 frames; None unless all items are aligned
    ids: list[str]
    pieces: Pieces | None = None  # the same texts as BPE, for encoders that read both
    contours: Contours | None = None  # for models with a variance adaptor, as is
    intonation: Intonation | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def frames(self) -> int:
        """Mel frames without padding."""
        return int(self.mel_lengths.sum())

    def to(self, device: torch.device | str) -> Batch:
        moved = {k: v.to(device, non_blocking=True) for k, v in self._tensors().items()}
        for name in ("pieces", "contours", "intonation"):
            if (part := getattr(self, name)) is not None:
                moved[name] = part.to(device, non_blocking=True)
        return replace(self, **moved)

    def pin_memory(self) -> Batch:
        return replace(self, **{k: v.pin_memory() for k, v in self._tensors().items()})

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {k: v for k, v in vars(self).items() if isinstance(v, torch.Tensor)}


def collate(
    prepared: Prepared,
    items: Sequence[Item],
    bpe: BpeTokenizer | None = None,
    contours: CorpusContours | None = None,
) -> Batch:
    """Items of a prepared corpus as one padded batch.

    Args:
        bpe: adds BPE pieces alongside the phonemes.
        contours: adds `Batch.contours` and `Batch.intonation`; all items need durations.

    Raises:
        UserError: no item, or a tokenizer that does not give one id per symbol.
    """
    if not items:
        raise UserError("an empty batch", where=prepared.root)
    tokens = [prepared.tokens(item) for item in items]
    for item, ids in zip(items, tokens, strict=True):
        if len(ids) != len(item.phonemes):
            raise UserError(
                f'{len(ids)} tokens for {len(item.phonemes)} phonemes of "{item.id}"', where=prepared.root
            )
    mels = np.zeros((len(items), max(i.n_frames for i in items), prepared.spec.n_mels), dtype=np.float32)
    for row, item in zip(mels, items, strict=True):
        row[: item.n_frames] = prepared.mel_rows(item)
    durations = [prepared.durations(item) for item in items]
    known = [d for d in durations if d is not None]
    return Batch(
        tokens=padded(tokens, prepared.tokenizer.pad_id),
        token_lengths=torch.tensor([len(t) for t in tokens]),
        mels=torch.from_numpy(mels),
        mel_lengths=torch.tensor([i.n_frames for i in items]),
        speakers=torch.tensor([i.speaker for i in items]),
        durations=padded(known) if len(known) == len(items) else None,
        ids=[i.id for i in items],
        pieces=None
        if bpe is None
        else collate_pieces(
            [text_of(utterance_of(i), ids, bpe) for i, ids in zip(items, tokens, strict=True)]
        ),
        contours=None if contours is None else _contours(contours, items),
        intonation=None
        if contours is None
        else intonation_of([utterance_of(i) for i in items], [i.language for i in items]),
    )


def _contours(corpus: CorpusContours, items: Sequence[Item]) -> Contours:
    rows = [vars(corpus.of(item)) for item in items]
    columns = {}
    for name in rows[0]:
        values = [torch.from_numpy(row[name]) for row in rows]
        columns[name] = torch.nn.utils.rnn.pad_sequence(values, batch_first=True)
    return Contours(**columns)


def _with_symbols(prepared: Prepared, rows: np.ndarray, symbols: Sequence[str]) -> np.ndarray:
    """Whether each utterance has any of some symbols, (n,) bool."""
    present = np.zeros(len(rows), bool)
    ids = prepared.tokenizer.encode([s for s in symbols if s in prepared.tokenizer]).ids
    for at, counts, tokens in prepared.index.tokens(rows):
        hits = np.concatenate([[0], np.cumsum(np.isin(tokens, ids))])
        ends = np.cumsum(counts)
        present[at] = hits[ends] > hits[ends - counts]
    return present


class Loader:
    """Endless batches of one split, with the state of the sampler.

    `epoch()` yields one pass and does not change the state.

    Args:
        contours: see `collate`. expressive: how often an utterance with a question or an exclamation occurs
            in an epoch; all others occur once.
    """

    def __init__(
        self,
        prepared: Prepared,
        split: str = "train",
        *,
        max_frames: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        max_items: int | None = None,
        bpe: BpeTokenizer | None = None,
        contours: CorpusContours | None = None,
        expressive: int = 1,
    ) -> None:
        self.bpe, self.contours = bpe, contours
        index, rows = prepared.index, prepared.rows(split)
        if not len(rows):
            raise UserError(
                f'the split "{split}" is empty', where=prepared.root, hint=f"prepare with --{split} N"
            )
        if expressive > 1:
            rare = rows[_with_symbols(prepared, rows, ("?", "!"))]
            rows = np.concatenate([rows, *[rare] * (expressive - 1)])
        self.prepared, self.items = prepared, Items(index.item, rows)
        self.sampler = DurationBatchSampler(
            index.n_frames[rows],
            max_frames=max_frames,
            seed=seed,
            rank=rank,
            world_size=world_size,
            shuffle=shuffle,
            max_items=max_items,
        )

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return self.at(next(self.sampler))

    def at(self, indices: Sequence[int]) -> Batch:
        """The batch of the items at these positions of the split."""
        return collate(self.prepared, [self.items[i] for i in indices], self.bpe, self.contours)

    def epoch(self) -> Iterator[Batch]:
        for indices in self.sampler.one_epoch():
            yield self.at(indices)

    def longest(self) -> Batch:
        return self.at(self.sampler.longest_batch())

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state)
