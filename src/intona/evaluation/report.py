"""From records to figures: counted and scored-only columns, intervals, paired differences, seeds, JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from intona.errors import unknown
from intona.evaluation.judges.base import Measure
from intona.evaluation.manifest import Manifest
from intona.evaluation.plan import Plan, Role
from intona.evaluation.records import ScoreRecord, records_digest
from intona.evaluation.shares import paired_shares, share_interval
from intona.evaluation.stats import (
    Interval,
    Paired,
    Spread,
    choose_clusters,
    holm,
    paired_difference,
    ratio_interval,
    spread,
)

FAILED = (
    "missing",
    "unreadable",
    "empty",
    "silent",
    "non-finite",
    "too long",
    "no speech",
    "score not finite",
)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measure of one system.

    Args:
        counted: failures included at their worst value; None for a measure without one.
        scored: over utterances that have a score, with its own n; None when there is none.
        macro, macro_scored: mean of the rates of the utterances, for pooled measures only.
        robust, robust_scored: errors of each utterance capped at its reference, for capped measures only.
        flagged: better than the recording.
    """

    counted: Interval | None
    scored: Interval | None
    macro: Interval | None = None
    macro_scored: Interval | None = None
    robust: Interval | None = None
    robust_scored: Interval | None = None
    flagged: bool = False

    @property
    def headline(self) -> Interval | None:
        """Failures counted where the measure has a worst value."""
        return self.counted or self.scored


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the tables: a measure, and for an error rate also its macro and robust figures."""

    measure: Measure
    kind: Literal["plain", "macro", "robust"] = "plain"

    @property
    def heading(self) -> str:
        kind = "" if self.kind == "plain" else f" {self.kind}"
        return self.measure.heading.replace(self.measure.title, self.measure.title + kind, 1)

    def figure(self, cell: Cell, *, counted: bool) -> Interval | None:
        """The figure of a cell. `counted`: failures at their worst value, where there is one."""
        both = {
            "plain": (cell.counted, cell.scored),
            "macro": (cell.macro, cell.macro_scored),
            "robust": (cell.robust, cell.robust_scored),
        }
        with_failures, scored = both[self.kind]
        return (with_failures if counted else None) or scored


def columns(measures: Sequence[Measure]) -> list[Column]:
    """The columns of these measures, in their order."""
    shown = []
    for m in measures:
        shown.append(Column(measure=m))
        if m.pooled:
            shown.append(Column(measure=m, kind="macro"))
        if m.capped:
            shown.append(Column(measure=m, kind="robust"))
    return shown


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """One system: `failures` counts the utterances without usable audio by reason; `scored` is n minus these.

    `name` is the label of the row; runs of one system with several training seeds share `system`.
    """

    name: str
    n: int
    scored: int
    failures: dict[str, int]
    extra_files: int
    cells: dict[str, Cell]
    system: str = ""
    seed: str = ""
    role: Role = "system"

    @property
    def failed(self) -> str:
        """ "2 missing, 1 silent"; "" if nothing failed."""
        return ", ".join(f"{count} {reason}" for reason, count in self.failures.items())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`system` minus `against` on one measure.

    `p_holm` is adjusted over the declared family; None for a comparison outside it.
    """

    system: str
    against: str
    measure: str
    paired: Paired
    p_holm: float | None


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """One measure of one system over its training seeds; never pooled with the intervals over utterances."""

    system: str
    measure: str
    spread: Spread


