"""Systems of several reports compared, paired on the same ids; refused where the figures do not compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.errors import UserError, unknown
from intona.evaluation.finished import Finished, read_report
from intona.evaluation.judges.base import Measure
from intona.evaluation.markdown import difference_grid
from intona.evaluation.plan import PLAN, Plan, read_plan
from intona.evaluation.records import ScoreRecord
from intona.evaluation.report import Difference, adjust, columns_of, differences

TITLES = {"normalizer": "the normalizer", "resampler": "the resampler"}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The systems of several reports, compared.

    Args:
        differences: every system minus `against`; p is adjusted over all systems that are not controls.
        left_out: measures that not every report has.
    """

    n: int
    manifest_sha256: str
    against: str
    systems: tuple[str, ...]
    measures: tuple[Measure, ...]
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]
    resamples: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class _Opened:
    path: Path
    finished: Finished
    plan: Plan


def compare(
    reports: Sequence[Path | str],
    *,
    against: str | None = None,
    measures: Sequence[str] | None = None,
    systems: Sequence[str] | None = None,
) -> Comparison:
    """Compare all systems of the reports with one of them.

    A system with the same name in two reports is one system if its records are the same (a recording that was
    judged twice); otherwise it is prefixed with the name of the report: `REPORT/system`.

    Args:
        against: a system of the result; None = the first of the first report that is not a control.
        measures, systems: only these.

    Raises:
        UserError: a report that is not finished; reports that differ in manifest, recognizer, normalizer,
            resampler or another setting of a judge; names what differs.
    """
    if len(reports) < 2:
        raise UserError("comparing takes two reports or more", hint="intona compare REPORT_A REPORT_B")
    opened = [_open(Path(path)) for path in reports]
    first = opened[0]
    shared = [m for m in first.plan.measures if all(_has(o.plan, m.name) for o in opened)]
    known = {m.name for o in opened for m in o.plan.measures}
    for name in measures or ():
        if name not in known:
            unknown("measure", name, known)
    if measures is not None:
        shared = [m for m in shared if m.name in measures]
    for other in opened[1:]:
        faults = _differ(first.plan, other.plan, {m.name for m in shared})
        if first.plan.speech_check != other.plan.speech_check and (_unspoken(first) or _unspoken(other)):
            faults.append("the rule for outputs without speech")
        if faults:
            raise UserError(
                f"cannot be compared with {first.path}; different: {', '.join(faults)}",
                where=other.path,
                hint="evaluate both with the same manifest and judges",
            )
    if not shared:
        raise UserError("the reports have no measure in common")
    columns, roles = _columns(opened, [m.name for m in shared])
    labels = list(roles)
    for name in (*(systems or ()), *([against] if against else ())):
        if name not in labels:
            unknown("system", name, labels)
    if against is None:
        against = next((x for x in labels if roles[x] == "system"), labels[0])
    if systems is not None:
        labels = [x for x in labels if x in systems or x == against]
    paired = differences(labels, against, shared, columns, first.plan.resamples, first.plan.seed)
    return Comparison(
        n=first.plan.n,
        manifest_sha256=first.plan.manifest_sha256,
        against=against,
        systems=tuple(labels),
        measures=tuple(shared),
        differences=adjust(paired, lambda d: roles[d.system] == "system"),
        left_out=tuple(sorted(known - {m.name for m in shared})),
        resamples=first.plan.resamples,
        seed=first.plan.seed,
    )


def _unspoken(report: _Opened) -> bool:
    return any(record.status == "no speech" for record in report.finished.listed)


def _open(path: Path) -> _Opened:
    return _Opened(path=path, finished=read_report(path), plan=read_plan(path / PLAN))


def _has(plan: Plan, measure: str) -> bool:
    return any(m.name == measure for j in plan.active for m in j.measures)


def _differ(a: Plan, b: Plan, measures: set[str]) -> list[str]:
    """The differences that prevent a comparison, in words."""
    faults = []
    if a.manifest_sha256 != b.manifest_sha256:
        faults.append(f"the manifest ({a.manifest_sha256[:12]}, {b.manifest_sha256[:12]})")
    theirs = {j.name: j for j in b.active}
    for judge in a.active:
        other = theirs.get(judge.name)
        if other is None or not measures & {m.name for m in judge.measures}:
            continue
        ours = {**judge.settings, "reference": digest_of(a) if judge.needs_reference else None}
        their = {**other.settings, "reference": digest_of(b) if other.needs_reference else None}
        for key in [*ours, *(k for k in their if k not in ours)]:
            if ours.get(key) != their.get(key):
                values = f"{_brief(ours.get(key))}, {_brief(their.get(key))}"
                faults.append(f"{TITLES.get(key, key)} of {judge.name} ({values})")
    return faults


def digest_of(plan: Plan) -> str:
    """Hash of the recordings that a report was judged with."""
    from intona.evaluation.records import digest

    return digest(plan.reference)


def _brief(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _columns(
    opened: Sequence[_Opened], measures: Sequence[str]
) -> tuple[dict[tuple[str, str], list[ScoreRecord]], dict[str, str]]:
    """(system, measure) -> records in the order of the manifest; and system -> role."""
    columns: dict[tuple[str, str], list[ScoreRecord]] = {}
    roles: dict[str, str] = {}
    ids = list(opened[0].finished.rows)
    names = _names([o.path for o in opened])
    for report, name in zip(opened, names, strict=True):
        labels = [s.label for s in report.plan.systems]
        try:
            by_column = columns_of(report.finished.listed, labels, report_measures(report), ids)
        except ValueError as e:
            raise UserError(f"its records are not those of its plan ({e})", where=report.path) from None
        for system in report.plan.systems:
            column = {m: by_column[system.label, m] for m in measures}
            label = system.label
            if label in roles:
                if all(_values(columns[label, m]) == _values(column[m]) for m in measures):
                    continue
                label = f"{name}/{label}"
            roles[label] = system.role
            columns.update({(label, m): column[m] for m in measures})
    return columns, roles


def report_measures(report: _Opened) -> list[str]:
    return [m.name for j in report.plan.active for m in j.measures]


def _values(records: Sequence[ScoreRecord]) -> list[tuple[Any, ...]]:
    return [(r.id, r.status, r.value, r.numerator, r.denominator) for r in records]


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of the folders, numbered if two are the same."""
    names = [p.resolve().name for p in paths]
    return [n if names.count(n) == 1 else f"{n}:{i}" for i, n in enumerate(names, start=1)]


def comparison_to_markdown(result: Comparison) -> str:
    count = sum(d.p_holm is not None for d in result.differences)
    lines = [
        f"N = {result.n} utterances (manifest {result.manifest_sha256[:12]}), each system minus "
        f"{result.against} on the same ids. In brackets: 95 % percentile bootstrap, {result.resamples} "
        f"resamples, or Newcombe's score interval for shares; "
        f"p by permutation, adjusted by Holm over {count} comparisons; controls are not adjusted.",
        "",
        *difference_grid(result.differences, result.measures),
    ]
    if result.left_out:
        lines += ["", f"Not compared, because not in every report: {', '.join(result.left_out)}."]
    return "\n".join(lines) + "\n"


def comparison_to_json(result: Comparison) -> dict[str, Any]:
    return {"version": 1, **dataclasses.asdict(result)}
