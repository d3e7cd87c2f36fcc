"""`write_html`: the page of one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from intona.errors import UserError, unknown
from intona.evaluation.finished import Finished, read_report, recall_wavs, remember_wavs
from intona.evaluation.html import figures, parts
from intona.evaluation.html.cards import cards, choose
from intona.evaluation.html.page import Child, Html, Page, Section, join, tag

SIGNIFICANT = 0.05
HEADLINE = ("wer", "cer", "distillmos", "ar_failure")
_COUNTED = (
    "a missing, empty, silent, unreadable or non-finite output gets the worst value of the measure (WER 1, "
    "predicted score 1.0). Measures without a worst value are over scored outputs and say their n."
)
_CORPUS = (
    "corpus = all errors / all words; macro = mean of the utterances' own rates; robust = corpus with the "
    "errors of each utterance capped at its words, so that one made-up transcript counts as one lost "
    "utterance. The headline is the corpus figure. The denominator never contains insertions."
)
_PAIRED = (
    "systems are compared on the same sentences: interval of the difference, permutation test, Holm's "
    "adjustment over the family that was declared."
)
_CONTROLS = {
    "recording": "; control: the recording itself",
    "copy": "; control: the recording through the vocoder",
    "destroyed": "; control: right voice, wrong words",
    "floor": "; control: the floor",
}
_ARROWS = {"lower": " ↓", "higher": " ↑"}


def write_html(
    report_dir: Path | str,
    *,
    wavs: Mapping[str, Path] | None = None,
    utterances: Sequence[str] | int = 6,
    out: Path | str | None = None,
    title: str = "Evaluation report",
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write `report.html`, one self-contained page, from a finished report directory.

    Args:
        wavs: system -> folder with its audio; they are written down beside the report (`wavs.json`), and
            None takes what stands there. A system without a folder has its figures and no sound.
        utterances: which ones to show with sound and pictures: ids, or how many, then chosen by rule from
            the worst to the best so that nobody picks the pretty ones.
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
    voices = cards(finished, wavs, chosen, rule, progress=progress)
    page = Page(
        title=title,
        subtitle=_subtitle(finished.table),
        sections=[s for s in (*_figures(finished), voices, _reading(finished), _settings(finished)) if s],
        footer="This page holds everything it shows: it opens without a network.",
    )
    return page.write(Path(out) if out is not None else Path(report_dir) / "report.html")


def _subtitle(table: Mapping[str, Any]) -> str:
    speakers = max(1, table["speakers"])
    return (
        f"{len(table['rows'])} systems, {_many(table['n'], 'utterance')}, {_many(speakers, 'speaker')}; "
        f"the list was fixed before synthesis (manifest {str(table['manifest_sha256'])[:12]})"
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _figures(finished: Finished) -> list[Section | None]:
    return [
        _headline(finished),
        _counted(finished),
        _plots(finished),
        _differences(finished),
        _seeds(finished),
        _scored(finished),
        _failures(finished),
    ]


def _head(measure: Mapping[str, Any]) -> str:
    return measure["title"] + _ARROWS.get(measure["better"], "")


def _best(cell: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return cell["counted"] or cell["scored"]


def _headline_measures(finished: Finished) -> list[Mapping[str, Any]]:
    """The usual ones in their order, else the first that have a better side, else the first."""
    judged = [m for m in finished.measures if m["better"]]
    usual = [m for name in HEADLINE for m in judged if m["name"] == name]
    others = [m for m in judged if m not in usual]
    return (usual + others[: max(0, 3 - len(usual))]) or list(finished.measures)[:3]


def _headline(finished: Finished) -> Section:
    table = finished.table
    judged = _headline_measures(finished)
    tiles = []
    for i, row in enumerate(table["rows"]):
        lines: list[tuple[Child, Child]] = []
        for m in judged:
            cell = row["cells"][m["name"]]
            shown = parts.interval(
                _best(cell), digits=m["digits"], expected=table["n"], flagged=cell["flagged"]
            )
            lines.append((_head(m), shown))
        failed = sum(row["failures"].values())
        note = f"{row['scored']} of {row['n']} scored" + (f", {failed} failed" if failed else "")
        note += _CONTROLS.get(row.get("role", "system"), "")
        tiles.append(parts.Tile(title=row["name"], lines=lines, note=note, colour=i).render())
    body = [parts.grid(tiles, class_="tiles"), *_sentences(finished)]
    lead = "Failed outputs count at their worst value. In brackets: 95 % intervals."
    return Section(id="headline", title="Headline", lead=lead, body=join(body))


def _sentences(finished: Finished) -> list[Html]:
    """For each system, in words, which measures tell it from the one compared with."""
    titles = {m["name"]: m for m in finished.table["measures"]}
    by_system: dict[str, list[Mapping[str, Any]]] = {}
    for d in finished.table["differences"]:
        by_system.setdefault(d["system"], []).append(d)
    lines = []
    for system, found in by_system.items():
        worse, better = [], []
        for d in found:
            m, p = titles[d["measure"]], d["p_holm"]
            if p is None or p >= SIGNIFICANT or not m["better"]:
                continue
            higher = d["paired"]["difference"] > 0
            (better if higher == (m["better"] == "higher") else worse).append(m["title"])
        said = []
        if worse:
            said.append(f"worse than {found[0]['against']} in {', '.join(worse)}")
        if better:
            said.append(f"better than {found[0]['against']} in {', '.join(better)}")
        if all(d["p_holm"] is None for d in found):
            continue  # outside of the declared family: a control
        what = "; ".join(said) or f"not told from {found[0]['against']} by any compared measure"
        lines.append(tag("li", tag("strong", system), f": {what}"))
    if not lines:
        return []
    count = sum(d["p_holm"] is not None for d in finished.table["differences"])
    rule = f"Paired tests, p < {SIGNIFICANT:g} after Holm's adjustment over the declared family of {count}:"
    return [tag("p", rule), tag("ul", *lines, class_="plain")]


def _columns(finished: Finished) -> list[tuple[Mapping[str, Any], str]]:
    """(measure, "plain", "macro" or "robust") in the order of the table."""
    columns = []
    for m in finished.table["measures"]:
        kinds = ("plain", *(("macro",) if m["pooled"] else ()), *(("robust",) if m.get("capped") else ()))
        columns += [(m, kind) for kind in kinds]
    return columns


def _heads(columns: Sequence[tuple[Mapping[str, Any], str]]) -> list[Child]:
    return [
        m["title"] + ("" if kind == "plain" else f" {kind}") + _ARROWS.get(m["better"], "")
        for m, kind in columns
    ]


_FIGURES = {
    "plain": ("counted", "scored"),
    "macro": ("macro", "macro_scored"),
    "robust": ("robust", "robust_scored"),
}


def _figure(cell: Mapping[str, Any], kind: str, *, counted: bool) -> Mapping[str, Any] | None:
    first, second = _FIGURES[kind]
    return (cell.get(first) if counted else None) or cell.get(second)


def _counted(finished: Finished) -> Section:
    table, columns = finished.table, _columns(finished)
    rows: list[list[Child]] = []
    for row in table["rows"]:
        failed = ", ".join(f"{count} {reason}" for reason, count in row["failures"].items())
        cells: list[Child] = [row["name"], f"{row['scored']}/{row['n']}" + (f" ({failed})" if failed else "")]
        for m, kind in columns:
            if m["name"] in table["unavailable"]:
                cells.append(table["unavailable"][m["name"]]["reason"])
                continue
            cell = row["cells"][m["name"]]
            value = _figure(cell, kind, counted=True)
            flagged = cell["flagged"] and kind == "plain"
            cells.append(parts.interval(value, digits=m["digits"], expected=table["n"], flagged=flagged))
        rows.append(cells)
    caption = "All utterances; a failed output counts at the worst value of the measure."
    return Section(
        id="counted",
        title="All figures, failures counted",
        body=parts.table(caption, ["system", "scored/N", *_heads(columns)], rows, label="failures counted"),
    )


def _scored(finished: Finished) -> Section:
    table, columns = finished.table, _columns(finished)
    rows: list[list[Child]] = []
    for row in table["rows"]:
        cells: list[Child] = [row["name"]]
        for m, kind in columns:
            if m["name"] in table["unavailable"]:
                cells.append(table["unavailable"][m["name"]]["reason"])
                continue
            value = _figure(row["cells"][m["name"]], kind, counted=False)
            cells.append(parts.interval(value, digits=m["digits"], expected=table["n"]))
        rows.append(cells)
    caption = "Failed outputs left out. Each figure is over its own n, given where it is not N."
    return Section(
        id="scored",
        title="Scored outputs only",
        body=parts.table(caption, ["system", *_heads(columns)], rows, label="scored only"),
    )


def _plots(finished: Finished) -> Section | None:
    table = finished.table
    names = list(finished.systems)
    plots = [
        figures.intervals(
            _head(m),
            names,
            [_best(row["cells"][m["name"]]) for row in table["rows"]],
            digits=m["digits"],
        )
        for m in finished.measures
    ]
    if not plots:
        return None
    lead = "A dot is the estimate, the bar its 95 % interval; failures counted."
    return Section(id="plots", title="Intervals", lead=lead, body=parts.grid(plots, class_="plots"))


def _differences(finished: Finished) -> Section | None:
    table = finished.table
    if not table["differences"]:
        return None
    titles = {m["name"]: m for m in table["measures"]}
    rows: list[list[Child]] = []
    for d in table["differences"]:
        m, paired = titles[d["measure"]], d["paired"]
        shown = parts.interval(paired, digits=m["digits"], signed=True, key="difference")
        adjusted = parts.p_value(d["p_holm"])
        small = d["p_holm"] is not None and d["p_holm"] < SIGNIFICANT
        rows.append(
            [
                d["system"],
                _head(m),
                shown,
                parts.p_value(paired["p"]),
                tag("strong", adjusted) if small else adjusted,
                str(paired["n"]),
            ]
        )
    against = table["differences"][0]["against"]
    family = sum(d["p_holm"] is not None for d in table["differences"])
    caption = (
        f"System minus {against}, on the same ids. Bold: below {SIGNIFICANT:g} after Holm over the declared "
        f"family of {family}; a dash: outside of the family."
    )
    heads: list[Child] = ["system", "measure", "difference", "p", "p (Holm)", "n"]
    body = parts.table(caption, heads, rows, label="paired differences", tight=True)
    return Section(id="differences", title=f"Paired differences from {against}", body=body)


def _seeds(finished: Finished) -> Section | None:
    """Runs of one system with other training seeds: another source of error than the choice of sentences."""
    titles = {m["name"]: m for m in finished.table["measures"]}
    rows: list[list[Child]] = []
    for found in finished.table.get("seeds") or ():
        m, over = titles[found["measure"]], found["spread"]
        mean = parts.interval(over, digits=m["digits"], key="mean")
        rows.append([found["system"], _head(m), mean, f"{over['sd']:.{m['digits']}f}", str(over["k"])])
    if not rows:
        return None
    caption = "Beside the intervals over utterances, never pooled with them. In brackets: 95 %, Student's t."
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


def _reading(finished: Finished) -> Section:
    table = finished.table
    unit = "speakers" if table["speakers"] > 1 else "utterances"
    interval = (
        f"95 % percentile bootstrap over {unit}, {table['resamples']} resamples, seed {table['seed']}; of "
        "shares (failure rates, votes) Wilson's score interval, of their differences Newcombe's. "
        "It says how far the figure would move with other sentences, not with another training run."
    )
    lines: list[tuple[Child, Child]] = [
        ("Interval", interval),
        ("Counted", _COUNTED),
        ("Corpus, macro, robust", _CORPUS),
        ("Paired", _PAIRED),
        ("↓ ↑", "which way is better; a measure without an arrow describes and does not judge."),
        ("▲", "better than the recording itself: a reason to look, not a triumph."),
        ("Predictors", "DistillMOS, DNSMOS and UTMOS are models that guess, not listening tests."),
        ("Not comparable", "figures from another recognizer, normalizer, resampler or list of sentences."),
    ]
    return Section(id="reading", title="How to read it", body=parts.definitions(lines, class_="reading"))


def _settings(finished: Finished) -> Section:
    from intona import __version__

    table = finished.table
    blocks: list[Child] = []
    for name, settings in table["judges"].items():
        pairs: list[tuple[Child, Child]] = [(str(k), tag("code", str(v))) for k, v in settings.items()]
        blocks += [tag("h3", name), parts.definitions(pairs, class_="settings")]
    for name, missing in table["unavailable"].items():
        blocks.append(tag("p", tag("strong", name), f": {missing['reason']} ({missing['hint']})"))
    extra: list[Child] = [tag("li", str(note)) for note in table.get("notes") or ()]
    extra += [
        tag("li", f"{row['name']}: {row['extra_files']} audio files that no row asks for were left alone")
        for row in table["rows"]
        if row.get("extra_files")
    ]
    tried = table.get("tried")
    about: list[tuple[Child, Child]] = [
        ("manifest sha256", tag("code", str(table["manifest_sha256"]))),
        ("bootstrap", f"{table['resamples']} resamples, seed {table['seed']}"),
        ("configurations tried on other data", "not stated" if tried is None else str(tried)),
        ("page made by", f"intona {__version__}"),
    ]
    body = [
        parts.definitions(about, class_="settings"),
        tag("ul", *extra, class_="plain") if extra else None,
        *blocks,
    ]
    return Section(id="settings", title="Settings", body=join(body))
