"""The tables of format 1: manifest.jsonl, splits.json, durations.jsonl, all in memory.

Directories of earlier versions have it. Nothing here needs pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona.config import from_dict, read_json
from intona.data.item import Item
from intona.data.tables import SPLITS, duration_problem
from intona.errors import UserError
from intona.jsonl import read_jsonl, write_jsonl
from intona.provenance import sha256
from intona.text import PhonemeTokenizer, Word

DURATIONS = "durations.jsonl"


class ManifestIndex:
    """The utterances of a directory of format 1, as `Item`s in a list."""

    def __init__(
        self, root: Path, tokenizer: PhonemeTokenizer, *, n_speakers: int, frames: int, hint: str
    ) -> None:
        self.root, self.tokenizer, self.hint = root, tokenizer, hint
        self.durations_source: str | None = None
        items = _read_items(root / "manifest.jsonl", n_speakers, frames, hint)
        self._items = list({item.id: item for item in items}.values())
        self._rows = {item.id: row for row, item in enumerate(self._items)}
        self._splits = self._read_splits()
        self._durations: dict[int, np.ndarray] | None = None
        self.n_frames = np.array([i.n_frames for i in self._items], np.int64)
        self.offsets = np.array([i.offset for i in self._items], np.int64)
        self.speakers = np.array([i.speaker for i in self._items], np.int64)

    def __len__(self) -> int:
        return len(self._items)

    def item(self, row: int) -> Item:
        return self._items[row]

    def id(self, row: int) -> str:
        return self._items[row].id

    def find(self, id: str) -> int | None:
        return self._rows.get(id)

    def rows(self, split: str) -> np.ndarray:
        return self._splits[split]

    def tokens(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For parts of `rows`, in order: positions in `rows`, number of symbols of each, all token ids."""
        ids = [self.tokenizer.encode(self._items[r].phonemes).ids for r in rows.tolist()]
        yield (
            np.arange(len(rows)),
            np.array([len(i) for i in ids], np.int64),
            np.array([x for i in ids for x in i], np.int64),
        )

    def durations(self, row: int) -> np.ndarray | None:
        return self._read_durations().get(row)

    def load_durations(self) -> None:
        self._read_durations()

    @property
    def alignment(self) -> str:
        path = self.root / DURATIONS
        return sha256(path)[:16] if path.is_file() else ""

    def write_durations(
        self, rows: Iterable[tuple[str, Sequence[int]]], source: str, fingerprint: str
    ) -> None:
        header = {"format": 1, "source": source, "fingerprint": fingerprint}
        lines = ({"id": id, "durations": list(values)} for id, values in rows)
        write_jsonl(self.root / DURATIONS, [header, *lines])

    def _read_splits(self) -> dict[str, np.ndarray]:
        path = self.root / "splits.json"
        table = from_dict(dict[str, list[str]], read_json(path, max_bytes=1 << 30), where=str(path))
        parts = {name: sorted(table.get(name, [])) for name in SPLITS}
        ids = [i for part in parts.values() for i in part]
        if len(ids) != len(set(ids)) or set(ids) != set(self._rows):
            raise UserError("does not divide the manifest's utterances", where=path, hint=self.hint)
        return {name: np.array([self._rows[i] for i in part], np.int64) for name, part in parts.items()}

    def _read_durations(self) -> Mapping[int, np.ndarray]:
        if self._durations is not None:
            return self._durations
        path, out = self.root / DURATIONS, {}
        lines = read_jsonl(path, hint=self.hint) if path.is_file() else []
        for line in lines[1:]:
            id, numbers = line.get("id"), line.get("durations")
            row = self._rows.get(id) if isinstance(id, str) else None
            nested = isinstance(numbers, list) and any(isinstance(v, list) for v in numbers)
            values = np.asarray(numbers, dtype=object if nested else None)
            problem = "no such utterance"
            if row is not None:
                item = self._items[row]
                problem = duration_problem(values, len(item.phonemes), item.n_frames)
            if problem or row is None:
                hint = "make it again with intona align"
                raise UserError(f'durations of "{id}": {problem}', where=path, hint=hint)
            out[row] = values.astype(np.int64)
        if lines:
            self.durations_source = lines[0].get("source")
        self._durations = out
        return out


def _read_items(path: Path, n_speakers: int, frames: int, hint: str) -> list[Item]:
    items: list[Item] = []
    for number, row in enumerate(read_jsonl(path, hint=hint), 1):
        try:
            items.append(_item(row, n_speakers, frames))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as e:
            raise UserError(f"line {number} is not an item ({e})", where=path, hint=hint) from None
    return items


def _item(row: dict[str, Any], n_speakers: int, frames: int) -> Item:
    words = tuple(Word(str(w[0]), int(w[1]), int(w[2])) for w in row["words"])
    item = Item(**{**row, "phonemes": tuple(row["phonemes"]), "words": words})
    texts = (item.id, item.text, item.normalized, item.language, item.file, *item.phonemes)
    numbers = (item.speaker, item.n_frames, item.offset)
    if not (all(isinstance(t, str) for t in texts) and all(isinstance(n, int) for n in numbers)):
        raise ValueError("a value is of another kind")
    fits = item.n_frames > 0 and 0 <= item.offset <= frames - item.n_frames
    if not (fits and 0 <= item.speaker < n_speakers and item.phonemes):
        raise ValueError("a value is out of range")
    if "/" in item.file or item.file in ("", ".", ".."):
        raise ValueError("file is not a plain name")
    return item
