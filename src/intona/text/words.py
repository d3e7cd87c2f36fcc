"""Exact maps between the words of an utterance, its BPE pieces and its phonemes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from intona.errors import UserError
from intona.text.frontend import Utterance
from intona.text.symbols import PUNCTUATION
from intona.text.tokenizer import BpeTokenizer, Encoded

NO_WORD = -1


@dataclass(frozen=True, kw_only=True)
class WordMap:
    """Which word each piece and phoneme belongs to; spaces and punctuation belong to none (-1).

    Args:
        words: texts, W of them.
        pieces: (W) half-open ranges into the P pieces.
        phonemes: (W) half-open ranges into the N phoneme symbols.
        piece_to_word: (P) word of each piece, or -1.
        phoneme_to_word: (N) word of each symbol, or -1.
    """

    words: tuple[str, ...]
    pieces: tuple[tuple[int, int], ...]
    phonemes: tuple[tuple[int, int], ...]
    piece_to_word: tuple[int, ...]
    phoneme_to_word: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.words) == len(self.pieces) == len(self.phonemes):
            raise ValueError(
                f"{len(self.words)} words, {len(self.pieces)} piece and {len(self.phonemes)} phoneme ranges"
            )
        _check(self.pieces, self.piece_to_word, "pieces")
        _check(self.phonemes, self.phoneme_to_word, "phonemes")

    def filled(self, which: Sequence[int]) -> tuple[int, ...]:
        """`piece_to_word` or `phoneme_to_word` with -1 replaced by the word before it (else the first word).

        For models that need a word at every position: a space or a sign belongs to the word it follows.
        """
        out: list[int] = []
        for w in which:
            out.append(w if w != NO_WORD else out[-1] if out else 0)
        return tuple(out)


def _check(ranges: Sequence[tuple[int, int]], owner: Sequence[int], kind: str) -> None:
    """Check that ranges are in order, disjoint and not empty, and agree with the owners."""
    expected = [NO_WORD] * len(owner)
    for w, (a, b) in enumerate(ranges):
        if not 0 <= a < b <= len(owner):
            raise ValueError(f"{kind}: range {a}:{b} of word {w} does not lie in 0:{len(owner)}")
        expected[a:b] = [w] * (b - a)
    if any(second[0] < first[1] for first, second in pairwise(ranges)):
        raise ValueError(f"{kind}: word ranges overlap")
    if expected != list(owner):
        raise ValueError(f"{kind}: owners and ranges disagree")


def word_map(utterance: Utterance, bpe: BpeTokenizer) -> tuple[Encoded, WordMap]:
    """BPE pieces of `utterance.plain` and the map of its words to pieces and phonemes.

    Each word and each sign is encoded separately. The result is that of the whole text, because the tokenizer
    never merges across words. Unknown characters keep their place as `unk_id`.

    Raises:
        UserError: the utterance was built from phonemes alone and has no letters.
    """
    if not any(w.text in utterance.plain for w in utterance.words[:1]):
        raise UserError(
            "this utterance has phonemes but no text", hint="pass the text, or use a phoneme-only model"
        )
    parts = _parts(utterance)
    ids: list[int] = []
    unknown: list[str] = []
    owner: list[int] = []
    ranges: list[tuple[int, int]] = []
    for part, encoded in zip(parts, bpe.words(parts), strict=True):
        start = len(ids)
        ids.extend(encoded.ids)
        unknown.extend(encoded.unknown)
        if part in PUNCTUATION:
            owner.extend([NO_WORD] * len(encoded.ids))
        else:
            if not encoded.ids:  # the tokenizer's normalizer removed everything: one unknown piece is left
                ids.append(bpe.unk_id)
                unknown.append(part)
            owner.extend([len(ranges)] * (len(ids) - start))
            ranges.append((start, len(ids)))
    spoken = [NO_WORD] * len(utterance.phonemes)
    for k, word in enumerate(utterance.words):
        spoken[word.start : word.end] = [k] * (word.end - word.start)
    return Encoded(ids, unknown), WordMap(
        words=tuple(w.text for w in utterance.words),
        pieces=tuple(ranges),
        phonemes=tuple((w.start, w.end) for w in utterance.words),
        piece_to_word=tuple(owner),
        phoneme_to_word=tuple(spoken),
    )


def _parts(utterance: Utterance) -> list[str]:
    """Words and punctuation in spoken order."""
    ends = {w.end - 1: w.text for w in utterance.words}
    out: list[str] = []
    for i, symbol in enumerate(utterance.phonemes):
        if i in ends:
            out.append(ends[i])
        elif symbol in PUNCTUATION:
            out.append(symbol)
    return out
