"""`write_html`: the page of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from intona.errors import UserError, unknown
from intona.evaluation.finished import Finished, read_report, recall_wavs, remember_wavs
from intona.evaluation.html import figures, parts
from intona.evaluation.html.cards import cards, choose
from intona.evaluation.html.page import Child, Html, Page, Section, join, tag
from intona.evaluation.judges.base import Measure
from intona.evaluation.report import Difference, Report, columns

SIGNIFICANT = 0.05
_COUNTED = (
    "a missing, empty, silent, unreadable or non-finite output gets the worst value of the measure (WER 1, "
    "predicted score 1.0). Measures without a worst value are over scored outputs and state their n."
)
_CORPUS = (
    "corpus = all errors / all words; macro = mean of the rates of the utterances; robust = corpus with the "
    "errors of each utterance capped at its number of words, so that an invented transcript counts as one "
    "lost utterance. The headline is the corpus figure. The denominator never contains insertions."
)
_PAIRED = (
    "systems are compared on the same sentences: interval of the difference, permutation test, Holm's "
    "adjustment over the declared family."
)
_CONTROLS = {
    "recording": "; control: the recording itself",
    "copy": "; control: the recording through the vocoder",
    "destroyed": "; control: right voice, wrong words",
    "floor": "; control: the floor",
}


def write_html(
    report_dir: Path | str,
    *,
    wavs: Mapping[str, Path] | None = None,
    utterances: Sequence[str] | int = 6,
    out: Path | str | None = None,
    title: str = "Evaluation report",
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write `report.html`, one self-contained page, from the directory of a finished report.

    Args:
        wavs: system -> folder with its audio. They are saved beside the report (`wavs.json`); None uses the
            saved ones. A system without a folder has figures and no sound.
        utterances: which ones to show with sound and pictures: ids, or how many. A number is chosen by rule
            from the worst to the best, so that nobody can select the best-sounding ones.
        out: the file; default `report.html` in the directory.
        progress: called with (done, of, what).

    Raises:
        UserError: a report that is not finished, an unknown system or utterance, a missing folder.
    """
    finished = read_report(report_dir)
    if wavs is None:
        wavs = recall_wavs(report_dir)
    else:
        remember_wavs(report_dir, wavs)
    for name, folder in wavs.items():
        if name not in finished.systems:
            unknown("system", name, finished.systems)
        if not Path(folder).is_dir():
            raise UserError("no such folder", where=folder, hint=f'it should hold the audio of "{name}"')
    chosen, rule = choose(finished, utterances)
    report = finished.report
    sections = [
        _headline(report),
        _counted(report),
        _plots(report),
        _differences(report),
        _seeds(report),
        _scored(report),
        _failures(finished),
        cards(finished, wavs, chosen, rule, progress=progress),
        _reading(report),
        _settings(report),
    ]
    page = Page(
        title=title,
        subtitle=_subtitle(report),
        sections=[section for section in sections if section],
        footer="This page contains everything it shows and opens without a network.",
    )
    return page.write(Path(out) if out is not None else Path(report_dir) / "report.html")


