"""Sections of a study's page about the evaluation: table, differences, trade-offs, audio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from intona.evaluation.finished import Finished, read_report, recall_wavs
from intona.evaluation.html import Html, Section, join, parts, tag
from intona.evaluation.html.cards import cards, choose
from intona.studies.engine import page
from intona.studies.engine.claims import Lookup, Value
from intona.studies.engine.job import folder
from intona.studies.engine.stages import REPORT

Cells = list[str | Html | None]
ARROWS = {"lower": " ↓", "higher": " ↑"}


def read(out: Path, job: str = "judge") -> Finished | None:
    """The evaluation by job `judge`; None if it is not complete."""
    report = folder(out, job) / REPORT
    return read_report(report) if (report / "table.json").is_file() else None


def value(finished: Finished | None, arm: str, seed: int, measure: str) -> Value | None:
    """The interval of a measure of `arm@seed`; failures count where the measure has a worst value."""
    for row in finished.table["rows"] if finished else ():
        if row["name"] == f"{arm}@{seed}" and measure in row["cells"]:
            cell = row["cells"][measure]
            return cell["counted"] or cell["scored"]
    return None


def voices(
    finished: Finished | None,
    measures: Sequence[str],
    *,
    title: str,
    id: str = "speech",
    published: Mapping[str, Mapping[str, str]] | None = None,
    columns: Sequence[str] = (),
    source: str = "",
    more: Mapping[str, Mapping[str, str | Html]] | None = None,
) -> Section:
    """All voices and controls with their intervals, the published figures, and the spread over seeds.

    Args:
        measures: those to show. published: arm -> measure -> figure, in a column after each of `columns`.
        source: where the published figures come from, and how their setting differs.
        more: further columns, title -> name of the row -> cell.
    """
    if finished is None:
        return Section(id=id, title=title, body=tag("p", "Not evaluated yet: see the unfinished jobs."))
    shown = [m for m in finished.table["measures"] if m["name"] in measures]
    heads: Cells = ["arm@seed", "scored/N"]
    for m in shown:
        heads.append(m["title"] + ARROWS.get(m["better"], ""))
        if m["name"] in columns:
            heads.append("published")
    heads += more or {}
    rows: list[Cells] = []
    for row in finished.table["rows"]:
        theirs = (published or {}).get(row.get("system") or row["name"], {})
        cells: Cells = [row["name"], f"{row['scored']}/{row['n']}"]
        for m in shown:
            cells.append(_cell(finished, row, m))
            if m["name"] in columns:
                cells.append(theirs.get(m["name"], "–"))
        cells += [column.get(row["name"], "–") for column in (more or {}).values()]
        rows.append(cells)
    missing = [f"{n}: {u['reason']} ({u['hint']})" for n, u in finished.table["unavailable"].items()]
    caption = f"Failed outputs count as the worst value. {source}".strip()
    notes = [tag("p", "Not measured: " + "; ".join(missing))] if missing else []
    body = join([parts.table(caption, heads, rows, label="voices"), *notes, *over_seeds(finished, measures)])
    return Section(id=id, title=title, body=body)


def _cell(finished: Finished, row: Mapping[str, Any], m: Mapping[str, Any]) -> str | Html:
    if m["name"] in finished.table["unavailable"]:
        return "–"
    cell = row["cells"][m["name"]]
    return parts.interval(
        cell["counted"] or cell["scored"],
        digits=m["digits"],
        expected=finished.table["n"],
        flagged=cell["flagged"],
    )


def over_seeds(finished: Finished, measures: Sequence[str]) -> list[Html]:
    """Mean and standard deviation over training seeds."""
    titles = {m["name"]: m for m in finished.table["measures"]}
    rows: list[Cells] = []
    for entry in finished.table.get("seeds") or ():
        m, over = titles[entry["measure"]], entry["spread"]
        if m["name"] in measures:
            mean = f"{over['mean']:.{m['digits']}f}"
            rows.append([entry["system"], m["title"], mean, f"{over['sd']:.{m['digits']}f}", str(over["k"])])
    if not rows:
        return []
    caption = (
        "Spread over training seeds; the intervals above are over sentences, and the two are never pooled."
    )
    heads: Cells = ["arm", "measure", "mean of runs", "sd over seeds", "runs"]
    return [
        tag("h3", "Training seeds"),
        parts.table(caption, heads, rows, label="training seeds", tight=True),
    ]


def differences(
    finished: Finished | None, measures: Sequence[str], *, id: str = "differences", title: str = ""
) -> Section | None:
    """Each voice minus the plan's baseline voice, paired, with Holm's adjustment."""
    if finished is None or not finished.table["differences"]:
        return None
    table = finished.table
    titles = {m["name"]: m for m in table["measures"]}
    rows: list[Cells] = []
    for d in table["differences"]:
        m = titles[d["measure"]]
        if m["name"] not in measures or d["p_holm"] is None:
            continue  # controls, and measures where neither direction is better
        adjusted = parts.p_value(d["p_holm"])
        rows.append(
            [
                d["system"],
                m["title"],
                parts.interval(d["paired"], digits=m["digits"], signed=True, key="difference"),
                parts.p_value(d["paired"]["p"]),
                tag("strong", adjusted) if d["p_holm"] < 0.05 else adjusted,
                str(d["paired"]["n"]),
            ]
        )
    against = table["differences"][0]["against"]
    caption = (
        f"Arm minus {against} on the same sentences. Bold: below 0.05 after Holm's adjustment over the "
        f"{len(rows)} comparisons declared before the evaluation."
    )
    heads: Cells = ["arm@seed", "measure", "difference", "p", "p (Holm)", "n"]
    body = parts.table(caption, heads, rows, label="paired differences", tight=True)
    return Section(id=id, title=title or f"Paired differences from {against}", body=body)


def tradeoffs(
    pairs: Sequence[tuple[str, str]],
    runs: Iterable[tuple[str, int]],
    value: Lookup,
    *,
    title: str,
    lead: str,
    names: Mapping[str, str] | None = None,
    lower: Sequence[str] = ("wer", "cer"),
    missing: str = "Not measured yet.",
) -> Section:
    """One plot per (measure on x, measure on y), with one point per (arm, seed).

    Args:
        names: measure -> its title. lower: measures that are better when lower.
    """
    runs, titles, plots = list(runs), names or {}, []
    for across, upward in pairs:
        points = []
        for arm, seed in runs:
            x, y = value(arm, seed, across), value(arm, seed, upward)
            if x is not None and y is not None:
                points.append(page.Point(label=f"{arm}@{seed}", arm=arm, x=x, y=y))
        if points:
            x_name, y_name = titles.get(across, across), titles.get(upward, upward)
            x_side, y_side = (ARROWS["lower" if m in lower else "higher"] for m in (across, upward))
            plots.append(
                page.tradeoff(f"{y_name} against {x_name}", x_name + x_side, y_name + y_side, points)
            )
    body = parts.grid(plots, class_="plots") if plots else tag("p", missing)
    return Section(id="tradeoff", title=title, lead=lead, body=body)


def audio(finished: Finished | None, sentences: int) -> Section | None:
    """Some sentences, chosen by a fixed rule, with all voices side by side."""
    if finished is None:
        return None
    wavs = {n: f for n, f in recall_wavs(finished.directory).items() if n in finished.systems}
    chosen, rule = choose(finished, sentences)
    return cards(finished, wavs, chosen, rule)
