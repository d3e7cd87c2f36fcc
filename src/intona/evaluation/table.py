"""Records to figures: counted and scored-only columns, intervals, paired differences, Markdown and JSON."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intona.errors import unknown
from intona.evaluation.judge import Judge, Measure, Unavailable
from intona.evaluation.manifest import Manifest
from intona.evaluation.records import Record
from intona.evaluation.stats import (
    Interval,
    Paired,
    choose_clusters,
    holm,
    paired_difference,
    ratio_interval,
)

FAILED = ("missing", "unreadable", "empty", "silent", "non-finite", "too long", "score not finite")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measure of one system.

    Args:
        counted: failures included at their worst value; None for a measure without one.
        scored: over utterances that have a score, with its own n; None when there is none.
        macro, macro_scored: mean of the utterances' own rates, for pooled measures only.
        flagged: better than the recording itself.
    """

    counted: Interval | None
    scored: Interval | None
    macro: Interval | None = None
    macro_scored: Interval | None = None
    flagged: bool = False

    @property
    def headline(self) -> Interval | None:
        return self.counted or self.scored


@dataclass(frozen=True, kw_only=True)
class SystemRow:
    """`failures` counts the utterances without usable audio, by reason; `scored` = n - all of them."""

    name: str
    n: int
    scored: int
    failures: dict[str, int]
    extra_files: int
    cells: dict[str, Cell]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """`system` minus `against` on one measure; `p_holm` is adjusted over all differences of the report."""

    system: str
    against: str
    measure: str
    paired: Paired
    p_holm: float | None


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

    def row(self, system: str) -> SystemRow:
        for row in self.rows:
            if row.name == system:
                return row
        unknown("system", system, [r.name for r in self.rows])


