"""What a preparation kept and dropped, and why: `report.json` and the printed table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intona.config import from_dict, read_json


@dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """Counts of one prepared directory. Hours are those of the kept, trimmed recordings."""

    layout: str
    kept: int
    hours: float
    dropped: dict[str, int] = field(default_factory=dict)
    speakers: dict[str, dict[str, float]] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    languages: list[str] = field(default_factory=list)
    aligned: int = 0
    test_texts_in_train: int = 0
    symbols: int = 0
    elapsed_seconds: float = 0.0
    speed: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of records, kept or dropped."""
        return self.kept + sum(self.dropped.values())

    def table(self) -> str:
        """The report as plain text, one fact per line."""
        share = f" of {self.total} ({100 * self.kept / max(1, self.total):.1f} %)"
        rows = [("kept", f"{self.kept}{share}, {self.hours:.2f} h")]
        if self.dropped:
            rows.append(("dropped", str(sum(self.dropped.values()))))
            by_count = sorted(self.dropped.items(), key=lambda kv: (-kv[1], kv[0]))
            rows += [(f"  {reason}", str(count)) for reason, count in by_count]
        rows.append(("languages", ", ".join(self.languages)))
        rows.append(("speakers", str(len(self.speakers))))
        by_hours = sorted(self.speakers.items(), key=lambda kv: (-kv[1]["hours"], kv[0]))
        rows += [(f"  {n[:40]}", f"{int(s['utterances'])}, {s['hours']:.2f} h") for n, s in by_hours[:10]]
        if len(by_hours) > 10:
            rows.append((f"  {len(by_hours) - 10} more", ""))
        rows.append(("splits", ", ".join(f"{k} {v}" for k, v in self.splits.items())))
        rows.append(("symbols", str(self.symbols)))
        if self.aligned:
            rows.append(("aligned", f"{self.aligned} with the phone labels of the corpus"))
        if self.test_texts_in_train:
            rows.append(("warning", f"{self.test_texts_in_train} test texts also stand in train"))
        rows += [("warning", w) for w in self.warnings]
        if self.speed:
            rows.append(("speed", f"{self.speed:.0f} x real time ({self.elapsed_seconds:.1f} s)"))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)

    @classmethod
    def load(cls, directory: Path) -> PrepareReport:
        """The report of a prepared directory, also of an earlier version."""
        fields = read_json(directory / "report.json", max_bytes=64 << 20)
        if isinstance(fields, dict) and "seconds_taken" in fields:
            fields = {"elapsed_seconds": fields.pop("seconds_taken"), **fields}
        return from_dict(cls, fields)


class Summary:
    """Counts rows of a manifest, one at a time, into a report."""

    def __init__(self, speakers: Sequence[str]) -> None:
        self._names = list(map(str, speakers))
        self._speakers = {name: {"utterances": 0.0, "hours": 0.0} for name in self._names}
        self._languages: set[str] = set()
        self._splits: Counter[str] = Counter()
        self._seconds, self._kept = 0.0, 0
        self._train_texts: set[int] = set()  # hashes: the texts of a large corpus take much memory
        self._test_texts: list[int] = []

    def add(self, row: dict[str, Any], split: str) -> None:
        entry = self._speakers[self._names[row["speaker"]]]
        entry["utterances"] += 1
        entry["hours"] += row["seconds"] / 3600
        self._kept += 1
        self._seconds += row["seconds"]
        self._languages.add(row["language"])
        self._splits[split] += 1
        if split == "train":
            self._train_texts.add(hash(row["normalized"]))
        elif split == "test":
            self._test_texts.append(hash(row["normalized"]))

    def report(self, *, dropped: Counter[str], **facts: Any) -> PrepareReport:
        return PrepareReport(
            kept=self._kept,
            hours=self._seconds / 3600,
            dropped=dict(sorted(dropped.items())),
            speakers=self._speakers,
            splits={name: self._splits[name] for name in ("train", "dev", "test")},
            languages=sorted(self._languages),
            test_texts_in_train=sum(text in self._train_texts for text in self._test_texts),
            **facts,
        )
