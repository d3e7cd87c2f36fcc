"""The last steps of a prepared directory, for `prepare` and `merge`: split, statistics, tables, seal."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from intona.audio import MelSpec
from intona.config import save, write_json
from intona.data.item import FIELDS
from intona.data.prepared import FORMAT, seal, sha256_file
from intona.data.report import PrepareReport, Summary
from intona.data.shards import Shards
from intona.data.tables import json_line
from intona.errors import UserError
from intona.files import whole
from intona.jsonl import write_jsonl
from intona.text import PhonemeTokenizer

STATS_CHUNK = 1 << 16


def split_ids(ids: Iterable[str], dev: int | None, test: int | None, seed: int = 0) -> dict[str, list[str]]:
    """Divide utterances by a hash of their ids, which does not depend on their order.

    The smallest hashes are the test set, the next ones the dev set. By default dev is a twentieth (at most
    20) and test a tenth (at most 40); three utterances give one each.

    Raises:
        UserError: dev + test leave nothing to train on.
    """
    order = ranked(ids, seed)
    dev, test = split_sizes(len(order), dev, test)
    return {
        "train": sorted(order[test + dev :]),
        "dev": sorted(order[test : test + dev]),
        "test": sorted(order[:test]),
    }


def ranked(ids: Iterable[str], seed: int = 0) -> list[str]:
    """Ids sorted by a hash."""
    return sorted(ids, key=lambda i: (hashlib.sha256(f"{seed}/{i}".encode()).digest(), i))


def split_sizes(n: int, dev: int | None, test: int | None) -> tuple[int, int]:
    """Sizes of dev and test for `n` utterances. Raises UserError if they leave nothing to train on."""
    small = int(n >= 3)
    test = min(40, max(small, n // 10)) if test is None else test
    dev = min(20, max(small, n // 20)) if dev is None else dev
    if dev < 0 or test < 0 or dev + test >= n:
        raise UserError(
            f"dev {dev} + test {test} of {n} utterances leave none to train on", hint="lower --dev, --test"
        )
    return dev, test


def mel_stats(mels: np.ndarray | Shards, ranges: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Mean and standard deviation per mel bin and over all bins, of the rows in `ranges` (offset, frames)."""
    n_mels = mels.shape[1]
    total, square, count = np.zeros(n_mels), np.zeros(n_mels), 0
    pivot = None
    for offset, frames in ranges:
        if pivot is None:  # sums of differences from a first estimate keep their precision
            pivot = mels[offset : offset + frames].astype(np.float64).mean(axis=0)
        for at in range(offset, offset + frames, STATS_CHUNK):
            part = mels[at : min(at + STATS_CHUNK, offset + frames)].astype(np.float64) - pivot
            total += part.sum(axis=0)
            square += np.square(part).sum(axis=0)
            count += len(part)
    assert pivot is not None
    mean = total / count + pivot
    variance = np.maximum(square / count - np.square(total / count), 0.0)
    whole = float(mean.mean())
    spread = float(np.sqrt(np.mean(variance + np.square(mean - whole))))
    return {
        "frames": count,
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "global_mean": whole,
        "global_std": spread,
    }


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a directory is finished from.

    Attributes:
        rows: yields the rows ordered by id, each time it is called: the fields of `Item`, with words as
            lists, and `durations` and `labels`, which may be empty.
        splits: ids. speakers, languages, symbols: those of the rows.
        shards: name and frames of the files of mels. sums: checksums of those that are known already.
        durations_source: of the rows' durations.
    """

    rows: Callable[[], Iterable[dict[str, Any]]]
    splits: dict[str, list[str]]
    spec: MelSpec
    speakers: Sequence[str]
    languages: Collection[str]
    symbols: Collection[str]
    shards: Sequence[tuple[str, int]]
    frontends: dict[str, Any]
    durations_source: str
    sums: dict[str, str] = field(default_factory=dict)


def finish(
    out: Path, contents: Contents, *, dropped: Counter[str], origin: dict[str, Any], **facts: Any
) -> PrepareReport:
    """Write all tables of a directory that has mels, audio and `rejected.jsonl`, and seal it.

    The rows are read twice and never held.
    """
    from intona.data import index  # pyarrow

    c = contents
    description = next(iter(c.frontends.values())) if len(c.frontends) == 1 else {"languages": c.frontends}
    tokenizer = PhonemeTokenizer.build([sorted(c.symbols)], frontend=description)
    tokenizer.save(out / "tokenizer.json")
    save(c.spec, out / "features.json")
    tables = _Tables(c)
    with whole(out / index.FILE) as half:
        writer = index.ArrowWriter(half, index.SCHEMA)
        for row, split in tables.read():
            writer.add(index.index_row(row, tokenizer.encode(row["phonemes"]).ids, split))
        writer.close()
    mels = Shards([(out / name, frames) for name, frames in c.shards], width=c.spec.n_mels)
    write_json(out / "stats.json", mel_stats(mels, zip(tables.offsets, tables.frames, strict=True)))
    for held in ("dev", "test"):  # the input of `synthesize-set` and `evaluate`
        write_jsonl(out / f"{held}.jsonl", tables.held[held])
    if tables.labelled:
        labels = ({"id": r["id"], "labels": r["labels"]} for r in c.rows() if r["labels"])
        write_jsonl(out / "labels.jsonl", labels)
    report = tables.summary.report(dropped=dropped, symbols=len(c.symbols), aligned=tables.labelled, **facts)
    save(report, out / "report.json")
    splits = json.dumps(c.splits, ensure_ascii=False, indent=2) + "\n"
    fingerprint = seal(
        out,
        contents={
            "manifest.jsonl": tables.digest.hexdigest(),
            "splits.json": hashlib.sha256(splits.encode()).hexdigest(),
        },
        sums={name: c.sums.get(name) or sha256_file(out / name) for name, _ in c.shards},
        frames=len(mels),
        shards=[list(shard) for shard in c.shards],
        speakers=list(c.speakers),
        languages=report.languages,
        frontends=c.frontends,
        origin=origin,
        mel_fingerprint=c.spec.fingerprint(),
    )
    if tables.aligned:
        rows = ((r["id"], r["durations"]) for r in c.rows())
        index.write_durations(out / index.DURATIONS, rows, source=c.durations_source, fingerprint=fingerprint)
    return report


class _Tables:
    """One pass over the rows, and what it collects."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.summary = Summary(contents.speakers)
        self.digest = hashlib.sha256()  # of manifest.jsonl as format 1 has it
        self.offsets, self.frames = array("q"), array("q")  # of the training utterances
        self.held: dict[str, list[dict[str, Any]]] = {"dev": [], "test": []}
        self.labelled, self.aligned = 0, False

    def read(self) -> Iterator[tuple[dict[str, Any], str]]:
        """The fields of each row that a manifest has, and its split."""
        c = self.contents
        held = {name: set(c.splits[name]) for name in self.held}
        for full in c.rows():
            row = {name: full[name] for name in FIELDS}
            split = next((name for name, ids in held.items() if row["id"] in ids), "train")
            if split == "train":
                self.offsets.append(row["offset"])
                self.frames.append(row["n_frames"])
            else:
                self.held[split].append(self._sentence(row))
            self.digest.update(json_line(row))
            self.summary.add(row, split)
            self.labelled += bool(full["labels"])
            self.aligned |= len(full["durations"]) > 0
            yield row, split

    def _sentence(self, row: dict[str, Any]) -> dict[str, Any]:
        # The name is `Item.name`, so that DATA/audio is the folder of the recordings.
        name, speaker = Path(row["file"]).stem, self.contents.speakers[row["speaker"]]
        language = {"language": row["language"]} if len(self.contents.languages) > 1 else {}
        return {"id": name, "text": row["text"], "speaker": speaker} | language


__all__ = ["FORMAT", "Contents", "finish", "mel_stats", "ranked", "split_ids", "split_sizes"]
