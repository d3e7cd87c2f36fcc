"""Read access to a prepared corpus: items, mels in memory-mapped files, durations, splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona.audio import MelSpec
from intona.config import from_dict, read_json, write_json
from intona.data.item import Item, Items
from intona.data.label_table import LabelTable
from intona.data.labels import Label
from intona.data.manifest import ManifestIndex
from intona.data.shards import Shards, is_shard_name
from intona.data.tables import SPLITS, Index, Split, duration_problem
from intona.errors import UserError, unknown
from intona.jsonl import write_jsonl
from intona.provenance import sha256
from intona.text import PhonemeTokenizer, load_tokenizer

FORMAT = 2
MARK = "prepared.json"
INDEX = "index.arrow"
# Format -> the tables that its mark has checksums of.
SEALED: dict[int, tuple[str, ...]] = {
    1: ("manifest.jsonl", "features.json", "tokenizer.json", "splits.json", "stats.json"),
    2: (INDEX, "features.json", "tokenizer.json", "stats.json"),
}
PREPARE = "make it again with intona prepare"


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
        self.mels = Shards(
            [(root / name, frames) for name, frames in shards_of(mark)], width=self.spec.n_mels
        )
        self.index = _open_index(root, mark, tokenizer)
        self._labels: LabelTable | None = None

    @classmethod
    def open(cls, directory: Path | str) -> Prepared:
        """Open and check a prepared directory: format, checksums of its tables, sizes of its mels.

        The mels themselves are not read; `verify` does that.

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
        for name in SEALED[mark["format"]]:
            if sha256_file(root / name) != mark["sha256"].get(name):
                raise UserError("altered or damaged since it was prepared", where=root / name, hint=PREPARE)
        prepared = cls(root, mark)
        prepared.mels.check(hint=PREPARE)
        return prepared

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, id: str) -> Item:
        row = self.index.find(id) if isinstance(id, str) else None
        if row is None:
            near = map(self.index.id, range(min(len(self), 10_000)))  # comparing names takes time
            unknown("utterance", id, near, where=self.root)
        return self.index.item(row)

    def __iter__(self) -> Iterator[Item]:
        return map(self.index.item, range(len(self)))

    def items(self, split: str = "train") -> Items:
        """Items of "train", "dev" or "test", ordered by id; each is built when it is accessed."""
        return Items(self.index.item, self.rows(split))

    def rows(self, split: str = "train") -> np.ndarray:
        """Rows of a split, (n,), into the columns `index.n_frames`, `index.speakers` and so on."""
        if split not in SPLITS:
            unknown("split", split, SPLITS)
        return self.index.rows(split)

    def mel(self, item: Item) -> np.ndarray:
        """The natural-log mel, float32 (T, n_mels)."""
        return self.mel_rows(item).astype(np.float32)

    def mel_rows(self, item: Item) -> np.ndarray:
        """The mel as stored: a float16 view of the memory map, without a copy."""
        return self.mels[item.offset : item.offset + item.n_frames]

    def audio_path(self, item: Item) -> Path:
        """The path of the trimmed, levelled recording at `spec.sample_rate`."""
        return self.root / "audio" / item.file

    def tokens(self, item: Item) -> list[int]:
        """Token ids of the item's phonemes, one per symbol."""
        return list(self.tokenizer.encode(item.phonemes).ids)

    def durations(self, item: Item) -> np.ndarray | None:
        """Frames of each phoneme symbol, int64 (N,), with the sum `n_frames`; None if not aligned."""
        self.index.load_durations()
        row = self.index.find(item.id)
        return None if row is None else self.index.durations(row)

    @property
    def durations_source(self) -> str | None:
        """Where the durations come from; None if there are none."""
        self.index.load_durations()
        return self.index.durations_source

    @property
    def alignment(self) -> str:
        """Fingerprint of the durations ("" if there are none), which `fingerprint` does not cover."""
        return self.index.alignment

    def labels(self, item: Item) -> list[Label] | None:
        """The phone labels of the corpus, in the time of the trimmed recording; None if it has none."""
        if self._labels is None:
            self._labels = LabelTable(self.root, self.index, hint=PREPARE)
        row = self.index.find(item.id)
        return None if row is None else self._labels[row]


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

    def rows() -> Iterator[tuple[str, list[int]]]:
        for id in sorted(mapping):
            item, values = prepared[id], np.asarray(mapping[id])
            if problem := duration_problem(values, len(item.phonemes), item.n_frames):
                raise UserError(f'durations of "{id}": {problem}', where=root)
            yield id, [int(v) for v in values]

    prepared.index.write_durations(rows(), source, prepared.fingerprint)


