"""What the two formats of a prepared directory have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from intona.data.item import Item

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")


class Index(Protocol):
    """The utterances of a prepared directory. A row is the position of one; rows are ordered by id."""

    n_frames: np.ndarray  # (n,) integers
    offsets: np.ndarray  # (n,) int64, first frame of each
    speakers: np.ndarray  # (n,) integers
    durations_source: str | None

    def __len__(self) -> int: ...
    def item(self, row: int) -> Item: ...
    def id(self, row: int) -> str: ...
    def find(self, id: str) -> int | None: ...
    def rows(self, split: str) -> np.ndarray: ...
    def tokens(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]: ...
    def durations(self, row: int) -> np.ndarray | None: ...
    def load_durations(self) -> None: ...
    def write_durations(
        self, rows: Iterable[tuple[str, Sequence[int]]], source: str, fingerprint: str
    ) -> None: ...
    @property
    def alignment(self) -> str: ...


def duration_problem(values: np.ndarray, n_symbols: int, n_frames: int) -> str:
    """Why these values cannot be the durations of an utterance, or ""."""
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        return "not a list of whole numbers"
    if len(values) != n_symbols:
        return f"{len(values)} values for {n_symbols} symbols"
    if (values < 0).any() or int(values.sum()) != n_frames:
        return f"sum {int(values.sum())}, the mel has {n_frames} frames"
    return ""


def json_line(row: dict[str, Any]) -> bytes:
    """A row as format 1 writes it. The fingerprint of a corpus is that of these lines, in both formats."""
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
