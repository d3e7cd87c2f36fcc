"""`report.html` of the study: ours beside the published figures, the trade-off, and what a stage forgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.config import read_json
from intona.evaluation.finished import Finished, read_report, recall_wavs
from intona.evaluation.html import Html, Page, Section, join, parts, tag
from intona.evaluation.html.cards import cards, choose
from intona.study import page
from intona.study.engine import Outcome
from intona.study.job import folder, is_done
from intona.study.plan import Plan
from intona.study.stages import REPORT
from intona.systems.prosody.probe import FOUND
from intona.systems.prosody.published import CLAIMS, PUBLISHED_SPACE, PUBLISHED_SPEECH
from intona.systems.prosody.study import equal_steps

Cells = Sequence[str | Html | None]
SENTENCES = 3
MEASURES = ("wer", "cer", "distillmos", "f0_rmse", "f0_corr", "duration_ratio")


@dataclass(frozen=True, kw_only=True)
class Results:
    """What stands on disk. `space`: (arm, seed) -> the retrieval; `speech` the evaluation, if it is whole."""

    plan: Plan
    out: Path
    space: dict[tuple[str, int], Mapping[str, Any]]
    speech: Finished | None
    chain: Sequence[Mapping[str, Any]]

    def voices(self) -> list[tuple[str, int]]:
        return [(j.arm, j.seed) for j in self.plan.jobs if j.name.startswith("voice/") and j.seed is not None]

    def value(self, arm: str, seed: int, measure: str) -> Mapping[str, Any] | None:
        """An interval: of a recall, text to sound, or of a measure of the speech with failures counted."""
        if measure.startswith("R@"):
            found = self.space.get((encoder_of(arm), seed))
            return None if found is None else found["encoder"][f"{measure} text-audio"]["recall"]
        for row in self.speech.table["rows"] if self.speech else ():
            if row["name"] == f"{arm}@{seed}" and measure in row["cells"]:
                cell = row["cells"][measure]
                return cell["counted"] or cell["scored"]
        return None


def encoder_of(arm: str) -> str:
    from intona.systems.prosody.study import ARMS

    return ARMS[arm].encoder if arm in ARMS else arm


def read(plan: Plan, out: Path) -> Results:
    space, chain = {}, []
    for job in plan.jobs:
        kind, _, rest = job.name.partition("/")
        if kind in ("retrieval", "probe") and is_done(out, plan, job.name) and job.seed is not None:
            found = read_json(folder(out, job.name) / FOUND, max_bytes=1 << 26)
            if kind == "retrieval":
                space[rest.rsplit("/", 1)[0], job.seed] = found
            else:
                chain = found["points"]
    report = folder(out, "judge") / REPORT
    speech = read_report(report) if (report / "table.json").is_file() else None
    return Results(plan=plan, out=out, space=space, speech=speech, chain=chain)


def write(plan: Plan, out: Path, outcome: Outcome) -> Path:
    """`out/report.html` from all that is done so far; the rest is named on it."""
    results = read(plan, out)
    sections = [
        _claims(results),
        page.state(plan, outcome),
        _space(results),
        _speech(results),
        _against(results),
        _tradeoff(results),
        _forgetting(results),
        _directions(results),
        _audio(results),
        page.budget(plan, out),
        _reading(results),
    ]
    arms, seeds = len(plan.arms), len({s for _, s in results.voices()})
    whole = Page(
        title="Study: the prosody encoder's curriculum",
        subtitle=(
            f"{arms} arms, {seeds} seed{'s' if seeds != 1 else ''}, {len(results.voices())} voices of "
            f"{equal_steps(plan)} steps each, {len(outcome.done)} of {len(plan.jobs)} jobs done"
        ),
        sections=[s for s in sections if s is not None],
        footer="This page holds everything it shows: it opens without a network.",
    )
    return whole.write(out / "report.html")


def _claims(results: Results) -> Section:
    rows: list[Cells] = []
    seeds = sorted({s for _, s in results.voices()})
    for claim in CLAIMS:
        shown: list[Html] = []
        along = apart = pairs = 0
        for seed in seeds:
            a = results.value(claim.arm, seed, claim.measure)
            b = results.value(claim.other, seed, claim.measure)
            if a is None or b is None:
                continue
            pairs += 1
            along += claim.sign * (a["estimate"] - b["estimate"]) > 0
            apart += _apart(a, b)
            shown.append(tag("span", f"seed {seed}: {a['estimate']:.3f} / {b['estimate']:.3f}"))
        verdict = (
            f"{along} of {pairs} seeds as claimed; intervals apart in {apart}" if pairs else "not measured"
        )
        rows.append(
            [
                f"{claim.arm} / {claim.other}",
                claim.said,
                _NAMES.get(claim.measure, claim.measure),
                claim.published,
                join(shown, tag("br")) if shown else "–",
                verdict,
            ]
        )
    caption = "The first arm / the second. Published: arXiv 2604.01247, other data, sizes and galleries."
    heads: Cells = ["arms", "the paper's claim", "measure", "published", "here", "verdict"]
    lead = "Counts, not tests: paired tests stand below. A claim whose intervals overlap is open."
    body = parts.table(caption, list(heads), rows, label="claims")
    return Section(id="claims", title="The paper's claims", lead=lead, body=body)


def _apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if any(v.get("low") is None for v in (a, b)):
        return False
    return a["low"] > b["high"] or b["low"] > a["high"]


_NAMES = {"wer": "WER"}


_RECALLS = ("R@1-diff", "R@1-sim", "R@1-sim-spk")


def _space(results: Results) -> Section:
    rows: list[Cells] = []
    galleries: dict[str, None] = {}
    for (arm, seed), found in results.space.items():
        published = PUBLISHED_SPACE.get(arm)
        cells: list[str | Html | None] = [f"{arm}@{seed}"]
        for i, name in enumerate(_RECALLS):
            recall = found["encoder"][f"{name} text-audio"]
            blind = found["speaker_only"][f"{name} text-audio"]["recall"]
            galleries[f"{name} M = {recall['gallery']}, N = {recall['queries']}"] = None
            cells.append(parts.interval(recall["recall"], digits=3))
            if i < 2:
                cells.append(f"{published[i]:.3f}" if published else "–")
            cells.append(f"{recall['chance']:.3f}")
            cells.append("–" if blind is None else f"{blind['estimate']:.3f}")
        rows.append(cells)
    heads: list[str | Html | None] = ["encoder@seed"]
    for i, name in enumerate(_RECALLS):
        heads += [name, *(["published"] if i < 2 else []), "chance", "speaker"]
    caption = (
        f"Text to sound on the test split; 95 % intervals over utterances. {'; '.join(galleries)}: M sounds "
        "in a gallery, N queries. Published: arXiv 2604.01247, table 3; its M is not known, and its speakers "
        "are many. Speaker: queries that know only who speaks."
    )
    body = parts.table(caption, heads, rows, label="retrieval") if rows else tag("p", "Nothing measured yet.")
    return Section(id="space", title="Table 1: the embedding space", body=body)


def _speech(results: Results) -> Section:
    title = "Table 2: the voices"
    if results.speech is None:
        return Section(id="speech", title=title, body=tag("p", "Not judged yet: see what is unfinished."))
    finished = results.speech
    measures = [m for m in finished.table["measures"] if m["name"] in MEASURES]
    arrows = {"lower": " ↓", "higher": " ↑"}
    heads: list[str | Html | None] = ["arm@seed", "scored/N"]
    for m in measures:
        heads.append(m["title"] + arrows.get(m["better"], ""))
        if m["name"] in ("wer", "cer"):
            heads.append("published")
    rows: list[Cells] = []
    for row in finished.table["rows"]:
        published = PUBLISHED_SPEECH.get(row.get("system") or row["name"], {})
        cells: list[str | Html | None] = [row["name"], f"{row['scored']}/{row['n']}"]
        for m in measures:
            if m["name"] in finished.table["unavailable"]:
                cells.append("–")
            else:
                cell = row["cells"][m["name"]]
                cells.append(
                    parts.interval(
                        cell["counted"] or cell["scored"],
                        digits=m["digits"],
                        expected=finished.table["n"],
                        flagged=cell["flagged"],
                    )
                )
            if m["name"] in ("wer", "cer"):
                cells.append(published.get(m["name"], "–"))
        rows.append(cells)
    missing = [f"{n}: {u['reason']} ({u['mend']})" for n, u in finished.table["unavailable"].items()]
    listeners = "; ".join(
        f"{arm} {name} {p[name]}"
        for arm, p in PUBLISHED_SPEECH.items()
        for name in ("MOS", "IntMOS")
        if name in p
    )
    caption = (
        "Failed outputs count at the worst value. Published: Grad-TTS of arXiv 2604.01247, another corpus, "
        f"recognizer and size. Its listeners: {listeners}; DistillMOS, a predictor, is no substitute."
    )
    plots = _over_seeds(finished)
    notes = [tag("p", "Not measured: " + "; ".join(missing))] if missing else []
    body = join([parts.table(caption, heads, rows, label="voices"), *notes, *plots])
    return Section(id="speech", title=title, body=body)


def _over_seeds(finished: Finished) -> list[Html]:
    titles = {m["name"]: m for m in finished.table["measures"]}
    rows: list[Cells] = []
    for found in finished.table.get("seeds") or ():
        m, over = titles[found["measure"]], found["spread"]
        if m["name"] in MEASURES:
            mean = f"{over['mean']:.{m['digits']}f}"
            rows.append([found["system"], m["title"], mean, f"{over['sd']:.{m['digits']}f}", str(over["k"])])
    if not rows:
        return []
    caption = "Over training seeds, beside the intervals over sentences and never pooled with them."
    heads: list[str | Html | None] = ["arm", "measure", "mean of runs", "sd over seeds", "runs"]
    return [
        tag("h3", "Training seeds"),
        parts.table(caption, heads, rows, label="training seeds", tight=True),
    ]


def _against(results: Results) -> Section | None:
    if results.speech is None or not results.speech.table["differences"]:
        return None
    table = results.speech.table
    titles = {m["name"]: m for m in table["measures"]}
    rows: list[Cells] = []
    for d in table["differences"]:
        m = titles[d["measure"]]
        if m["name"] not in MEASURES or d["p_holm"] is None:
            continue  # controls, and what has no better side
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
        f"{len(rows)} comparisons declared before anything was judged."
    )
    heads: list[str | Html | None] = ["arm@seed", "measure", "difference", "p", "p (Holm)", "n"]
    body = parts.table(caption, heads, rows, label="paired differences", tight=True)
    return Section(id="differences", title=f"Paired differences from {against}", body=body)


def _tradeoff(results: Results) -> Section:
    plots = []
    for recall in ("R@1-diff", "R@1-sim"):
        for measure, title in (("wer", "WER"), ("distillmos", "DistillMOS")):
            points = []
            for arm, seed in results.voices():
                x, y = results.value(arm, seed, recall), results.value(arm, seed, measure)
                if x is not None and y is not None:
                    points.append(page.Point(label=f"{arm}@{seed}", arm=arm, x=x, y=y))
            if points:
                arrow = "↓" if measure == "wer" else "↑"
                plots.append(
                    page.tradeoff(f"{title} against {recall}", f"{recall} ↑", f"{title} {arrow}", points)
                )
    lead = (
        "A point is a run: across, what its encoder finds; upward, what its voice is worth. Bars: 95 % "
        "intervals. Runs of one arm are not independent, so the rank correlation comes without a p."
    )
    body = parts.grid(plots, class_="plots") if plots else tag("p", "Needs retrieval and judged voices.")
    return Section(id="tradeoff", title="Does a better space give better speech?", lead=lead, body=body)


def _forgetting(results: Results) -> Section:
    points = results.chain
    lead = (
        "One frozen probe set (the test split) at each kept checkpoint of the chain. Above each stretch the "
        "stage; dotted: chance, or the commonest phoneme. The masked loss is under the heads of stage 1."
    )
    title = "What a stage forgets"
    if not points:
        return Section(id="forgetting", title=title, body=tag("p", "Not probed, or not yet."))
    last: dict[int, int] = {}
    for p in points:
        last[p["place"]] = max(last.get(p["place"], 0), p["step"])
    start = {place: sum(last[q] for q in last if q < place) for place in last}
    names = {p["place"]: str(p["run"]).split("/")[1] for p in points}
    ends = [(names[q], float(start[q] + last[q])) for q in sorted(last)]
    places = [float(start[p["place"]] + p["step"]) for p in points]

    def curve(name: str, level: str = "") -> page.Curve:
        known = [p[level] for p in points if p.get(level) is not None]
        return page.Curve(
            name=name,
            places=places,
            values=[p.get(name) for p in points],
            level=known[-1] if known else None,
        )

    across = "steps of the whole chain"
    plots = [
        page.curves("Retrieval", across, [curve(n, f"{n} chance") for n in ("R@1-diff", "R@1-sim")], ends),
        page.curves(
            "Linear probe of the text states",
            across,
            [curve(n, f"{n} majority") for n in ("phoneme", "next phoneme")],
            ends,
        ),
        page.curves(
            "Masked loss, nats", across, [curve(f"masked {n}") for n in ("phonemes", "pieces")], ends
        ),
    ]
    return Section(id="forgetting", title=title, lead=lead, body=parts.grid(plots, class_="plots"))


def _directions(results: Results) -> Section | None:
    rows: list[Cells] = []
    for (arm, seed), found in results.space.items():
        for name, recall in found["encoder"].items():
            if recall["recall"] is None:
                continue
            blind = found["speaker_only"][name]["recall"]
            rows.append(
                [
                    f"{arm}@{seed}",
                    name,
                    parts.interval(recall["recall"], digits=3),
                    f"{recall['chance']:.3f}",
                    "–" if blind is None else f"{blind['estimate']:.3f}",
                    str(recall["gallery"]),
                    str(recall["queries"]),
                ]
            )
    if not rows:
        return None
    heads: list[str | Html | None] = ["encoder@seed", "recall", "found", "chance", "speaker only", "M", "N"]
    caption = "Both directions and every k. Speaker only: queries that know who speaks and nothing else."
    inner = parts.table(caption, heads, rows, label="all recalls", tight=True)
    body = tag("details", tag("summary", f"{len(rows)} recalls"), inner)
    return Section(id="recalls", title="All recalls", body=body)


def _audio(results: Results) -> Section | None:
    if results.speech is None:
        return None
    wavs = {n: f for n, f in recall_wavs(results.speech.directory).items() if n in results.speech.systems}
    chosen, rule = choose(results.speech, SENTENCES)
    return cards(results.speech, wavs, chosen, rule)


def _reading(results: Results) -> Section:
    lines: list[tuple[str, str]] = [
        ("Arms", "differ in the weights that their text encoder starts from, and in nothing else."),
        ("random", "has the sizes and the pieces of stage 1 and none of its weights."),
        ("frozen-, slow-", "controls: the encoder never moves, or at a tenth of the voice's rate."),
        ("R@1-diff, R@1-sim", "the gallery holds other phonemes, or the same phoneme of other utterances."),
        ("Speaker only", "what R@1-sim gives to someone who recognizes the speaker and hears no prosody."),
        ("Intervals", "95 %, over test sentences: not over training runs, which the seeds show."),
        ("Published", "another corpus of many speakers, other sizes, unknown galleries: for the order only."),
    ]
    what: list[tuple[str, str]] = [(a.name, a.what) for a in results.plan.arms]
    body = join(
        [
            parts.definitions(lines, class_="reading"),
            tag("h3", "Arms"),
            parts.definitions(what, class_="reading"),
        ]
    )
    return Section(id="reading", title="How to read it", body=body)
