"""Parts of a study's page: the state of its jobs, their cost, scatter plots, curves over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.evaluation.html import Html, Page, Section, join, parts, tag
from intona.evaluation.html.figures import FAINT, INK, MARKS, _figure, svg
from intona.studies.engine.account import costs, state_of, total
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome

Value = Mapping[str, Any]  # an interval: estimate, low, high, n


def write(sections: Sequence[Section | None], out: Path, *, title: str, subtitle: str) -> Path:
    """Write `out/report.html`; sections that are None are left out."""
    whole = Page(
        title=title,
        subtitle=subtitle,
        sections=[s for s in sections if s is not None],
        footer="This page is self-contained: it opens without a network.",
    )
    return whole.write(out / "report.html")


def subtitle(plan: StudyPlan, outcome: StudyOutcome, voices: str) -> str:
    """The size of the study and how much of it is done. `voices`: how many, and how long they train."""
    seeds = len({j.seed for j in plan.jobs if j.seed is not None})
    return (
        f"{len(plan.arms)} arms, {seeds} seed{'s' if seeds != 1 else ''}, {voices}, "
        f"{len(outcome.done)} of {len(plan.jobs)} jobs done"
    )


def state(plan: StudyPlan, outcome: StudyOutcome) -> Section:
    """Jobs whose results are missing from the page, with the reason."""
    missing: list[list[str | Html | None]] = [
        [j.name, state_of(plan, outcome, j.name)] for j in plan.jobs if j.name not in outcome.done
    ]
    if not missing:
        body: Html = tag("p", f"All {len(plan.jobs)} jobs are done; no arm failed.")
    else:
        caption = (
            f"{len(missing)} of {len(plan.jobs)} jobs. Results that build on them are missing from this page."
        )
        body = parts.table(caption, ["job", "state"], missing, label="failed and unfinished")
    return Section(id="state", title="Failed or unfinished", body=body)


def reading(plan: StudyPlan, lines: Sequence[tuple[str, str]]) -> Section:
    """What the terms of the page mean, and each arm in a sentence."""
    body = [
        parts.definitions(lines, class_="reading"),
        tag("h3", "Arms"),
        parts.definitions([(a.name, a.what) for a in plan.arms], class_="reading"),
    ]
    return Section(id="reading", title="How to read it", body=join(body))


def budget(plan: StudyPlan, out: Path) -> Section:
    """Planned and spent time of each arm."""

    def cell(pair: tuple[float, float]) -> str | Html:
        if not any(pair):
            return "–"
        return tag("span", f"{pair[1]:.1f}", " ", tag("span", f"of {pair[0]:.1f}", class_="n"))

    rows: list[list[str | Html | None]] = [
        [f"{c.arm}@{c.seed}", cell(c.pretraining), cell(c.voice), cell(c.other)] for c in costs(plan, out)
    ]
    planned, spent = total(plan, out)
    caption = (
        f"Minutes of processor time spent, of those planned; {spent:.0f} of {planned:.0f} in total, with "
        "each job counted once. A stage that several arms build on is shown with each of them."
    )
    heads: list[str | Html | None] = ["arm@seed", "pretraining", "voice", "its speech"]
    return Section(
        id="budget",
        title="Budget",
        body=parts.table(caption, heads, rows, label="budget of each arm"),
    )


@dataclass(frozen=True, kw_only=True)
class Point:
    """One run in a plot of two measures; runs of one arm share a colour."""

    label: str
    arm: str
    x: Value
    y: Value


def tradeoff(title: str, across: str, upward: str, points: Sequence[Point]) -> Html:
    """One point per run with both intervals, and Spearman's rank correlation of the two measures."""
    figure, axes = _figure(4.6, 3.7)
    arms = list(dict.fromkeys(p.arm for p in points))
    colours = {arm: MARKS[(i + 1) % 8] for i, arm in enumerate(arms)}
    for p in points:
        x, y = p.x["estimate"], p.y["estimate"]
        colour = colours[p.arm]
        for value, is_x in ((p.x, True), (p.y, False)):
            if value.get("low") is not None:
                ends = [value["low"], value["high"]]
                axes.plot(ends if is_x else [x, x], [y, y] if is_x else ends, color=colour, linewidth=1.2)
        axes.plot([x], [y], "o" if arms.index(p.arm) < 8 else "s", color=colour, markersize=5)
        axes.annotate(
            p.label,
            (x, y),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            parse_math=False,
        )
    axes.set_xlabel(across, parse_math=False)
    axes.set_ylabel(upward, parse_math=False)
    axes.grid(color=FAINT, linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.12)
    correlation = spearman(points)
    axes.set_title(f"{title}: {correlation}", loc="left", fontsize=9, parse_math=False)
    return svg(figure, f"{title}: {correlation}. " + "; ".join(_point_as_text(p) for p in points))


