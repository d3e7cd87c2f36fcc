"""One utterance of a prepared corpus, and a lazy sequence of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np

from intona.text import Word


@dataclass(frozen=True, kw_only=True)
class Item:
    """One utterance. `words` are half-open ranges into `phonemes`; `offset` is its first row in the mels."""

    id: str
    text: str
    normalized: str
    phonemes: tuple[str, ...]
    words: tuple[Word, ...]
    speaker: int
    language: str
    n_frames: int
    offset: int
    seconds: float
    file: str

    @property
    def name(self) -> str:
        """The id as a plain file name: that of the audio without suffix, and the id in test.jsonl."""
        return Path(self.file).stem


FIELDS = tuple(Item.__dataclass_fields__)


class Items(Sequence[Item]):
    """Utterances by position. Each is built when it is accessed; what is held is one number per utterance.

    Args:
        item: builds the utterance of a row. rows: (n,) rows of the corpus.
    """

    def __init__(self, item: Callable[[int], Item], rows: np.ndarray) -> None:
        self._item, self.rows = item, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Items: ...
    def __getitem__(self, index: int | slice) -> Item | Items:
        if isinstance(index, slice):
            return Items(self._item, self.rows[index])
        return self._item(int(self.rows[index]))

    def __iter__(self) -> Iterator[Item]:
        return (self._item(int(row)) for row in self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(_equal, self, other))

    __hash__ = None  # type: ignore[assignment]


def _equal(a: object, b: object) -> bool:
    return a == b
