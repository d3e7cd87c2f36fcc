"""What a report is about, fixed before anything is judged: `plan.json`.

It holds N, the systems with the sha256 of every file, the judges with their whole description, the family
of comparisons and the seed of the resampling. From it follows the key of every record there must be, so
that shards, resumed runs and a merge on another machine agree on what is done and what is missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from intona.config import at_least, from_dict, read_json
from intona.errors import UserError, unknown
from intona.evaluation.judge import Judge, Measure, Unavailable
from intona.evaluation.manifest import Manifest, Row
from intona.evaluation.records import digest

Role = Literal["system", "recording", "copy", "destroyed", "floor"]
PLAN = "plan.json"
MAX_PLAN_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class System:
    """A folder of audio that is one row of the table.

    Args:
        role: "system" is what is compared; the others are controls and stand outside the declared family.
        seed: of the training, where one system is given as several runs: they are rows of their own.
        borrow: id -> id of the row whose file stands in for it (the destroyed-text control).
    """

    name: str
    folder: Path
    role: Role = "system"
    seed: str = ""
    borrow: Mapping[str, str] | None = None

    @property
    def label(self) -> str:
        return f"{self.name}@{self.seed}" if self.seed else self.name


@dataclass(frozen=True, kw_only=True)
class PlannedSystem:
    """`files`: id -> sha256 of the file that is judged for it; an id without a file is missing."""

    label: str
    name: str
    seed: str
    role: Role
    files: dict[str, str]
    extra_files: int = 0


@dataclass(frozen=True, kw_only=True)
class PlannedJudge:
    """A judge as data. With a `reason` it could not run, and its columns say so."""

    name: str
    measures: tuple[Measure, ...]
    needs_reference: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    hint: str = ""

    @property
    def hash(self) -> str:
        return digest([self.name, self.settings])

    @staticmethod
    def of(judge: Judge | Unavailable) -> PlannedJudge:
        if isinstance(judge, Unavailable):
            return PlannedJudge(
                name=judge.name, measures=judge.measures, reason=judge.reason, hint=judge.hint
            )
        return PlannedJudge(
            name=judge.name,
            measures=judge.measures,
            needs_reference=judge.needs_reference,
            settings=judge.describe(),
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Args:
    family: measures whose differences Holm's adjustment is over; None = every one with a direction.
    tried: configurations that were tried on other data before this one, if stated.
    notes: controls that could not be built, and the like; printed under the table.
    """

    n: int
    manifest_sha256: str
    systems: tuple[PlannedSystem, ...]
    reference: dict[str, str]
    judges: tuple[PlannedJudge, ...]
    recording: str
    against: str
    family: tuple[str, ...] | None = None
    tried: int | None = None
    notes: tuple[str, ...] = ()
    resamples: int = 10_000
    seed: int = 0
    version: int = 1

    def __post_init__(self) -> None:
        at_least(self, resamples=1)
        labels = [s.label for s in self.systems]
        if not labels:
            raise UserError("no system to evaluate")
        if len(set(labels)) != len(labels):
            twice = next(x for x in labels if labels.count(x) > 1)
            raise UserError(
                f'two systems are called "{twice}"', hint="name them: NAME=DIR, or NAME@SEED=DIR for seeds"
            )
        if self.against not in labels:
            unknown("system", self.against, labels)
        names = [m.name for m in self.measures]
        if len(set(names)) != len(names):
            raise UserError("two judges give the same measure")
        for name in self.family or ():
            if name not in names:
                unknown("measure", name, names, where="family")
        if any(j.needs_reference and not j.reason for j in self.judges) and not self.reference:
            judge = next(j for j in self.judges if j.needs_reference)
            raise UserError(f'"{judge.name}" compares with recordings', hint="give the reference folder")

    @property
    def active(self) -> tuple[PlannedJudge, ...]:
        return tuple(j for j in self.judges if not j.reason)

    @property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(m for j in self.judges for m in j.measures)

    @property
    def ears(self) -> str:
        """Hash of the judge that says whether anything was spoken, on which all others depend; "" of none."""
        return next((j.hash for j in self.active if j.settings.get("no_speech")), "")

    def key(self, judge: PlannedJudge, system: PlannedSystem, row: Row) -> str:
        """Hash of all that the value depends on."""
        parts = [
            judge.hash,
            system.label,
            [row.id, row.text, row.speaker],
            system.files.get(row.id, ""),
            self.reference.get(row.id, "") if judge.needs_reference else "",
        ]
        return digest([*parts, self.ears] if self.ears else parts)

    def places(self, manifest: Manifest) -> Iterator[tuple[PlannedSystem, Row, PlannedJudge]]:
        """Every (system, row, judge) in the order of the records of a whole report."""
        for system in self.systems:
            for row in manifest.rows:
                for judge in self.active:
                    yield system, row, judge

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def read_plan(path: Path) -> Plan:
    """Read what `evaluate` declared.

    Raises:
        UserError: no plan, or one of another version.
    """
    if not path.exists():
        raise UserError("no evaluation was started here", where=path.parent, hint="run a shard of it first")
    return from_dict(Plan, read_json(path, max_bytes=MAX_PLAN_BYTES), where=str(path))


def default_against(systems: Sequence[System], recording: str) -> str:
    """The recording where there is one, else the first system."""
    labels = [s.label for s in systems]
    return recording if recording in labels else (labels[0] if labels else "")
