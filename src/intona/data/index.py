"""The tables of format 2: an Arrow file that is memory-mapped, with no object per utterance.

index.arrow has one row per utterance, ordered by id, in batches of `BATCH` rows. durations.arrow has the same
rows. Numbers that samplers need are kept as arrays; texts are read when an utterance is accessed.
"""

from __future__ import annotations

import contextlib
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from intona.data.item import Item
from intona.data.tables import SPLITS, duration_problem, json_line
from intona.errors import UserError
from intona.extras import require
from intona.files import whole
from intona.text import PhonemeTokenizer, Word

require("pyarrow", "a prepared corpus of format 2")
import pyarrow as pa  # noqa: E402
import pyarrow.compute as compute  # noqa: E402

pc: Any = compute  # its functions are created at import, unknown to a type checker

FILE, DURATIONS = "index.arrow", "durations.arrow"
BATCH = 8192
MOST_ITEMS = 8192  # that are kept once they were accessed: all of a small corpus, little of a large one
ALIGN = "make it again with intona align"

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("normalized", pa.string(), nullable=False),
        pa.field("phonemes", pa.list_(pa.uint16()), nullable=False),  # ids of tokenizer.json
        pa.field("words", pa.list_(pa.string()), nullable=False),
        pa.field("word_starts", pa.list_(pa.int32()), nullable=False),
        pa.field("word_ends", pa.list_(pa.int32()), nullable=False),
        pa.field("speaker", pa.int32(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("split", pa.int8(), nullable=False),
    ]
)
_DURATIONS = pa.schema([pa.field("durations", pa.list_(pa.int32()))])
_LISTS = ("phonemes", "words", "word_starts", "word_ends")


