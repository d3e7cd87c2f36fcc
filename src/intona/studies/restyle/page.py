"""`report.html` of the study: verdict, claims, curves over guidance, the swap, the probes, the sound."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intona.encoders.style import NAMES
from intona.evaluation.finished import recall_wavs
from intona.evaluation.html import Html, Section, parts, tag
from intona.evaluation.html.cards import cards, choose
from intona.studies.engine import claims, claims_list, page, speech
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.restyle import gate, gate_page, probes_page
from intona.studies.restyle.conditions import POLES, WORDS
from intona.studies.restyle.plan import CONTROL, PACED, PUSHED, STYLE, at_guidance
from intona.studies.restyle.published import CLAIMS, COMPARISONS, SOURCE
from intona.studies.restyle.results import COPY, MEASURES, RestyleResults, Value, read
from intona.studies.restyle.verdict import (
    LOST,
    MOVED,
    PRIMARY,
    RULE,
    SHOWN,
    STEERED,
    at_primary,
    style,
    words,
)

Cells = list[str | Html | None]
SHOWN_SENTENCES = 2
REQUESTED = " and ".join(STEERED)
MEANS = {
    "cosine": "cosine of the measured and the requested shift of all attributes",
    "encoder cosine": "the same in the space of the arm's style encoder",
    "sim voice": "SIM with the frozen voice (GE2E)",
    "sim recorded": "SIM with the recorded speaker (GE2E)",
}


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` from the jobs that are done so far; it lists the others."""
    results = read(plan, out)
    sections = [
        _verdict(results),
        _claims(results),
        comparisons(results, COMPARISONS),
        page.state(plan, outcome),
        gate_page.section(results.gate),
        _curves(results),
        moved(results),
        _tradeoff(results),
        _swap(results),
        probes_page.section(results.probes),
        speech.voices(results.speech, MEASURES, title="All voices and controls", source=SOURCE),
        speech.differences(results.speech, MEASURES),
        audio(results),
        page.budget(plan, out),
        _reading(results),
    ]
    models = sum(j.name.startswith("voice/") for j in plan.jobs)
    return page.write(
        sections,
        out,
        title="Study: a style for a frozen voice",
        subtitle=page.subtitle(plan, outcome, f"{models} models at {len(results.scales())} guidance scales"),
    )


def _verdict(results: RestyleResults) -> Section:
    copied, ceiling = results.copy_lost(), results.ceiling()
    rows: list[Cells] = [
        [
            "limits by the posterior",
            parts.interval(copied, digits=3, signed=True),
            words(copied),
            "–",
            parts.interval(ceiling, digits=3, signed=True),
            style(ceiling),
            "the ceiling",
            "–",
        ]
    ]
    for arm, seed in results.arms():
        row = at_primary(arm)
        lost, moved = results.lost(row, seed), results.value(row, seed, "shift")
        rows.append(
            [
                f"{arm}@{seed}",
                parts.interval(lost, digits=3, signed=True),
                words(lost),
                parts.interval(results.beyond_copy(row, seed), digits=3, signed=True),
                parts.interval(moved, digits=3, signed=True),
                style(moved),
                tag("strong", results.verdict(arm, seed, PRIMARY)),
                _elsewhere(results, arm, seed),
            ]
        )
    heads: Cells = [
        "arm@seed",
        "WER lost",
        "words",
        "WER beyond copy synthesis",
        f"share of {REQUESTED}",
        REQUESTED,
        "verdict",
        "at other scales",
    ]
    caption = (
        f"Guidance {PRIMARY:g}. WER lost: minus that of decode(Z_text), paired; beyond copy synthesis: minus "
        "that of decode(Z_audio), the target of the models. At other scales: the scales at which words would "
        "be kept and the style moved; they decide nothing."
    )
    lead = [RULE]
    if results.gate is not None and (warning := gate.warning_of(results.gate)):
        lead.insert(0, f"{warning}.")
    body = parts.table(caption, heads, rows, label="verdict")
    return Section(id="verdict", title="Does style cost the words?", lead=lead, body=body)


