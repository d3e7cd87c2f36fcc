"""Read access to a prepared corpus: items, mels in one memory-mapped file, durations, splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from intona.audio import MelSpec
from intona.config import from_dict, read_json, write_json
from intona.data.labels import Label
from intona.errors import UserError, unknown
from intona.jsonl import read_jsonl, write_jsonl
from intona.provenance import sha256
from intona.text import PhonemeTokenizer, Word, load_tokenizer

Split = Literal["train", "dev", "test"]
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
FORMAT = 1
MARK = "prepared.json"
SEALED = ("manifest.jsonl", "features.json", "tokenizer.json", "splits.json", "stats.json")
PREPARE = "make it again with intona prepare"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One utterance. `words` are half-open ranges into `phonemes`; `offset` is its first row in mels.bin."""

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


class Prepared:
    """Read access to a prepared directory. Mels are read through a memory map, by any number of readers."""

    def __init__(self, root: Path, mark: dict[str, Any]) -> None:
        self.root = root
        self.fingerprint: str = mark["fingerprint"]
        self.spec: MelSpec = from_dict(
            MelSpec, read_json(root / "features.json"), where=str(root / "features.json")
        )
        tokenizer = load_tokenizer(root / "tokenizer.json")
        if not isinstance(tokenizer, PhonemeTokenizer):
            raise UserError("not a phoneme tokenizer", where=root / "tokenizer.json", hint=PREPARE)
        self.tokenizer: PhonemeTokenizer = tokenizer
        self.speakers: tuple[str, ...] = tuple(mark["speakers"])
        self.languages: tuple[str, ...] = tuple(mark["languages"])
        self.frontends: dict[str, Any] = dict(mark.get("frontends", {}))
        self.stats: dict[str, Any] = read_json(root / "stats.json")
        self._items = {item.id: item for item in _read_items(root, len(self.speakers), mark["frames"])}
        self._splits = _read_splits(root / "splits.json", self._items)
        self._map: np.memmap | None = None
        self._durations: dict[str, np.ndarray] | None = None
        self._labels: dict[str, list[Label]] | None = None
        self.durations_source: str | None = None

    @classmethod
    def open(cls, directory: Path | str) -> Prepared:
        """Open and check a prepared directory: format, checksums of its tables, size of its mels.

        Raises:
            UserError: not prepared, not finished, another format, altered or damaged; says how to fix it.
        """
        root = Path(directory)
        if not (root / MARK).is_file():
            half = (root / "journal.jsonl").is_file()
            what = "its preparation was not finished" if half else "not a prepared corpus"
            hint = "run the same intona prepare again" if half else "make one with intona prepare"
            raise UserError(what, where=root, hint=hint)
        mark = read_mark(root)
        for name in SEALED:
            if sha256_file(root / name) != mark["sha256"].get(name):
                raise UserError("altered or damaged since it was prepared", where=root / name, hint=PREPARE)
        try:
            size = (root / "mels.bin").stat().st_size
        except OSError:
            raise UserError("missing", where=root / "mels.bin", hint=PREPARE) from None
        prepared = cls(root, mark)
        expected = mark["frames"] * prepared.spec.n_mels * 2
        if size != expected:
            raise UserError(f"{size} bytes where {expected} belong", where=root / "mels.bin", hint=PREPARE)
        return prepared

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, id: str) -> Item:
        if id not in self._items:
            unknown("utterance", id, self._items, where=self.root)
        return self._items[id]

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def items(self, split: str = "train") -> list[Item]:
        """Items of "train", "dev" or "test", ordered by id."""
        if split not in self._splits:
            unknown("split", split, self._splits)
        return [self._items[i] for i in self._splits[split]]

    def mel(self, item: Item) -> np.ndarray:
        """The natural-log mel, float32 (T, n_mels)."""
        return self.mel_rows(item).astype(np.float32)

    def mel_rows(self, item: Item) -> np.ndarray:
        """The mel as stored: a float16 view of the memory map, without a copy."""
        if self._map is None:
            shape = (-1, self.spec.n_mels)
            self._map = np.memmap(self.root / "mels.bin", dtype=np.float16, mode="r").reshape(shape)  # type: ignore
        assert self._map is not None
        return self._map[item.offset : item.offset + item.n_frames]

    def audio_path(self, item: Item) -> Path:
        """The path of the trimmed, levelled recording at `spec.sample_rate`."""
        return self.root / "audio" / item.file

    def tokens(self, item: Item) -> list[int]:
        """Token ids of the item's phonemes, one per symbol."""
        return list(self.tokenizer.encode(item.phonemes).ids)

    def durations(self, item: Item) -> np.ndarray | None:
        """Frames of each phoneme symbol, int64 (N,), with the sum `n_frames`; None if not aligned."""
        if self._durations is None:
            self._durations, self.durations_source = _read_durations(self.root, self._items)
        return self._durations.get(item.id)

    @property
    def alignment(self) -> str:
        """Fingerprint of the durations ("" if there are none), which `fingerprint` does not cover."""
        path = self.root / "durations.jsonl"
        return sha256(path)[:16] if path.is_file() else ""

    def labels(self, item: Item) -> list[Label] | None:
        """The phone labels of the corpus, in the time of the trimmed recording; None if it has none."""
        if self._labels is None:
            path = self.root / "labels.jsonl"
            rows = read_jsonl(path, hint=PREPARE) if path.is_file() else []
            self._labels = {
                row["id"]: [Label(float(a), float(b), str(c)) for a, b, c in row["labels"]] for row in rows
            }
        return self._labels.get(item.id)


