"""Batches of phonemes and their sound: whole texts, and the mel frames of phonemes drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from intona.data.phoneme_batches import PhonemePlaces
from intona.data.pieces import Pieces, Text, collate_pieces, collate_tokens
from intona.data.prepared import Item, Prepared

SpeakerVector = Callable[[Item], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """B phonemes in U texts. `rows` and `positions` locate each phoneme; mels are padded with 0."""

    tokens: torch.Tensor  # (U, N) int64
    lengths: torch.Tensor  # (U,) int64
    pieces: Pieces
    speaker: torch.Tensor | None  # (U, S) float32, zeros = nobody
    rows: torch.Tensor  # (B,) int64, which text
    positions: torch.Tensor  # (B,) int64, which phoneme of it
    kinds: torch.Tensor  # (B,) int64, its token id
    mels: torch.Tensor  # (B, T, n_mels) float32, natural log, the frames of the phoneme
    mel_lengths: torch.Tensor  # (B,) int64
    ids: list[str]  # (U) utterances

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> PairBatch:
        moved = {
            k: v.to(device, non_blocking=True)
            for k, v in vars(self).items()
            if isinstance(v, torch.Tensor | Pieces)
        }
        return replace(self, **moved)


def collate_pairs(
    prepared: Prepared,
    places: PhonemePlaces,
    indices: Sequence[int],
    texts: Mapping[str, Text],
    *,
    max_frames: int = 64,
    speaker: SpeakerVector | None = None,
) -> PairBatch:
    """A batch of phonemes; those of one utterance share its text.

    Args:
        texts: utterance id -> `Text`.
        max_frames: longer spans are cut at their end.
        speaker: returns the speaker vector (S,) for an utterance, or zeros for no speaker.
    """
    index = np.asarray(indices)
    utterances, rows = np.unique(places.utterance[index], return_inverse=True)
    items = [places.items[u] for u in utterances]
    encoded = [texts[item.id] for item in items]
    frames = np.minimum(places.frames[index], max_frames)
    mels = np.zeros((len(index), int(frames.max()), prepared.spec.n_mels), dtype=np.float32)
    for row, i, n in zip(mels, index.tolist(), frames.tolist(), strict=True):
        item, start = places.items[int(places.utterance[i])], int(places.start[i])
        row[:n] = prepared.mel_rows(item)[start : start + n]
    tokens, lengths = collate_tokens(encoded)
    vectors = None if speaker is None else np.stack([speaker(item) for item in items]).astype(np.float32)
    return PairBatch(
        tokens=tokens,
        lengths=lengths,
        pieces=collate_pieces(encoded),
        speaker=None if vectors is None else torch.from_numpy(vectors),
        rows=torch.from_numpy(rows.reshape(-1)),
        positions=torch.from_numpy(places.position[index].astype(np.int64)),
        kinds=torch.from_numpy(places.kind[index].astype(np.int64)),
        mels=torch.from_numpy(mels),
        mel_lengths=torch.from_numpy(frames.astype(np.int64)),
        ids=[item.id for item in items],
    )