class ArrowWriter:
    """Writes rows of a schema in batches of `BATCH`; used within `intona.files.whole`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self._writer = pa.ipc.new_file(str(path), schema)
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        if len(self._rows) == BATCH:
            self._flush()
        self._rows.append(row)

    def close(self, **facts: str) -> None:
        """Write the last batch, which carries the facts that are known only at the end."""
        self._flush(facts)
        self._writer.close()

    def _flush(self, facts: dict[str, str] | None = None) -> None:
        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self.schema), facts)
        self._rows = []


def index_row(row: dict[str, Any], tokens: Sequence[int], split: str) -> dict[str, Any]:
    """A row of a manifest (the fields of `Item`) as one of the index."""
    words = row["words"]
    return {
        **row,
        "phonemes": tokens,
        "words": [w[0] for w in words],
        "word_starts": [w[1] for w in words],
        "word_ends": [w[2] for w in words],
        "split": SPLITS.index(split),  # type: ignore[arg-type]
    }


def write_durations(
    path: Path, rows: Iterable[tuple[str, Sequence[int]]], *, source: str, fingerprint: str
) -> None:
    """Write durations.arrow.

    Args:
        rows: all ids of the index, in its order, each with all its durations or none.
    """
    header = {"format": 1, "source": source, "fingerprint": fingerprint}
    # The same digest as that of the file of format 1: an alignment is the same in both.
    digest = hashlib.sha256(json_line(header))
    with whole(path) as half:
        writer = ArrowWriter(half, _DURATIONS)
        for id, values in rows:
            if len(values):
                digest.update(json_line({"id": id, "durations": list(values)}))
            writer.add({"durations": values if len(values) else None})
        writer.close(source=source, fingerprint=fingerprint, alignment=digest.hexdigest()[:16])


class ArrowIndex:
    """The utterances of a directory of format 2, read through a memory map.

    Raises:
        UserError: the file is not such an index, or a value is out of range.
    """

    def __init__(
        self, root: Path, tokenizer: PhonemeTokenizer, *, n_speakers: int, frames: int, hint: str
    ) -> None:
        self.root, self.tokenizer, self.hint = root, tokenizer, hint
        self._limits = {"n_speakers": n_speakers, "frames": frames}
        self.durations_source: str | None = None
        self._items: dict[int, Item] = {}
        self._path = root / FILE
        with _problems(self._path, hint):
            columns = _examine(self._path, SCHEMA, lambda batch: _check(batch, tokenizer))
        if not columns:
            columns = [{name: np.zeros(0, np.int64) for name in _NUMBERS}]
        table = {name: np.concatenate([c[name] for c in columns]) for name in _NUMBERS}
        self.n_frames, self.offsets, self.speakers = table["n_frames"], table["offset"], table["speaker"]
        self._split = table["split"]
        fits = (self.n_frames > 0) & (self.offsets >= 0) & (self.offsets <= frames - self.n_frames)
        fits &= (self.speakers >= 0) & (self.speakers < n_speakers)
        fits &= (self._split >= 0) & (self._split < len(SPLITS))
        if not fits.all():
            row = int(np.flatnonzero(~fits)[0])
            raise UserError(f"a value of row {row} is out of range", where=self._path, hint=hint)
        self._batches = _mapped(self._path)
        self._parts = list(map(_Columns, self._batches))
        edges = range(BATCH, len(self), BATCH)
        if any(self._id_bytes(row - 1) >= self._id_bytes(row) for row in edges):
            raise UserError("not ordered by id", where=self._path, hint=hint)
        self._durations: list[_Columns] | None = None

    def __len__(self) -> int:
        return len(self.n_frames)

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """A copy, and another process, opens the tables itself."""
        return partial(ArrowIndex, self.root, self.tokenizer, hint=self.hint, **self._limits), ()

    def item(self, row: int) -> Item:
        item = self._items.get(row)
        if item is None:
            item = self._build(row)
            if len(self._items) < MOST_ITEMS:
                self._items[row] = item
        return item

    def _build(self, row: int) -> Item:
        batch, i = self._columns(row)
        symbols = self.tokenizer.symbols
        starts, ends = (batch.numbers(name, i).tolist() for name in ("word_starts", "word_ends"))
        return Item(
            id=batch.text("id", i),
            text=batch.text("text", i),
            normalized=batch.text("normalized", i),
            phonemes=tuple([symbols[t] for t in batch.numbers("phonemes", i).tolist()]),
            words=tuple(map(Word, batch.texts("words", i), starts, ends)),
            speaker=int(self.speakers[row]),
            language=batch.text("language", i),
            n_frames=int(self.n_frames[row]),
            offset=int(self.offsets[row]),
            seconds=float(batch.seconds[i]),
            file=batch.text("file", i),
        )

    def id(self, row: int) -> str:
        batch, i = self._columns(row)
        return batch.text("id", i)

    def find(self, id: str) -> int | None:
        key = id.encode("utf-8", "surrogatepass")
        row = bisect_left(range(len(self)), key, key=self._id_bytes)
        return row if row < len(self) and self._id_bytes(row) == key else None

    def _id_bytes(self, row: int) -> bytes:  # in UTF-8 they are ordered as the texts are
        batch, i = self._columns(row)
        return batch.text_bytes("id", i)

    def _columns(self, row: int) -> tuple[_Columns, int]:
        number, i = divmod(row, BATCH)
        return self._parts[number], i

    def rows(self, split: str) -> np.ndarray:
        return np.flatnonzero(self._split == SPLITS.index(split))  # type: ignore[arg-type]

    def tokens(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For parts of `rows`, in order: positions in `rows`, number of symbols of each, all token ids."""
        yield from _lists(self._batches, "phonemes", rows)

    def durations(self, row: int) -> np.ndarray | None:
        self.load_durations()
        if not self._durations:
            return None
        number, i = divmod(row, BATCH)
        values = self._durations[number].numbers("durations", i)
        return values.astype(np.int64) if len(values) else None  # every utterance has a symbol

    def load_durations(self) -> None:
        if self._durations is not None:
            return
        path = self.root / DURATIONS
        if not path.is_file():
            self._durations = []
            return
        with _problems(path, ALIGN):
            parts = _examine(path, _DURATIONS, lambda batch: {"n": np.array([len(batch)])})
            if sum(int(p["n"][0]) for p in parts) != len(self):
                raise ValueError("not one row per utterance")
            batches = _mapped(path)
            for number, (durations, index) in enumerate(zip(batches, self._batches, strict=True)):
                self._check_durations(number * BATCH, durations.column(0), index.column("phonemes"))
            self.durations_source = _facts(path)["source"]
        self._durations = list(map(_Columns, batches))

    @property
    def alignment(self) -> str:
        path = self.root / DURATIONS
        if not path.is_file():
            return ""
        with _problems(path, ALIGN):
            return _facts(path)["alignment"]

    def write_durations(
        self, rows: Iterable[tuple[str, Sequence[int]]], source: str, fingerprint: str
    ) -> None:
        write_durations(self.root / DURATIONS, self._all_rows(rows), source=source, fingerprint=fingerprint)
        self._durations = None

    def _all_rows(self, rows: Iterable[tuple[str, Sequence[int]]]) -> Iterator[tuple[str, Sequence[int]]]:
        known = iter(rows)
        id, values = next(known, (None, ()))
        for row in map(self.id, range(len(self))):
            if row == id:
                yield row, values
                id, values = next(known, (None, ()))
            else:
                yield row, ()
        assert id is None  # `rows` are ordered, and all in the index

    def _check_durations(self, first: int, durations: pa.ListArray, phonemes: pa.ListArray) -> None:
        valid = durations.is_valid().to_numpy(zero_copy_only=False)
        counts, symbols = np.diff(durations.offsets.to_numpy()), np.diff(phonemes.offsets.to_numpy())
        values = durations.values.to_numpy()
        total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])[durations.offsets.to_numpy()]
        good = (np.diff(total) == self.n_frames[first : first + len(valid)]) & (counts == symbols)
        if (wrong := np.flatnonzero(valid & ~good)).size or (values < 0).any():
            row = int(wrong[0]) if wrong.size else 0
            problem = duration_problem(
                _slice(durations, row).to_numpy(), int(symbols[row]), int(self.n_frames[first + row])
            )
            raise ValueError(f'durations of "{self.id(first + row)}": {problem or "below 0"}')