def _elsewhere(results: RestyleResults, arm: str, seed: int) -> str:
    others = [g for g in results.scales() if g != PRIMARY]
    return ", ".join(f"{g:g}" for g in others if results.verdict(arm, seed, g) == "refuted") or "none"


def _claims(results: RestyleResults) -> Section:
    seeds = sorted({s for _, s in results.arms()})
    tests = claims.judged(results.speech, CLAIMS, seeds)
    claims_list.save(results.out, CLAIMS, tests, paper="2311.10804", command="intona study restyle")
    rows = claims.answers(CLAIMS, tests, results.value, seeds, names={"wer": "WER"})
    lead = [claims.RULE, f"Arms are named with their guidance scale, such as .g{PRIMARY:g}."]
    return claims.section(rows, published=SOURCE, lead=lead, title="Claims of the paper, and ours")


def comparisons(results: RestyleResults, questions: Sequence[claims.Claim]) -> Section | None:
    rows: list[Cells] = []
    for c in questions:
        seed = min((s for _, s in results.arms()), default=0)
        difference = results.paired(f"{c.arm}@{seed}", f"{c.other}@{seed}", c.measure)
        if difference is None:
            continue
        shares = [parts.interval(results.value(r, seed, "shift"), digits=2) for r in (c.arm, c.other)]
        text = tag("span", c.text, class_="wrap")
        rows.append(
            [f"{c.arm} / {c.other}", text, parts.interval(difference, digits=3, signed=True), *shares]
        )
    if not rows:
        return None
    heads: Cells = ["arms", "the question", "WER, first minus second", "share of the first", "of the second"]
    caption = "One seed, so there is no verdict. Paired over sentences, with 95 % intervals."
    body = parts.table(caption, heads, rows, label="comparisons")
    return Section(id="comparisons", title="Other comparisons, in one seed", body=body)


def _curves(results: RestyleResults) -> Section:
    scales = results.scales()

    def plot(title: str, measure: str) -> Html | None:
        lines = []
        for arm, seed in results.arms():
            values = [results.value(at_guidance(arm, g), seed, measure) for g in scales]
            if any(v is not None for v in values):
                name = arm if seed == 0 else f"{arm}@{seed}"
                lines.append(page.Curve(name=name, places=scales, values=values))
        if not lines:
            return None
        control = results.value(CONTROL, 0, measure)
        if control is not None:
            level = [control] + [None] * (len(scales) - 1)
            name = "decode(Z_text)"
            lines.append(page.Curve(name=name, places=scales, values=level, level=control["estimate"]))
        return page.curves(title, "guidance", lines, ())

    titles = {
        "wer": "Content: WER",
        "cer": "Content: CER",
        "shift": f"Style: share of the requested {REQUESTED}",
        "cosine": "Style: " + MEANS["cosine"],
        "encoder cosine": "Style: " + MEANS["encoder cosine"],
        "sim voice": "Speaker: " + MEANS["sim voice"],
        "sim recorded": "Speaker: " + MEANS["sim recorded"],
    }
    plots = [p for measure, title in titles.items() if (p := plot(title, measure)) is not None]
    lead = (
        "Guidance 0 ignores the style, 1 is as trained. Bands: 95 % over sentences. The first point of "
        "decode(Z_text), continued as a dotted line, is the voice without restyling."
    )
    body = parts.grid(plots, class_="plots") if plots else tag("p", "Nothing has been spoken yet.")
    return Section(id="guidance", title="Content, style and speaker over guidance", lead=lead, body=body)