@dataclass(frozen=True, kw_only=True)
class NotMeasured:
    """Why a measure could not be taken, and how to change that."""

    reason: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the tables show; `table.json` on disk.

    Args:
        unavailable: measure -> why it could not be taken.
        judges: judge -> its description. groups: judge -> its measures.
        family: the declared measures that are adjusted together; None = all with a direction.
        seeds: of systems with several training seeds.
        records_sha256: of the records that the figures were computed from.
    """

    n: int
    speakers: int
    manifest_sha256: str
    measures: tuple[Measure, ...]
    unavailable: dict[str, NotMeasured]
    rows: tuple[SystemRow, ...]
    differences: tuple[Difference, ...]
    judges: dict[str, dict[str, Any]]
    resamples: int
    seed: int
    recording: str
    seeds: tuple[SeedSpread, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    family: tuple[str, ...] | None = None
    tried: int | None = None
    notes: tuple[str, ...] = ()
    records_sha256: str = ""

    @property
    def measured(self) -> tuple[Measure, ...]:
        """The measures that could be taken."""
        return tuple(m for m in self.measures if m.name not in self.unavailable)

    def measure(self, name: str) -> Measure:
        for measure in self.measures:
            if measure.name == name:
                return measure
        unknown("measure", name, [m.name for m in self.measures])

    def row(self, system: str) -> SystemRow:
        for row in self.rows:
            if row.name == system:
                return row
        unknown("system", system, [r.name for r in self.rows])


def build_report(manifest: Manifest, plan: Plan, records: Sequence[ScoreRecord]) -> Report:
    """Figures of all systems. Each must have exactly one record per utterance and measure.

    Raises:
        ValueError: a record is missing or repeated. No mean is ever taken over only what exists.
    """
    measures = [m for j in plan.active for m in j.measures]
    labels = [s.label for s in plan.systems]
    by_column = columns_of(records, labels, [m.name for m in measures], [row.id for row in manifest.rows])
    rows = []
    for system in plan.systems:
        of_system = {m.name: by_column[system.label, m.name] for m in measures}
        statuses = {r.id: r.status for column in of_system.values() for r in column if r.status in FAILED}
        failures = Counter(statuses[row.id] for row in manifest.rows if row.id in statuses)
        cells = {m.name: _cell(m, of_system[m.name], plan.resamples, plan.seed) for m in measures}
        rows.append(
            SystemRow(
                name=system.label,
                n=len(manifest),
                scored=len(manifest) - sum(failures.values()),
                failures=dict(failures),
                extra_files=system.extra_files,
                cells=cells,
                system=system.name,
                seed=system.seed,
                role=system.role,
            )
        )
    rows = [_flag(row, rows, measures, plan.recording) for row in rows]
    # The recording is at distance 0 from itself. Differences from that would only enlarge the family.
    from_recording = plan.against == plan.recording
    trivial = {m.name for j in plan.active if j.needs_reference and from_recording for m in j.measures}
    compared = [m for m in measures if m.name not in trivial]
    family = set(plan.family) if plan.family is not None else {m.name for m in measures}
    tested = {s.label for s in plan.systems if s.role == "system"}
    paired = differences(labels, plan.against, compared, by_column, plan.resamples, plan.seed)
    return Report(
        n=len(manifest),
        speakers=len(manifest.speakers),
        manifest_sha256=manifest.sha256,
        measures=plan.measures,
        unavailable={
            m.name: NotMeasured(reason=j.reason, hint=j.hint)
            for j in plan.judges
            if j.reason
            for m in j.measures
        },
        rows=tuple(rows),
        differences=adjust(paired, lambda d: d.system in tested and d.measure in family),
        judges={j.name: j.settings for j in plan.active},
        resamples=plan.resamples,
        seed=plan.seed,
        recording=plan.recording,
        seeds=_seeds(rows, measures),
        groups={j.name: tuple(m.name for m in j.measures) for j in plan.judges},
        family=plan.family,
        tried=plan.tried,
        notes=plan.notes,
        records_sha256=records_digest(records),
    )


def columns_of(
    records: Sequence[ScoreRecord], systems: Sequence[str], measures: Sequence[str], ids: Sequence[str]
) -> dict[tuple[str, str], list[ScoreRecord]]:
    """(system, measure) -> its records in the order of `ids`; ValueError unless each occurs once."""
    by_place: dict[tuple[str, str], dict[str, ScoreRecord]] = {}
    for record in records:
        place = by_place.setdefault((record.system, record.measure), {})
        if record.id in place:
            raise ValueError(f"two records of {record.measure} for {record.system} {record.id}")
        place[record.id] = record
    by_column: dict[tuple[str, str], list[ScoreRecord]] = {}
    for system in systems:
        for name in measures:
            place = by_place.get((system, name), {})
            if set(place) != set(ids):
                raise ValueError(f"{len(place)} records of {name} for {system}, expected {len(ids)}")
            by_column[system, name] = [place[i] for i in ids]
    return by_column


def _sums(records: Sequence[ScoreRecord], pooled: bool) -> tuple[list[float], list[float]]:
    """Numerators and denominators."""
    num = [(r.numerator if pooled else r.value) or 0.0 for r in records]
    den = [(r.denominator if pooled else 1.0) or 1.0 for r in records]
    return num, den


def _cell(measure: Measure, records: list[ScoreRecord], resamples: int, seed: int) -> Cell:
    def interval(some: Sequence[ScoreRecord], kind: str) -> Interval | None:
        some = [r for r in some if r.value is not None]
        if not some:
            return None
        clusters = choose_clusters([r.speaker for r in some])
        num, den = _sums(some, measure.pooled and kind != "macro")
        if measure.share:
            return share_interval(num, clusters)
        if kind == "robust":
            num = [min(a, b) for a, b in zip(num, den, strict=True)]
        return ratio_interval(num, den, clusters, resamples=resamples, seed=seed)

    scored = [r for r in records if r.status == "ok"]
    counts = measure.failed is not None
    return Cell(
        counted=interval(records, "plain") if counts else None,
        scored=interval(scored, "plain"),
        macro=interval(records, "macro") if measure.pooled and counts else None,
        macro_scored=interval(scored, "macro") if measure.pooled else None,
        robust=interval(records, "robust") if measure.capped and counts else None,
        robust_scored=interval(scored, "robust") if measure.capped else None,
    )


def _flag(
    row: SystemRow, rows: Sequence[SystemRow], measures: Sequence[Measure], recording: str
) -> SystemRow:
    """Mark what scores better than the recording: a reason to look closer."""
    top = next((r for r in rows if r.name == recording), None)
    if top is None or row is top:
        return row
    cells = dict(row.cells)
    for m in measures:
        ours, theirs = row.cells[m.name].headline, top.cells[m.name].headline
        if m.better and ours and theirs:
            sign = 1 if m.better == "higher" else -1
            better = sign * (ours.estimate - theirs.estimate) > 0
            cells[m.name] = dataclasses.replace(cells[m.name], flagged=better)
    return dataclasses.replace(row, cells=cells)


def differences(
    systems: Sequence[str],
    against: str,
    measures: Sequence[Measure],
    columns: Mapping[tuple[str, str], list[ScoreRecord]],
    resamples: int,
    seed: int,
) -> list[Difference]:
    """Each system minus `against` on each measure with a direction, over the ids where both have a value."""
    paired_differences: list[Difference] = []
    for system in systems:
        for m in measures:
            if system == against or m.better is None:
                continue
            pairs = [
                (a, b)
                for a, b in zip(columns[system, m.name], columns[against, m.name], strict=True)
                if a.value is not None and b.value is not None
            ]
            if not pairs:
                continue
            ours, theirs = (_sums([pair[side] for pair in pairs], m.pooled) for side in (0, 1))
            clusters = choose_clusters([a.speaker for a, _ in pairs])
            options: dict[str, Any] = {"resamples": resamples, "seed": seed}
            if m.share:
                paired = paired_shares(ours[0], theirs[0], clusters, **options)
            else:
                paired = paired_difference(ours, theirs, clusters, **options)
            paired_differences.append(
                Difference(system=system, against=against, measure=m.name, paired=paired, p_holm=None)
            )
    return paired_differences


def adjust(tests: Sequence[Difference], within: Callable[[Difference], bool]) -> tuple[Difference, ...]:
    """Holm's adjustment over the differences `within` the family; the others get no adjusted p."""
    family = {i: d.paired.p for i, d in enumerate(tests) if d.paired.p is not None and within(d)}
    adjusted = holm({str(i): p for i, p in family.items()})
    return tuple(dataclasses.replace(d, p_holm=adjusted.get(str(i))) for i, d in enumerate(tests))


def _seeds(rows: Sequence[SystemRow], measures: Sequence[Measure]) -> tuple[SeedSpread, ...]:
    spreads = []
    for system in dict.fromkeys(row.system for row in rows if row.seed):
        runs = [row for row in rows if row.system == system and row.seed]
        for m in measures:
            values = [h.estimate for row in runs if (h := row.cells[m.name].headline)]
            # If one run has no figure there is no spread: a mean over the others would hide that.
            if len(runs) > 1 and len(values) == len(runs):
                spreads.append(SeedSpread(system=system, measure=m.name, spread=spread(values)))
    return tuple(spreads)


def to_json(report: Report) -> dict[str, Any]:
    """Plain JSON types: everything that the Markdown shows, and all settings in full."""
    return {"version": 1, **dataclasses.asdict(report)}
