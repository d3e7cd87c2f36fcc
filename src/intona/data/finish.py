"""The last steps of a prepared directory, for `prepare` and `merge`: split, statistics, tables, seal."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona.audio import MelSpec
from intona.config import save, write_json
from intona.data.prepared import FORMAT, seal
from intona.data.report import PrepareReport, summarise
from intona.errors import UserError
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


def mel_stats(mels: np.ndarray, ranges: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Mean and standard deviation per mel bin and over all bins, of the rows in `ranges` (offset, frames)."""
    n_mels = mels.shape[1]
    total, square, count = np.zeros(n_mels), np.zeros(n_mels), 0
    # Sums of differences from a first estimate keep their precision.
    pivot = mels[ranges[0][0] : ranges[0][0] + ranges[0][1]].astype(np.float64).mean(axis=0)
    for offset, frames in ranges:
        for at in range(offset, offset + frames, STATS_CHUNK):
            part = mels[at : min(at + STATS_CHUNK, offset + frames)].astype(np.float64) - pivot
            total += part.sum(axis=0)
            square += np.square(part).sum(axis=0)
            count += len(part)
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


def finish(
    out: Path,
    rows: Sequence[dict[str, Any]],
    *,
    spec: MelSpec,
    speakers: Sequence[str],
    splits: dict[str, list[str]],
    dropped: Counter[str],
    frontends: dict[str, Any],
    origin: dict[str, Any],
    **facts: Any,
) -> PrepareReport:
    """Write all tables of a directory that has `mels.bin`, audio and `rejected.jsonl`, and seal it."""
    rows = sorted(rows, key=lambda row: row["id"])
    frames = sum(row["n_frames"] for row in rows)
    mels = np.memmap(out / "mels.bin", dtype=np.float16, mode="r", shape=(frames, spec.n_mels))
    training = set(splits["train"])
    write_json(
        out / "stats.json",
        mel_stats(mels, [(r["offset"], r["n_frames"]) for r in rows if r["id"] in training]),
    )
    write_jsonl(out / "manifest.jsonl", rows)
    save(spec, out / "features.json")
    write_json(out / "splits.json", splits)
    several = len({r["language"] for r in rows}) > 1
    for held in ("dev", "test"):  # the input of `synthesize-set` and `evaluate`
        known = set(splits[held])
        write_jsonl(
            out / f"{held}.jsonl",
            [
                # `Item.name`, so that DATA/audio is the folder of the recordings.
                {"id": Path(r["file"]).stem, "text": r["text"], "speaker": speakers[r["speaker"]]}
                | ({"language": r["language"]} if several else {})
                for r in rows
                if r["id"] in known
            ],
        )
    description = next(iter(frontends.values())) if len(frontends) == 1 else {"languages": frontends}
    tokenizer = PhonemeTokenizer.build((row["phonemes"] for row in rows), frontend=description)
    tokenizer.save(out / "tokenizer.json")
    symbols = len({s for row in rows for s in row["phonemes"]})
    report = summarise(rows, dropped, speakers, splits, symbols=symbols, **facts)
    save(report, out / "report.json")
    seal(
        out,
        frames=frames,
        speakers=list(speakers),
        languages=report.languages,
        frontends=frontends,
        origin=origin,
        mel_fingerprint=spec.fingerprint(),
    )
    return report


__all__ = ["FORMAT", "finish", "mel_stats", "ranked", "split_ids", "split_sizes"]