def moved(results: RestyleResults) -> Section | None:
    others = [a for a in SHOWN if a not in STEERED]
    heads: Cells = ["arm@seed", "guidance", "WER lost", f"share {REQUESTED}", *(f"{a} moved" for a in others)]
    heads += [*MEANS, "failed"]
    rows: list[Cells] = []
    named = [(name, 0, name, "–") for name in (CONTROL, PACED, PUSHED)]
    named += [
        (at_guidance(arm, g), seed, f"{arm}@{seed}", f"{g:g}")
        for arm, seed in results.arms()
        for g in results.scales()
    ]
    for row, seed, name, guidance in named:
        figures = results.figures.get((row, seed))
        if figures is None:
            continue
        cells: Cells = [name, guidance, parts.interval(results.lost(row, seed), digits=3, signed=True)]
        measures = {a: f"moved {a}" for a in others}
        if name == PACED:  # its styles differ in rate, too
            measures["rate"] = "shift rate"
        for measure in ("shift", *measures.values()):
            cells.append(parts.interval(results.value(row, seed, measure), digits=2, signed=True))
        cells += [parts.interval(results.value(row, seed, m), digits=3) for m in MEANS]
        cells.append(f"{len(figures['failures'])}/{len(figures['rows'])}")
        rows.append(cells)
    if not rows:
        return None
    meaning = "; ".join(f"{k}: {v}" for k, v in MEANS.items() if k != v)
    caption = (
        f"Share: of the shift that was requested between the two styles of a sentence. Moved: the measured "
        f"difference, high minus low, in deviations; these attributes were not requested. The rate of "
        f"{PACED} is a share. {meaning}. "
        f"{results.people.get('reason', '')}".strip()
    )
    inner = parts.table(caption, heads, rows, label="what moved", tight=True)
    lead = "In the plots below, the best trade-off of style against words is at the upper left."
    return Section(id="moved", title="Measured shifts and their cost", lead=lead, body=inner)


def _tradeoff(results: RestyleResults) -> Section:
    rows = [(PUSHED, 0, PUSHED, PUSHED)]
    for arm, seed in results.arms():
        for g in results.scales():
            label = f"{arm}@{seed}" if g == PRIMARY else f"{g:g}"  # the colour shows the arm
            rows.append((at_guidance(arm, g), seed, label, arm))
    plots = []
    points = []
    for row, seed, label, arm in rows:
        x, y = results.lost(row, seed), results.value(row, seed, "shift")
        if x is not None and y is not None:
            points.append(page.Point(label=label, arm=arm, x=x, y=y))
    if points:
        name = f"{REQUESTED} against words".capitalize()
        plots.append(page.tradeoff(name, "WER lost ↓", "share moved ↑", points))
    lead = (
        f"Bars: 95 %. The rule requires less than {LOST:g} on the x axis and more than {MOVED:g} on the y "
        f"axis. Points at guidance {PRIMARY:g} are labelled with the arm, the others with their scale. Points"
        "  of one arm are not independent, so the rank correlation has no p value."
    )
    body = parts.grid(plots, class_="plots") if plots else tag("p", "Needs the evaluation.")
    return Section(id="tradeoff", title="Style against words", lead=lead, body=body)


def _swap(results: RestyleResults) -> Section:
    title = "Swap: style {low, high} x speaker {A, B}"
    rows: list[Cells] = []
    why = "Not run yet."
    for (arm, seed), swap in results.swaps.items():
        if not swap["applicable"]:
            why = f"Not applicable: {swap['why']}."
            continue
        for name, value in swap_effects(swap["rows"]).items():
            rows.append([f"{arm}@{seed}", name, *(parts.interval(v, digits=2, signed=True) for v in value)])
    if not rows:
        return Section(id="swap", title=title, body=tag("p", why))
    heads: Cells = ["arm@seed", "measure", "high minus low style", "speaker B minus A"]
    caption = f"Paired over sentences at guidance {PRIMARY:g}; attributes in deviations of the corpus."
    body = parts.table(caption, heads, rows, label="swap", tight=True)
    return Section(id="swap", title=title, body=body)


