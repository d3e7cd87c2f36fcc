"""labels.jsonl of a prepared directory: the phone labels of the corpus, one line per utterance."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from intona.data.labels import Label
from intona.data.tables import Index
from intona.errors import UserError

FILE = "labels.jsonl"


class LabelTable:
    """Reads a line when its utterance is accessed. What is held is the place of each line, 8 bytes.

    Args:
        root: the prepared directory. Without the file no utterance has labels.

    Raises:
        UserError: the file cannot be read, or a line is not a row; names the line.
    """

    def __init__(self, root: Path, index: Index, *, hint: str) -> None:
        self._path, self._hint = root / FILE, hint
        self._places = np.full(len(index), -1, np.int64)
        if not self._path.is_file():
            return
        place = following = 0
        with self._problems(), open(self._path, "rb") as f:
            for number, line in enumerate(f, 1):
                id = self._parse(line, f"line {number}")["id"]
                # Lines are ordered as rows are, so that most need no search.
                ordered = following < len(index) and index.id(following) == id
                row = following if ordered else index.find(id)
                if row is not None:
                    self._places[row], following = place, row + 1
                place += len(line)

    def __getitem__(self, row: int) -> list[Label] | None:
        """The labels of a row of the index; None if it has none."""
        place = int(self._places[row])
        if place < 0:
            return None
        with self._problems(), open(self._path, "rb") as f:
            f.seek(place)
            return self._parse(f.readline(), f"byte {place}")["labels"]

    def _parse(self, line: bytes, where: str) -> dict[str, Any]:
        try:
            row = json.loads(line)
            labels = [Label(float(a), float(b), str(name)) for a, b, name in row["labels"]]
            if not isinstance(row["id"], str):
                raise TypeError("the id is not a text")
        except (ValueError, KeyError, TypeError, RecursionError) as e:
            what = f"{where} is not valid ({e})"
            raise UserError(what, where=self._path, hint=self._hint) from None
        return {"id": row["id"], "labels": labels}

    @contextlib.contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            raise UserError(f"cannot be read ({e.strerror})", where=self._path) from None
