"""Records to figures: counted and scored-only columns, intervals, paired differences, seeds; and JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intona.errors import unknown
from intona.evaluation.judge import Measure
from intona.evaluation.manifest import Manifest
from intona.evaluation.plan import Plan, Role
from intona.evaluation.records import Record, records_digest
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
        macro, macro_scored: mean of the utterances' own rates, for pooled measures only.
        robust, robust_scored: each utterance's errors capped at its reference, for capped measures only.
        flagged: better than the recording itself.
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
        return self.counted or self.scored

    def figure(self, kind: str, *, counted: bool) -> Interval | None:
        """The figure of a column: "plain", "macro" or "robust"; `counted`: failures at their worst value."""
        names = {"plain": ("counted", "scored"), "macro": ("macro", "macro_scored")}
        first, second = names.get(kind, ("robust", "robust_scored"))
        return (getattr(self, first) if counted else None) or getattr(self, second)


def kinds(measure: Measure) -> tuple[str, ...]:
    """The columns of a measure, in their order."""
    return ("plain", *(("macro",) if measure.pooled else ()), *(("robust",) if measure.capped else ()))


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """`failures` counts the utterances without usable audio, by reason; `scored` = n - all of them.

    `name` is the row's label; runs of one system with several training seeds share `system`.
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


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`system` minus `against` on one measure.

    `p_holm` is adjusted over the declared family; None for a comparison outside of it.
    """

    system: str
    against: str
    measure: str
    paired: Paired
    p_holm: float | None


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """One measure of one system over its training seeds: beside the intervals over items, never pooled."""

    system: str
    measure: str
    spread: Spread


@dataclass(frozen=True, kw_only=True)
class Report:
    n: int
    speakers: int
    manifest_sha256: str
    measures: tuple[Measure, ...]
    unavailable: dict[str, tuple[str, str]]
    rows: tuple[SystemRow, ...]
    differences: tuple[Difference, ...]
    judges: dict[str, dict[str, Any]]
    resamples: int
    seed: int
    recording: str
    seeds: tuple[SeedSpread, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # judge -> its measures
    family: tuple[str, ...] | None = None
    tried: int | None = None
    notes: tuple[str, ...] = ()
    records_sha256: str = ""

    def row(self, system: str) -> SystemRow:
        for row in self.rows:
            if row.name == system:
                return row
        unknown("system", system, [r.name for r in self.rows])


def build_report(manifest: Manifest, plan: Plan, records: Sequence[Record]) -> Report:
    """Figures of all systems. Each must have exactly one record per utterance and measure.

    Raises:
        ValueError: a record is missing or twice; a mean over what happens to exist is never taken.
    """
    measures = [m for j in plan.active for m in j.measures]
    labels = [s.label for s in plan.systems]
    columns = columns_of(records, labels, [m.name for m in measures], [row.id for row in manifest.rows])
    rows = []
    for system in plan.systems:
        mine = {m.name: columns[system.label, m.name] for m in measures}
        statuses = {r.id: r.status for column in mine.values() for r in column if r.status in FAILED}
        failures = Counter(statuses[row.id] for row in manifest.rows if row.id in statuses)
        cells = {m.name: _cell(m, mine[m.name], plan.resamples, plan.seed) for m in measures}
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
    # The recording is at distance 0 from itself: a difference from that only swells the family.
    beside = plan.against == plan.recording
    own = {m.name for j in plan.active if j.needs_reference and beside for m in j.measures}
    compared = [m for m in measures if m.name not in own]
    family = set(plan.family) if plan.family is not None else {m.name for m in measures}
    tested = {s.label for s in plan.systems if s.role == "system"}
    found = differences(labels, plan.against, compared, columns, plan.resamples, plan.seed)
    return Report(
        n=len(manifest),
        speakers=len(manifest.speakers),
        manifest_sha256=manifest.sha256,
        measures=plan.measures,
        unavailable={m.name: (j.reason, j.hint) for j in plan.judges if j.reason for m in j.measures},
        rows=tuple(rows),
        differences=adjust(found, lambda d: d.system in tested and d.measure in family),
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
    records: Sequence[Record], systems: Sequence[str], measures: Sequence[str], ids: Sequence[str]
) -> dict[tuple[str, str], list[Record]]:
    """(system, measure) -> its records in the order of `ids`; ValueError unless each is there once."""
    by_place: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        place = by_place.setdefault((record.system, record.measure), {})
        if record.id in place:
            raise ValueError(f"two records of {record.measure} for {record.system} {record.id}")
        place[record.id] = record
    columns: dict[tuple[str, str], list[Record]] = {}
    for system in systems:
        for name in measures:
            place = by_place.get((system, name), {})
            if set(place) != set(ids):
                raise ValueError(f"{len(place)} records of {name} for {system}, expected {len(ids)}")
            columns[system, name] = [place[i] for i in ids]
    return columns


def _sums(records: Sequence[Record], pooled: bool) -> tuple[list[float], list[float]]:
    """What is added up above and below the line."""
    num = [(r.numerator if pooled else r.value) or 0.0 for r in records]
    den = [(r.denominator if pooled else 1.0) or 1.0 for r in records]
    return num, den


def _cell(measure: Measure, records: list[Record], resamples: int, seed: int) -> Cell:
    def interval(some: Sequence[Record], kind: str) -> Interval | None:
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
    """Mark what scores better than the recording: worth a look, not a triumph."""
    top = next((r for r in rows if r.name == recording), None)
    if top is None or row is top:
        return row
    cells = dict(row.cells)
    for m in measures:
        ours, theirs = row.cells[m.name].headline, top.cells[m.name].headline
        # Against itself the recording's distance is 0 by definition, which nothing beats.
        if m.better and ours and theirs:
            sign = 1 if m.better == "higher" else -1
            better = sign * (ours.estimate - theirs.estimate) > 0
            cells[m.name] = dataclasses.replace(cells[m.name], flagged=better)
    return dataclasses.replace(row, cells=cells)


def differences(
    systems: Sequence[str],
    against: str,
    measures: Sequence[Measure],
    columns: Mapping[tuple[str, str], list[Record]],
    resamples: int,
    seed: int,
) -> list[Difference]:
    """Each system minus `against` on each measure with a direction, over the ids where both have a value."""
    found: list[Difference] = []
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
            found.append(
                Difference(system=system, against=against, measure=m.name, paired=paired, p_holm=None)
            )
    return found


def adjust(found: Sequence[Difference], within: Callable[[Difference], bool]) -> tuple[Difference, ...]:
    """Holm's adjustment over the differences `within` the family; the others get no adjusted p."""
    family = {i: d.paired.p for i, d in enumerate(found) if d.paired.p is not None and within(d)}
    adjusted = holm({str(i): p for i, p in family.items()})
    return tuple(dataclasses.replace(d, p_holm=adjusted.get(str(i))) for i, d in enumerate(found))


def _seeds(rows: Sequence[SystemRow], measures: Sequence[Measure]) -> tuple[SeedSpread, ...]:
    found = []
    for system in dict.fromkeys(row.system for row in rows if row.seed):
        runs = [row for row in rows if row.system == system and row.seed]
        for m in measures:
            values = [h.estimate for row in runs if (h := row.cells[m.name].headline)]
            # A run without a figure is no run of the spread: a mean over the others would hide it.
            if len(runs) > 1 and len(values) == len(runs):
                found.append(SeedSpread(system=system, measure=m.name, spread=spread(values)))
    return tuple(found)


def to_json(report: Report) -> dict[str, Any]:
    """Plain JSON types, everything that the Markdown shows and the settings in full."""
    value = dataclasses.asdict(report)
    value["unavailable"] = {k: {"reason": r, "hint": m} for k, (r, m) in report.unavailable.items()}
    return {"version": 1, **value}