def swap_effects(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Value | None, Value | None]]:
    """Measure -> main effects of style and speaker, over sentences with all four combinations measured."""
    from intona.evaluation.stats import ratio_interval

    cells: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for r in rows.values():
        if r["z"] is not None:
            cells.setdefault(r["sentence"], {})[r["style"], r["speaker"]] = r
    whole = [c for c in cells.values() if len(c) == 4]
    readers: dict[str, Any] = {n: (lambda r, k=k: r["z"][k]) for k, n in enumerate(NAMES)}
    readers |= {f"SIM with {n}": (lambda r, k=k: r["sim"][k]) for k, n in enumerate("AB")}
    out: dict[str, tuple[Value | None, Value | None]] = {}
    for name, of in readers.items():
        effects: list[list[float]] = [[], []]
        for c in whole:
            v = {key: of(r) for key, r in c.items()}
            if any(x is None for x in v.values()):
                continue
            effects[0].append((v["high", "A"] + v["high", "B"] - v["low", "A"] - v["low", "B"]) / 2)
            effects[1].append((v["low", "B"] + v["high", "B"] - v["low", "A"] - v["high", "A"]) / 2)
        if effects[0]:
            style_effect, speaker_effect = (dataclasses.asdict(ratio_interval(e)) for e in effects)
            out[name] = (style_effect, speaker_effect)
    return out


def audio(results: RestyleResults) -> Section | None:
    finished = results.speech
    if finished is None:
        return None
    names_shown = {at_primary(arm) for arm, _ in results.arms()} | {CONTROL}
    rows = [
        r
        for r in finished.report.rows
        if r.role in ("recording", "copy") or (r.system or r.name.split("@")[0]) in names_shown
    ]
    shown = dataclasses.replace(finished, report=dataclasses.replace(finished.report, rows=tuple(rows)))
    names = {r.name for r in rows}
    wavs = {n: f for n, f in recall_wavs(finished.directory).items() if n in names}
    chosen, rule = choose(shown, SHOWN_SENTENCES)
    both = [f"{i.rsplit('.', 1)[0]}.{pole}" for i in chosen for pole in POLES]
    rule += f" Each in both styles, at guidance {PRIMARY:g}."
    return cards(shown, wavs, list(dict.fromkeys(i for i in both if i in finished.rows)), rule)


def _reading(results: RestyleResults) -> Section:
    lines: list[tuple[str, str]] = [
        ("Arms", "All have the same voice, recordings, seed and minutes of training."),
        ("2-D networks", "Their steps take longer, so they get fewer steps in the same minutes."),
        ("Sentences", sentences(results)),
        ("Rows", "Each sentence is spoken in two styles: of the recordings of the train split with the "
         "lowest and highest pitch of a speaker and otherwise similar prosody. Intervals resample "
         "sentences."),
        ("decode(Z_text)", f"The row {CONTROL}: the frozen voice without restyling. {PACED}: the same at the "
         f"rate of the reference, a control in which only the rate changes. {PUSHED}: its noise pushed along "
         "the pitch axis of the voice to the requested pitch, without a model."),
        ("decode(Z_audio)", f"The row {COPY}: the recording through the posterior and the decoder."),
        ("Wrong speaker", "The SIM of recordings with the frozen voice is that of two speakers. With "
         "a voice of several speakers, the swap changes the speaker itself."),
        ("Share", f"1 is the whole requested shift, 0 none, below 0 the opposite direction; of "
         f"{REQUESTED} alone, the attribute in which the styles differ. Nothing is known about others."),
        ("-own", "Arms trained on synthetic speech of the voice: shifts are in deviations of that speech."),
        ("-words", "Arms with described styles: the share is of what the words request, pitch alone."),
        ("Style embedding", f"Its text tower is {_tower(results)!r}."),
        ("Durations", "Those that the voice predicts; a model changes frames, but not their number."),
    ]  # fmt: skip
    return page.reading(results.plan, lines)


def sentences(results: RestyleResults) -> str:
    if results.conditions is None:
        return "Not chosen yet."
    chosen, usable, whole = results.conditions.of
    low, high = WORDS
    return f"{chosen} of the {usable} with {low} to {high} words among {whole} of the test split."


def _tower(results: RestyleResults) -> str:
    for job in results.plan.jobs:
        if job.name == STYLE:
            return str(job.arguments["overrides"].get("tower", ""))
    return ""