class _Columns:
    """The values of one batch. Views of its columns are kept: making one takes longer than reading it."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._views: dict[str, tuple[np.ndarray, Any]] = {}

    @cached_property
    def seconds(self) -> np.ndarray:
        return self._batch.column("seconds").to_numpy()

    def text_bytes(self, name: str, i: int) -> bytes:
        offsets, data = self._views.get(name) or self._view(name, self._batch.column(name))
        return bytes(data[offsets[i] : offsets[i + 1]])

    def text(self, name: str, i: int) -> str:
        return self.text_bytes(name, i).decode()

    def numbers(self, name: str, i: int) -> np.ndarray:
        offsets, values = self._views.get(name) or self._view(name, self._batch.column(name))
        return values[offsets[i] : offsets[i + 1]]

    def texts(self, name: str, i: int) -> list[str]:
        offsets, values = self._views.get(name) or self._view(name, self._batch.column(name))
        ends, data = self._views.get(f"{name}/") or self._view(f"{name}/", values)
        edges = ends[offsets[i] : offsets[i + 1] + 1].tolist()
        return [bytes(data[a:b]).decode() for a, b in pairwise(edges)]

    def _view(self, name: str, column: pa.Array) -> tuple[np.ndarray, Any]:
        if isinstance(column, pa.StringArray):
            _, offsets, data = column.buffers()
            first = np.frombuffer(offsets, np.int32)[column.offset :][: len(column) + 1]
            view = first, memoryview(data or b"")
        else:
            values = column.values
            kept = values if isinstance(values, pa.StringArray) else values.to_numpy()
            view = column.offsets.to_numpy(), kept
        self._views[name] = view
        return view


_NUMBERS = ("speaker", "n_frames", "offset", "split")


def _check(batch: pa.RecordBatch, tokenizer: PhonemeTokenizer) -> dict[str, np.ndarray]:
    """The numbers of a batch whose values are examined as far as no other batch is needed."""
    ids = batch.column("id")
    if len(batch) > 1 and not pc.all(pc.less(ids[:-1], ids[1:])).as_py():
        raise ValueError("not ordered by id")
    counts = {name: np.diff(batch.column(name).offsets.to_numpy()) for name in _LISTS}
    tokens = batch.column("phonemes").values.to_numpy()
    if not counts["phonemes"].all() or (tokens >= len(tokenizer)).any():
        raise ValueError("a phoneme is not in the tokenizer")
    if any((counts[name] != counts["words"]).any() for name in _LISTS[2:]):
        raise ValueError("words without a place")
    if pc.any(
        pc.or_(pc.match_substring(batch.column("file"), "/"), pc.is_in(batch.column("file"), _DOTS))
    ).as_py():
        raise ValueError("file is not a plain name")
    return {name: batch.column(name).to_numpy() for name in _NUMBERS}


_DOTS = pa.array(["", ".", ".."])


def _examine(path: Path, schema: pa.Schema, check: Any) -> list[dict[str, np.ndarray]]:
    """Read a file batch by batch into memory that is freed again, and validate its structure."""
    results = []
    with pa.OSFile(str(path)) as f, pa.ipc.open_file(f) as reader:
        if not reader.schema.equals(schema):
            raise ValueError("other columns")
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            batch.validate(full=True)
            if len(batch) != BATCH and number + 1 < reader.num_record_batches:
                raise ValueError("batches of another size")
            if any(batch.column(k).null_count for k in range(len(schema)) if not schema.field(k).nullable):
                raise ValueError("a value is missing")
            results.append({k: v.copy() for k, v in check(batch).items()})
    return results


def _mapped(path: Path) -> list[pa.RecordBatch]:
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return [reader.get_batch(k) for k in range(reader.num_record_batches)]


def _slice(column: pa.ListArray, i: int) -> pa.Array:
    start, end = column.offsets[i].as_py(), column.offsets[i + 1].as_py()
    return column.values[start:end]


def _lists(
    batches: list[pa.RecordBatch], name: str, rows: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The values of a list column for rows in ascending order, batch by batch."""
    edges = np.searchsorted(rows, np.arange(len(batches) + 1) * BATCH)
    for number, batch in enumerate(batches):
        at = np.arange(edges[number], edges[number + 1])
        if not len(at):
            continue
        column = batch.column(name)
        offsets = column.offsets.to_numpy()
        local = rows[at] - number * BATCH
        counts = offsets[local + 1] - offsets[local]
        starts = np.repeat(offsets[local] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        yield at, counts, column.values.to_numpy()[starts + np.arange(int(counts.sum()))]


def _facts(path: Path) -> dict[str, str]:
    """The facts in the last batch of durations.arrow."""
    with pa.OSFile(str(path)) as f, pa.ipc.open_file(f) as reader:
        last = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
        metadata = last.custom_metadata or {}
        return {name: metadata[name.encode()].decode() for name in ("source", "alignment")}


@contextlib.contextmanager
def _problems(path: Path, hint: str) -> Iterator[None]:
    """Errors of reading a table as one line for people."""
    try:
        yield
    except UserError:
        raise
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror or e})", where=path, hint=hint) from None
    except (ValueError, KeyError, IndexError, TypeError, NotImplementedError, pa.ArrowException) as e:
        raise UserError(f"not such a table ({e})", where=path, hint=hint) from None