def write_durations(
    directory: Path | str, mapping: Mapping[str, Sequence[int] | np.ndarray], source: str
) -> None:
    """Store an alignment: frames per phoneme symbol for some or all utterances, replacing the last one.

    Args:
        mapping: utterance id -> durations (N,), each >= 0, summing to the item's frames.
        source: where they come from ("festvox lab", "intona align 1.2"), stored with them.

    Raises:
        UserError: an unknown id, a wrong length or sum.
    """
    root = Path(directory)
    prepared = Prepared.open(root)
    rows = []
    for id in sorted(mapping):
        values = np.asarray(mapping[id])
        problem = _duration_problem(prepared[id], values)
        if problem:
            raise UserError(f'durations of "{id}": {problem}', where=root)
        rows.append({"id": id, "durations": [int(v) for v in values]})
    header = {"format": FORMAT, "source": source, "fingerprint": prepared.fingerprint}
    write_jsonl(root / "durations.jsonl", [header, *rows])


def read_mark(root: Path) -> dict[str, Any]:
    """The mark of a finished directory, with its format checked."""
    mark = read_json(root / MARK, max_bytes=64 << 20)
    if not isinstance(mark, dict) or mark.get("format") != FORMAT:
        version = mark.get("format") if isinstance(mark, dict) else None
        raise UserError(f"prepared format {version!r}, this version reads {FORMAT}", where=root, hint=PREPARE)
    kinds = {"fingerprint": str, "sha256": dict, "frames": int, "speakers": list, "languages": list}
    for key, kind in kinds.items():
        if not isinstance(mark.get(key), kind):
            raise UserError(f'damaged: "{key}" is not a {kind.__name__}', where=root / MARK, hint=PREPARE)
    return mark


def seal(root: Path, **facts: Any) -> str:
    """Write the mark of a finished directory. Returns the fingerprint of the corpus."""
    sums = {name: sha256_file(root / name) for name in SEALED}
    fingerprint = hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]
    write_json(root / MARK, {"format": FORMAT, "fingerprint": fingerprint, "sha256": sums, **facts})
    return fingerprint


def sha256_file(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path, hint=PREPARE) from None


def _read_items(root: Path, n_speakers: int, frames: int) -> list[Item]:
    path = root / "manifest.jsonl"
    items: list[Item] = []
    for number, row in enumerate(read_jsonl(path, hint=PREPARE), 1):
        try:
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
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as e:
            raise UserError(f"line {number} is not an item ({e})", where=path, hint=PREPARE) from None
        items.append(item)
    return items


def _read_splits(path: Path, items: Mapping[str, Item]) -> dict[str, list[str]]:
    table = from_dict(dict[str, list[str]], read_json(path, max_bytes=1 << 30), where=str(path))
    out = {name: sorted(table.get(name, [])) for name in SPLITS}
    ids = [i for part in out.values() for i in part]
    if len(ids) != len(set(ids)) or set(ids) != set(items):
        raise UserError("does not divide the manifest's utterances", where=path, hint=PREPARE)
    return out


def _read_durations(root: Path, items: Mapping[str, Item]) -> tuple[dict[str, np.ndarray], str | None]:
    path = root / "durations.jsonl"
    if not path.is_file():
        return {}, None
    header, *rows = read_jsonl(path, hint=PREPARE) or [{}]
    out: dict[str, np.ndarray] = {}
    for row in rows:
        id, numbers = row.get("id"), row.get("durations")
        item = items.get(id) if isinstance(id, str) else None
        nested = isinstance(numbers, list) and any(isinstance(v, list) for v in numbers)
        values = np.asarray(numbers, dtype=object if nested else None)
        problem = "no such utterance" if item is None else _duration_problem(item, values)
        if problem:
            hint = "make it again with intona align"
            raise UserError(f'durations of "{id}": {problem}', where=path, hint=hint)
        out[row["id"]] = values.astype(np.int64)
    return out, header.get("source")


def _duration_problem(item: Item, values: np.ndarray) -> str:
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        return "not a list of whole numbers"
    if len(values) != len(item.phonemes):
        return f"{len(values)} values for {len(item.phonemes)} symbols"
    if (values < 0).any() or int(values.sum()) != item.n_frames:
        return f"sum {int(values.sum())}, the mel has {item.n_frames} frames"
    return ""
