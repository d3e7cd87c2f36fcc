"""BPE pieces alongside the phonemes of a batch, and the words that connect them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from intona.data.prepared import Item
from intona.text import BpeTokenizer, Utterance, word_map


@dataclass(frozen=True, kw_only=True)
class Text:
    """One text as ids.

    `tokens` are phoneme ids, `pieces` BPE ids. `piece_words` and `token_words` are the index of the word of
    each, where spaces and punctuation belong to the word before them. `spans` are the ranges of phonemes of
    each word, without spaces.
    """

    tokens: tuple[int, ...]
    pieces: tuple[int, ...]
    piece_words: tuple[int, ...]
    token_words: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Padded BPE pieces of a batch; padding is 0, and -1 in the words."""

    ids: torch.Tensor  # (B, P) int64
    lengths: torch.Tensor  # (B,) int64
    words: torch.Tensor  # (B, P) int64, the word of each piece
    token_words: torch.Tensor  # (B, N) int64, the word of each phoneme

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Pieces:
        return Pieces(**{k: v.to(device, non_blocking=non_blocking) for k, v in vars(self).items()})


def text_of(utterance: Utterance, tokens: Sequence[int], bpe: BpeTokenizer) -> Text:
    """The ids of an utterance, whose phoneme ids are `tokens`.

    Raises:
        UserError: it has phonemes but no letters.
    """
    encoded, words = word_map(utterance, bpe)
    if len(tokens) != len(words.phoneme_to_word):
        raise ValueError(f"{len(tokens)} tokens for {len(words.phoneme_to_word)} phonemes")
    return Text(
        tokens=tuple(tokens),
        pieces=tuple(encoded.ids),
        piece_words=words.filled(words.piece_to_word),
        token_words=words.filled(words.phoneme_to_word),
        spans=words.phonemes,
    )


def utterance_of(item: Item) -> Utterance:
    """The `Utterance` of the text front end for an item of a prepared corpus."""
    return Utterance(text=item.text, normalized=item.normalized, phonemes=item.phonemes, words=item.words)


def collate_pieces(texts: Sequence[Text]) -> Pieces:
    """The BPE side of a batch."""
    return Pieces(
        ids=padded([t.pieces for t in texts], 0),
        lengths=torch.tensor([len(t.pieces) for t in texts]),
        words=padded([t.piece_words for t in texts], -1),
        token_words=padded([t.token_words for t in texts], -1),
    )


def collate_tokens(texts: Sequence[Text]) -> tuple[torch.Tensor, torch.Tensor]:
    """The phoneme side of a batch: (B, N) ids, padded with 0, and (B,) lengths."""
    return padded([t.tokens for t in texts], 0), torch.tensor([len(t.tokens) for t in texts])


def padded(rows: Sequence[Sequence[int] | np.ndarray], value: int = 0) -> torch.Tensor:
    """Rows of integers as (B, longest) int64, padded with `value`."""
    out = torch.full((len(rows), max(map(len, rows))), value, dtype=torch.int64)
    for target, row in zip(out, rows, strict=True):
        target[: len(row)] = torch.as_tensor(np.asarray(row))
    return out