def verify(directory: Path | str) -> list[str]:
    """Read everything in a prepared directory and compare it with the checksums of its mark.

    Returns:
        The names of the files whose checksum is recorded and right.

    Raises:
        UserError: names the first file that was altered or damaged.
    """
    prepared = Prepared.open(directory)
    sums = read_mark(prepared.root)["sha256"]
    for name, expected in sums.items():
        if sha256_file(prepared.root / name) != expected:
            raise UserError("altered or damaged", where=prepared.root / name, hint=PREPARE)
    return list(sums)


def read_mark(root: Path) -> dict[str, Any]:
    """The mark of a finished directory, with its format checked."""
    mark = read_json(root / MARK, max_bytes=64 << 20)
    if not isinstance(mark, dict) or mark.get("format") not in SEALED:
        version = mark.get("format") if isinstance(mark, dict) else None
        raise UserError(f"prepared format {version!r}, this version reads 1 and 2", where=root, hint=PREPARE)
    kinds = {"fingerprint": str, "sha256": dict, "frames": int, "speakers": list, "languages": list}
    for key, kind in kinds.items():
        if not isinstance(mark.get(key), kind):
            raise UserError(f'damaged: "{key}" is not a {kind.__name__}', where=root / MARK, hint=PREPARE)
    shards_of(mark, where=root / MARK)
    return mark


def shards_of(mark: dict[str, Any], *, where: object = None) -> list[tuple[str, int]]:
    """Name and frames of each file of mels.

    Raises:
        UserError: the mark names something else, or the frames do not add up.
    """
    if mark["format"] == 1:
        return [("mels.bin", mark["frames"])]
    try:
        shards = [(name, frames) for name, frames in mark["shards"]]
        good = all(is_shard_name(n) and isinstance(f, int) and f > 0 for n, f in shards)
        if good and sum(f for _, f in shards) == mark["frames"]:
            return shards
    except (KeyError, TypeError, ValueError):
        pass
    raise UserError('damaged: "shards" does not list the mels', where=where, hint=PREPARE)


def seal(
    root: Path,
    *,
    contents: Mapping[str, str] | None = None,
    sums: Mapping[str, str] | None = None,
    **facts: Any,
) -> str:
    """Write the mark of a finished directory. Returns the fingerprint of the corpus.

    Args:
        contents: of format 2, the checksums that manifest.jsonl and splits.json of format 1 would have. The
            fingerprint covers them, so that it does not depend on how a corpus is stored.
        sums: checksums of further files, which `verify` compares.
        facts: further fields of the mark.

    Without `contents` the directory is one of format 1.
    """
    version = 1 if contents is None else FORMAT
    tables = {name: sha256_file(root / name) for name in SEALED[version]}
    covered = {**tables, **(contents or {})}
    text = json.dumps({name: covered[name] for name in SEALED[1]}, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    fields = {} if contents is None else {"contents": dict(contents)}
    mark = {"format": version, "fingerprint": fingerprint, "sha256": {**tables, **(sums or {})}}
    write_json(root / MARK, {**mark, **fields, **facts})
    return fingerprint


def sha256_file(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path, hint=PREPARE) from None


def _open_index(root: Path, mark: dict[str, Any], tokenizer: PhonemeTokenizer) -> Index:
    facts = {"n_speakers": len(mark["speakers"]), "frames": mark["frames"], "hint": PREPARE}
    if mark["format"] == 1:
        return ManifestIndex(root, tokenizer, **facts)
    from intona.data.index import ArrowIndex  # pyarrow

    return ArrowIndex(root, tokenizer, **facts)


__all__ = [
    "FORMAT", "MARK", "PREPARE", "SEALED", "SPLITS", "Item", "Items", "Prepared", "Split", "read_mark",
    "seal", "sha256_file", "shards_of", "verify", "write_durations", "write_jsonl",
]  # fmt: skip