def build_report(
    manifest: Manifest,
    records: Sequence[Record],
    systems: Sequence[str],
    judges: Sequence[Judge | Unavailable],
    *,
    extra: Mapping[str, Sequence[str]] | None = None,
    recording: str = "recording",
    against: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Report:
    """Figures of all systems. Each must have exactly one record per utterance and measure.

    Raises:
        UserError: `against` is no system.
        ValueError: a record is missing or twice; a mean over what happens to exist is never taken.
    """
    if against is None:
        against = recording if recording in systems else systems[0]
    elif against not in systems:
        unknown("system", against, systems)
    active = [j for j in judges if not isinstance(j, Unavailable)]
    measures = [m for j in active for m in j.measures]
    by_place: dict[tuple[str, str], dict[str, Record]] = {}
    for record in records:
        place = by_place.setdefault((record.system, record.measure), {})
        if record.id in place:
            raise ValueError(f"two records of {record.measure} for {record.system} {record.id}")
        place[record.id] = record
    ids = [row.id for row in manifest.rows]
    columns: dict[tuple[str, str], list[Record]] = {}
    for system in systems:
        for m in measures:
            place = by_place.get((system, m.name), {})
            if set(place) != set(ids):
                raise ValueError(f"{len(place)} records of {m.name} for {system}, expected {len(ids)}")
            columns[system, m.name] = [place[i] for i in ids]
    rows = []
    for system in systems:
        statuses = {r.id: r.status for m in measures for r in columns[system, m.name] if r.status in FAILED}
        failures = Counter(statuses.values())
        rows.append(
            SystemRow(
                name=system,
                n=len(ids),
                scored=len(ids) - sum(failures.values()),
                failures=dict(failures),
                extra_files=len((extra or {}).get(system, ())),
                cells={m.name: _cell(m, columns[system, m.name], resamples, seed) for m in measures},
            )
        )
    rows = [_flag(row, rows, measures, recording) for row in rows]
    # The recording is at distance 0 from itself: a difference from that only swells the family.
    own = {m.name for j in active if j.needs_reference and against == recording for m in j.measures}
    compared = [m for m in measures if m.name not in own]
    return Report(
        n=len(ids),
        speakers=len(manifest.speakers),
        manifest_sha256=manifest.sha256,
        measures=tuple(m for j in judges for m in j.measures),
        unavailable={
            m.name: (j.reason, j.mend) for j in judges if isinstance(j, Unavailable) for m in j.measures
        },
        rows=tuple(rows),
        differences=_differences(systems, against, compared, columns, resamples, seed),
        judges={j.name: j.describe() for j in active},
        resamples=resamples,
        seed=seed,
        recording=recording,
    )


def _interval(records: Sequence[Record], pooled: bool, resamples: int, seed: int) -> Interval | None:
    records = [r for r in records if r.value is not None]
    if not records:
        return None
    num = [(r.numerator if pooled else r.value) or 0.0 for r in records]
    den = [(r.denominator if pooled else 1.0) or 1.0 for r in records]
    clusters = choose_clusters([r.speaker for r in records])
    return ratio_interval(num, den, clusters, resamples=resamples, seed=seed)


def _cell(measure: Measure, records: list[Record], resamples: int, seed: int) -> Cell:
    scored = [r for r in records if r.status == "ok"]
    counts = measure.failed is not None
    return Cell(
        counted=_interval(records, measure.pooled, resamples, seed) if counts else None,
        scored=_interval(scored, measure.pooled, resamples, seed),
        macro=_interval(records, False, resamples, seed) if measure.pooled and counts else None,
        macro_scored=_interval(scored, False, resamples, seed) if measure.pooled else None,
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


def _differences(
    systems: Sequence[str],
    against: str,
    measures: Sequence[Measure],
    columns: Mapping[tuple[str, str], list[Record]],
    resamples: int,
    seed: int,
) -> tuple[Difference, ...]:
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
            sides = []
            for side in (0, 1):
                records = [pair[side] for pair in pairs]
                num = [(r.numerator if m.pooled else r.value) or 0.0 for r in records]
                den = [(r.denominator if m.pooled else 1.0) or 1.0 for r in records]
                sides.append((num, den))
            clusters = choose_clusters([a.speaker for a, _ in pairs])
            paired = paired_difference(sides[0], sides[1], clusters, resamples=resamples, seed=seed)
            found.append(
                Difference(system=system, against=against, measure=m.name, paired=paired, p_holm=None)
            )
    adjusted = holm({f"{d.system} {d.measure}": d.paired.p for d in found if d.paired.p is not None})
    return tuple(dataclasses.replace(d, p_holm=adjusted.get(f"{d.system} {d.measure}")) for d in found)


def to_json(report: Report) -> dict[str, Any]:
    """Plain JSON types, everything that the Markdown shows and the settings in full."""
    value = dataclasses.asdict(report)
    value["unavailable"] = {k: {"reason": r, "mend": m} for k, (r, m) in report.unavailable.items()}
    return {"version": 1, **value}


def to_markdown(report: Report) -> str:
    """Main table (failures counted), scored-only table, paired differences, and how it was measured."""
    kind = "speakers" if report.speakers > 1 else "utterances"
    parts = [
        f"N = {report.n} utterances, {max(1, report.speakers)} speaker(s), declared before synthesis "
        f"(manifest {report.manifest_sha256[:12]}). Failed outputs count at their worst value. In brackets: "
        f"95 % percentile bootstrap over {kind}, {report.resamples} resamples. (n = …) where fewer than N "
        "have a value." + (" ▲ = better than the recording." if _any_flag(report) else ""),
        "",
        *_main_table(report),
        "",
        "Scored outputs only (failures left out; each figure has its own n):",
        "",
        *_scored_table(report),
    ]
    if report.differences:
        parts += ["", *_difference_table(report)]
    parts += ["", *_settings_lines(report)]
    return "\n".join(parts) + "\n"


def _any_flag(report: Report) -> bool:
    return any(cell.flagged for row in report.rows for cell in row.cells.values())


def _heads(report: Report) -> list[str]:
    heads = []
    for m in report.measures:
        arrow = {"lower": " ↓", "higher": " ↑", None: ""}[m.better]
        heads.append(m.title + arrow)
        if m.pooled:
            heads.append(f"{m.title} macro{arrow}")
    return heads


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _main_table(report: Report) -> list[str]:
    rows = []
    for row in report.rows:
        failed = ", ".join(f"{count} {reason}" for reason, count in row.failures.items())
        cells = [row.name, f"{row.scored}/{row.n}" + (f" ({failed})" if failed else "")]
        for m in report.measures:
            if m.name in report.unavailable:
                cells += [report.unavailable[m.name][0]] * (2 if m.pooled else 1)
                continue
            cell = row.cells[m.name]
            cells.append(_show(cell.headline, m, report.n) + (" ▲" if cell.flagged else ""))
            if m.pooled:
                cells.append(_show(cell.macro or cell.macro_scored, m, report.n))
        rows.append(cells)
    return _grid(["system", "scored/N", *_heads(report)], rows)


def _scored_table(report: Report) -> list[str]:
    rows = []
    for row in report.rows:
        cells = [row.name]
        for m in report.measures:
            if m.name in report.unavailable:
                cells += [report.unavailable[m.name][0]] * (2 if m.pooled else 1)
                continue
            cell = row.cells[m.name]
            cells.append(_show(cell.scored, m, None))
            if m.pooled:
                cells.append(_show(cell.macro_scored, m, None))
        rows.append(cells)
    return _grid(["system", *_heads(report)], rows)


def _difference_table(report: Report) -> list[str]:
    titles = {m.name: m for m in report.measures}
    count = len(report.differences)
    lines = [
        f"Paired differences from {report.differences[0].against} on the same ids (permutation test; "
        f"p adjusted by Holm over these {count}):",
        "",
    ]
    rows = []
    for d in report.differences:
        m = titles[d.measure]
        interval = Interval(
            estimate=d.paired.difference,
            low=d.paired.low,
            high=d.paired.high,
            n=d.paired.n,
            clusters=d.paired.clusters,
        )
        rows.append(
            [
                d.system,
                m.title,
                _show(interval, m, None, sign="+"),
                _p(d.paired.p),
                _p(d.p_holm),
                str(d.paired.n),
            ]
        )
    return lines + _grid(["system", "measure", "difference", "p", "p (Holm)", "n"], rows)


def _settings_lines(report: Report) -> list[str]:
    lines = ["How it was measured:", ""]
    for name, settings in report.judges.items():
        shown = ", ".join(f"{k} {str(v)[:12] if k.endswith('sha256') else v}" for k, v in settings.items())
        lines.append(f"- {name}: {shown}")
    for name, (reason, mend) in report.unavailable.items():
        lines.append(f"- {name}: {reason} ({mend})")
    for row in report.rows:
        if row.extra_files:
            lines.append(f"- {row.name}: {row.extra_files} audio files that no row asks for were left alone")
    return lines


def _show(interval: Interval | None, measure: Measure, expected: int | None, *, sign: str = "") -> str:
    if interval is None:
        return "–"
    spec = f"{sign}.{measure.digits}f"
    text = f"{interval.estimate:{spec}}"
    if interval.low is not None and interval.high is not None:
        text += f" [{interval.low:{spec}}, {interval.high:{spec}}]"
    return text + (f" (n = {interval.n})" if expected is not None and interval.n != expected else "")


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "<.001" if value < 0.001 else "1" if value >= 0.9995 else f"{value:.3f}".lstrip("0")
