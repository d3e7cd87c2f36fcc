"""What a report is about, fixed before anything is judged: `plan.json`.

It holds N, the systems with the sha256 of every file, the judges with their whole description, the family
of comparisons and the seed of the resampling. The key of every record follows from it, so that a
resumed run knows what is done and what is missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from intona.config import at_least, from_dict, read_json
from intona.errors import UserError, unknown
from intona.evaluation.judges.base import Judge, Measure, Unavailable
from intona.evaluation.manifest import Manifest, Row
from intona.evaluation.records import digest

Role = Literal["system", "recording", "copy", "destroyed", "floor"]
PLAN = "plan.json"
MAX_PLAN_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True)
class System:
    """A folder of audio that is one row of the table.

    Args:
        role: "system" is what is compared; the others are controls and outside the declared family.
        seed: of the training, if there are several runs of one system. Each run is a row.
        borrow: id -> id of the row whose file is judged in its place (the destroyed-text control).
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
    """`files`: id -> sha256 of the file that is judged for it; "" or no entry = missing."""

    label: str
    name: str
    seed: str
    role: Role
    files: dict[str, str]
    extra_files: int = 0


@dataclass(frozen=True, kw_only=True)
class PlannedJudge:
    """A judge as data. If there is a `reason`, it could not run, and its columns state the reason."""

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
    """What `evaluate` declares before it judges anything.

    Args:
        family: measures whose differences are adjusted together (Holm); None = every one with a direction.
        tried: how many configurations were tried on other data before this one, if stated.
        notes: controls that could not be built, and the like; printed below the table.
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
            repeated = next(x for x in labels if labels.count(x) > 1)
            raise UserError(
                f'two systems are called "{repeated}"', hint="name them: NAME=DIR, or NAME@SEED=DIR for seeds"
            )
        if self.against not in labels:
            unknown("system", self.against, labels)
        names = [m.name for m in self.measures]
        if len(set(names)) != len(names):
            repeated = next(x for x in names if names.count(x) > 1)
            raise UserError(f'two judges have a measure "{repeated}"', hint="leave one of them out")
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
    def speech_check(self) -> str:
        """Hash of the judge that decides whether anything was spoken, on which all scores depend; or ""."""
        return next((j.hash for j in self.active if j.settings.get("no_speech")), "")

    def key(self, judge: PlannedJudge, system: PlannedSystem, row: Row) -> str:
        """Hash of everything that the value depends on."""
        parts = [
            judge.hash,
            system.label,
            [row.id, row.text, row.speaker],
            system.files.get(row.id, ""),
            self.reference.get(row.id, "") if judge.needs_reference else "",
        ]
        return digest([*parts, self.speech_check] if self.speech_check else parts)

    def places(self, manifest: Manifest) -> Iterator[tuple[PlannedSystem, Row, PlannedJudge]]:
        """Every (system, row, judge), in the order of the records of a complete report."""
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
        raise UserError(
            "no evaluation was started here", where=path.parent, hint="start it with `intona evaluate`"
        )
    value = read_json(path, max_bytes=MAX_PLAN_BYTES)
    for judge in value.get("judges", ()) if isinstance(value, dict) else ():
        rename_hint(judge)
    return from_dict(Plan, value, where=str(path))


def rename_hint(value: Any) -> None:
    """Rename in place: earlier versions called a hint "mend"."""
    if isinstance(value, dict) and "mend" in value:
        value["hint"] = value.pop("mend")


def default_against(systems: Sequence[System], recording: str) -> str:
    """The recording where there is one, else the first system."""
    labels = [s.label for s in systems]
    return recording if recording in labels else (labels[0] if labels else "")
