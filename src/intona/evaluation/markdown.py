"""A report as Markdown: counted and scored-only tables, seeds, paired differences, how it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from intona.evaluation.judges.base import Measure
from intona.evaluation.report import Difference, Report, columns
from intona.evaluation.stats import Interval

WIDEST = 8  # columns side by side; further measures go into another table below


def to_markdown(report: Report) -> str:
    """Main tables (failures counted), scored-only tables, paired differences, and how it was measured."""
    kind = "speakers" if report.speakers > 1 else "utterances"
    parts = [
        f"N = {report.n} utterances, {max(1, report.speakers)} speaker(s), declared before synthesis "
        f"(manifest {report.manifest_sha256[:12]}). Failed outputs count at their worst value. In brackets: "
        f"95 % percentile bootstrap over {kind}, {report.resamples} resamples; of shares ("
        "failure rates, votes) Wilson's score interval. (n = …) if fewer than N "
        "have a value." + (" ▲ = better than the recording." if _any_flag(report) else ""),
        "",
        *_tables(report, counted=True),
        "Scored outputs only (failures left out; each figure has its own n):",
        "",
        *_tables(report, counted=False),
    ]
    if report.seeds:
        parts += [*_seed_table(report), ""]
    if report.differences:
        parts += [*_difference_table(report), ""]
    parts += _settings_lines(report)
    return "\n".join(parts) + "\n"


def _any_flag(report: Report) -> bool:
    return any(cell.flagged for row in report.rows for cell in row.cells.values())


def _blocks(report: Report) -> Iterator[list[Measure]]:
    """Measures grouped by judge, as many side by side as fit."""
    measures = {m.name: m for m in report.measures}
    groups = [[measures[name] for name in names] for names in report.groups.values()]
    block: list[Measure] = []
    for group in groups or [list(report.measures)]:
        if block and len(columns([*block, *group])) > WIDEST:
            yield block
            block = []
        block += group
    if block:
        yield block


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _tables(report: Report, *, counted: bool) -> list[str]:
    """`counted`: with failures at their worst value and two columns about them; else scored outputs only."""
    lines = []
    for measures in _blocks(report):
        rows = []
        for row in report.rows:
            cells = [row.name]
            if counted:
                cells += [f"{row.scored}/{row.n}", row.failed or "0"]
            for column in columns(measures):
                m = column.measure
                if m.name in report.unavailable:
                    cells.append(report.unavailable[m.name].reason)
                    continue
                cell = row.cells[m.name]
                flag = " ▲" if counted and column.kind == "plain" and cell.flagged else ""
                figure = column.figure(cell, counted=counted)
                cells.append(_show(figure, m, report.n if counted else None) + flag)
            rows.append(cells)
        heads = ["system", "scored/N", "failed"] if counted else ["system"]
        lines += [*grid([*heads, *(c.heading for c in columns(measures))], rows), ""]
    return lines


def _seed_table(report: Report) -> list[str]:
    rows = []
    for s in report.seeds:
        m, x = report.measure(s.measure), s.spread
        d = m.digits + 1
        interval = f"[{x.low:.{d}f}, {x.high:.{d}f}]"
        rows.append([s.system, m.title, f"{x.mean:.{d}f}", f"{x.sd:.{d}f}", interval, str(x.k)])
    heads = ["system", "measure", "mean of runs", "sd over seeds", "95 % (t)", "runs"]
    line = "Over training seeds (never pooled with the intervals over utterances):"
    return [line, "", *grid(heads, rows)]


def _difference_table(report: Report) -> list[str]:
    count = sum(d.p_holm is not None for d in report.differences)
    outside = len(report.differences) - count
    lines = [
        f"Paired differences from {report.differences[0].against} on the same ids (permutation test; "
        f"p adjusted by Holm over the declared family of {count}"
        + (f"; {outside} outside it are not adjusted" if outside else "")
        + "):",
        "",
    ]
    return lines + difference_grid(report.differences, report.measures)


def difference_grid(differences: Sequence[Difference], measures: Sequence[Measure]) -> list[str]:
    """One line per difference: estimate with interval, p, adjusted p, pairs."""
    titles = {m.name: m for m in measures}
    rows = []
    for d in differences:
        m = titles[d.measure]
        interval = Interval(
            estimate=d.paired.difference,
            low=d.paired.low,
            high=d.paired.high,
            n=d.paired.n,
            clusters=d.paired.clusters,
        )
        shown = _show(interval, m, None, sign="+")
        rows.append([d.system, m.title, shown, _p(d.paired.p), _p(d.p_holm), str(d.paired.n)])
    return grid(["system", "measure", "difference", "p", "p (Holm)", "n"], rows)


def _settings_lines(report: Report) -> list[str]:
    lines = ["How it was measured:", ""]
    for name, settings in report.judges.items():
        shown = ", ".join(f"{k} {str(v)[:12] if k.endswith('sha256') else v}" for k, v in settings.items())
        lines.append(f"- {name}: {shown}")
    for name, missing in report.unavailable.items():
        lines.append(f"- {name}: {missing.reason} ({missing.hint})")
    for row in report.rows:
        if row.extra_files:
            lines.append(f"- {row.name}: {row.extra_files} audio files belong to no row and were ignored")
    lines += [f"- {note}" for note in report.notes]
    tried = "not stated" if report.tried is None else str(report.tried)
    lines.append(f"- configurations tried on other data before this one: {tried}")
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