def _subtitle(report: Report) -> str:
    speakers = max(1, report.speakers)
    return (
        f"{len(report.rows)} systems, {_many(report.n, 'utterance')}, {_many(speakers, 'speaker')}; "
        f"the list was fixed before synthesis (manifest {report.manifest_sha256[:12]})"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _headline_measures(report: Report) -> list[Measure]:
    """Those that declare it, filled up to three with others that have a direction; else the first three."""
    judged = [m for m in report.measured if m.better]
    declared = [m for m in judged if m.headline]
    others = [m for m in judged if not m.headline]
    return (declared + others[: max(0, 3 - len(declared))]) or list(report.measured)[:3]


def _headline(report: Report) -> Section:
    tiles = []
    for i, row in enumerate(report.rows):
        lines: list[tuple[Child, Child]] = []
        for m in _headline_measures(report):
            cell = row.cells[m.name]
            shown = parts.interval(cell.headline, digits=m.digits, expected=report.n, flagged=cell.flagged)
            lines.append((m.heading, shown))
        failed = sum(row.failures.values())
        note = f"{row.scored} of {row.n} scored" + (f", {failed} failed" if failed else "")
        note += _CONTROLS.get(row.role, "")
        tiles.append(parts.Tile(title=row.name, lines=lines, note=note, colour=i).render())
    body = [parts.grid(tiles, class_="tiles"), *_sentences(report)]
    lead = "Failed outputs count at their worst value. In brackets: 95 % intervals."
    return Section(id="headline", title="Headline", lead=lead, body=join(body))


def _sentences(report: Report) -> list[Html]:
    """For each system, in words, the measures on which it differs from the system compared with."""
    by_system: dict[str, list[Difference]] = {}
    for d in report.differences:
        by_system.setdefault(d.system, []).append(d)
    lines = []
    for system, differences in by_system.items():
        if all(d.p_holm is None for d in differences):
            continue  # outside the declared family: a control
        against = differences[0].against
        titles: dict[str, list[str]] = {"worse": [], "better": []}
        for d in differences:
            m = report.measure(d.measure)
            if m.better and d.p_holm is not None and d.p_holm < SIGNIFICANT:
                better = (d.paired.difference > 0) == (m.better == "higher")
                titles["better" if better else "worse"].append(m.title)
        clauses = [f"{kind} than {against} in {', '.join(names)}" for kind, names in titles.items() if names]
        what = "; ".join(clauses) or f"no significant difference from {against} in any compared measure"
        lines.append(tag("li", tag("strong", system), f": {what}"))
    if not lines:
        return []
    count = sum(d.p_holm is not None for d in report.differences)
    rule = f"Paired tests, p < {SIGNIFICANT:g} after Holm's adjustment over the declared family of {count}:"
    return [tag("p", rule), tag("ul", *lines, class_="plain")]


def _counted(report: Report) -> Section:
    return Section(
        id="counted",
        title="All figures, failures counted",
        body=_table(
            report,
            counted=True,
            caption="All utterances; a failed output counts at the worst value of the measure.",
            label="failures counted",
        ),
    )


def _scored(report: Report) -> Section:
    return Section(
        id="scored",
        title="Scored outputs only",
        body=_table(
            report,
            counted=False,
            caption="Failed outputs left out. Each figure is over its own n, stated if it is not N.",
            label="scored only",
        ),
    )


def _table(report: Report, *, counted: bool, caption: str, label: str) -> Html:
    """All systems and measures. `counted`: with failures at their worst value and how many there are."""
    rows: list[list[Child]] = []
    for row in report.rows:
        failed = f" ({row.failed})" if row.failed else ""
        cells: list[Child] = [row.name, *([f"{row.scored}/{row.n}{failed}"] if counted else [])]
        for column in columns(report.measures):
            m = column.measure
            if m.name in report.unavailable:
                cells.append(report.unavailable[m.name].reason)
                continue
            cell = row.cells[m.name]
            flagged = counted and cell.flagged and column.kind == "plain"
            figure = column.figure(cell, counted=counted)
            cells.append(parts.interval(figure, digits=m.digits, expected=report.n, flagged=flagged))
        rows.append(cells)
    heads: list[Child] = ["system", *(["scored/N"] if counted else [])]
    return parts.table(caption, [*heads, *(c.heading for c in columns(report.measures))], rows, label=label)


def _plots(report: Report) -> Section | None:
    names = [row.name for row in report.rows]
    plots = [
        figures.intervals(
            m.heading, names, [row.cells[m.name].headline for row in report.rows], digits=m.digits
        )
        for m in report.measured
    ]
    if not plots:
        return None
    lead = "A dot is the estimate, the bar its 95 % interval; failures counted."
    return Section(id="plots", title="Intervals", lead=lead, body=parts.grid(plots, class_="plots"))


def _differences(report: Report) -> Section | None:
    if not report.differences:
        return None
    rows: list[list[Child]] = []
    for d in report.differences:
        m, adjusted = report.measure(d.measure), parts.p_value(d.p_holm)
        significant = d.p_holm is not None and d.p_holm < SIGNIFICANT
        rows.append(
            [
                d.system,
                m.heading,
                parts.interval(d.paired, digits=m.digits, signed=True, key="difference"),
                parts.p_value(d.paired.p),
                tag("strong", adjusted) if significant else adjusted,
                str(d.paired.n),
            ]
        )
    against = report.differences[0].against
    family = sum(d.p_holm is not None for d in report.differences)
    caption = (
        f"System minus {against}, on the same ids. Bold: below {SIGNIFICANT:g} after Holm over the declared "
        f"family of {family}; a dash: outside the family."
    )
    heads: list[Child] = ["system", "measure", "difference", "p", "p (Holm)", "n"]
    body = parts.table(caption, heads, rows, label="paired differences", tight=True)
    return Section(id="differences", title=f"Paired differences from {against}", body=body)


def _seeds(report: Report) -> Section | None:
    """Runs of one system with several training seeds: a source of error besides the choice of sentences."""
    rows: list[list[Child]] = []
    for s in report.seeds:
        m = report.measure(s.measure)
        mean = parts.interval(s.spread, digits=m.digits, key="mean")
        rows.append([s.system, m.heading, mean, f"{s.spread.sd:.{m.digits}f}", str(s.spread.k)])
    if not rows:
        return None
    caption = "Never pooled with the intervals over utterances. In brackets: 95 %, Student's t."
    heads: list[Child] = ["system", "measure", "mean of runs", "sd over seeds", "runs"]
    body = parts.table(caption, heads, rows, label="training seeds", tight=True)
    return Section(id="seeds", title="Training seeds", body=body)


def _failures(finished: Finished) -> Section:
    rows: list[list[Child]] = []
    for system in finished.systems:
        for utterance in finished.rows:
            if failure := finished.failure(system, utterance):
                rows.append([system, utterance, failure[0], failure[1] or "–"])
    total = len(finished.systems) * len(finished.rows)
    if not rows:
        body = tag("p", f"None: all {total} outputs could be judged.")
    else:
        caption = f"{len(rows)} of {total} outputs."
        body = parts.table(
            caption, ["system", "utterance", "what", "why"], rows, label="failures", tight=True
        )
    return Section(id="failures", title="Failures", body=body)


def _reading(report: Report) -> Section:
    unit = "speakers" if report.speakers > 1 else "utterances"
    interval = (
        f"95 % percentile bootstrap over {unit}, {report.resamples} resamples, seed {report.seed}; of "
        "shares (failure rates, votes) Wilson's score interval, of their differences Newcombe's. It shows "
        "how much the figure would vary with other sentences, not with another training run."
    )
    lines: list[tuple[Child, Child]] = [
        ("Interval", interval),
        ("Counted", _COUNTED),
        ("Corpus, macro, robust", _CORPUS),
        ("Paired", _PAIRED),
        ("↓ ↑", "the better direction; a measure without an arrow describes and does not rank."),
        ("▲", "better than the recording: a reason to look closer, not a success."),
        ("Predictors", "DistillMOS, DNSMOS and UTMOS are predictions of models, not listening tests."),
        ("Not comparable", "figures from another recognizer, normalizer, resampler or list of sentences."),
    ]
    return Section(id="reading", title="How to read it", body=parts.definitions(lines, class_="reading"))


def _settings(report: Report) -> Section:
    from intona import __version__

    blocks: list[Child] = []
    for name, settings in report.judges.items():
        pairs: list[tuple[Child, Child]] = [(str(k), tag("code", str(v))) for k, v in settings.items()]
        blocks += [tag("h3", name), parts.definitions(pairs, class_="settings")]
    for name, missing in report.unavailable.items():
        blocks.append(tag("p", tag("strong", name), f": {missing.reason} ({missing.hint})"))
    notes: list[Child] = [tag("li", note) for note in report.notes]
    notes += [
        tag("li", f"{row.name}: {row.extra_files} audio files belong to no row and were ignored")
        for row in report.rows
        if row.extra_files
    ]
    about: list[tuple[Child, Child]] = [
        ("manifest sha256", tag("code", report.manifest_sha256)),
        ("bootstrap", f"{report.resamples} resamples, seed {report.seed}"),
        (
            "configurations tried on other data",
            "not stated" if report.tried is None else str(report.tried),
        ),
        ("page written by", f"intona {__version__}"),
    ]
    body = [
        parts.definitions(about, class_="settings"),
        tag("ul", *notes, class_="plain") if notes else None,
        *blocks,
    ]
    return Section(id="settings", title="Settings", body=join(body))