def spearman(points: Sequence[Point]) -> str:
    """Rank correlation of the estimates with its n; none below three points or without variation."""
    from scipy.stats import spearmanr

    xs, ys = [p.x["estimate"] for p in points], [p.y["estimate"] for p in points]
    if len(points) < 3 or len(set(xs)) < 2 or len(set(ys)) < 2:
        return f"no rank correlation, n = {len(points)}"
    result: Any = spearmanr(xs, ys)
    return f"Spearman {result.statistic:+.2f}, n = {len(points)}"


def _point_as_text(p: Point) -> str:
    return f"{p.label} {p.x['estimate']:.3f}, {p.y['estimate']:.3f}"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Values over the steps of a chain of runs; None = not measured. `level`: a horizontal reference line."""

    name: str
    places: Sequence[float]
    values: Sequence[Value | None]
    level: float | None = None


def curves(
    title: str, across: str, lines: Sequence[Curve], ends: Sequence[tuple[str, float]], *, digits: int = 3
) -> Html:
    """Curves with bands for their intervals; a vertical line and a name mark the end of each run."""
    figure, axes = _figure(4.6, 3.1)
    for i, line in enumerate(lines):
        colour = MARKS[(i + 1) % 8]
        shown = [(x, v) for x, v in zip(line.places, line.values, strict=True) if v is not None]
        xs = [x for x, _ in shown]
        estimates = [v["estimate"] for _, v in shown]
        mark = "o-" if i < 8 else "s--"  # there are eight colours
        axes.plot(xs, estimates, mark, color=colour, markersize=3.5, label=line.name)
        banded = [(x, v) for x, v in shown if v.get("low") is not None]
        if banded:
            low, high = [v["low"] for _, v in banded], [v["high"] for _, v in banded]
            axes.fill_between([x for x, _ in banded], low, high, color=colour, alpha=0.18, linewidth=0)
        if line.level is not None:
            axes.axhline(line.level, color=colour, linewidth=0.8, linestyle=":")
    before = 0.0
    for name, end in ends:
        axes.axvline(end, color=FAINT, linewidth=0.8)
        axes.text(
            (before + end) / 2,
            1.0,
            name,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=7,
            color=INK,
            parse_math=False,
        )
        before = end
    axes.set_title(title, loc="left", fontsize=9, pad=14, parse_math=False)
    axes.set_xlabel(across)
    if ends and ends[-1][1] > 0:
        axes.set_xlim(-0.02 * ends[-1][1], 1.02 * ends[-1][1])
    axes.grid(axis="y", color=FAINT, linewidth=0.4)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) != 1 or not title.startswith(lines[0].name):
        below: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, -0.2), "ncols": 2}
        legend = axes.legend(fontsize=7, frameon=False, **(below if len(lines) > 6 else {}))
        for words in legend.get_texts():
            words.set_color(INK)
    return svg(figure, f"{title}. " + "; ".join(_values_as_text(line, digits) for line in lines))


def _values_as_text(line: Curve, digits: int) -> str:
    shown = [
        f"{v['estimate']:.{digits}f} at {x:g}"
        for x, v in zip(line.places, line.values, strict=True)
        if v is not None
    ]
    return f"{line.name}: " + ", ".join(shown)
