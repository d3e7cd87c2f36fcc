"""The page of `intona study restyle --only recordings`: claims, the swap of readers, axes, probes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intona.encoders.style import NAMES
from intona.evaluation.html import Html, Section, join, parts, tag
from intona.evaluation.stats import choose_clusters
from intona.evaluation.trainings import Sums
from intona.studies.engine import claims, claims_list, page, speech
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.restyle import gate_page, metrics, probes_page
from intona.studies.restyle import page as study_page
from intona.studies.restyle.own_axes import AMOUNT, AXES
from intona.studies.restyle.plan import CONTROL
from intona.studies.restyle.published import SOURCE
from intona.studies.restyle.recordings import (
    CLAIMS,
    COMPARISONS,
    FIRST,
    SWAPPED,
    VOICE_TEXT,
    swapped_rows,
)
from intona.studies.restyle.results import MEASURES, RestyleResults, Value, read
from intona.studies.restyle.speakers import similarity
from intona.studies.restyle.verdict import PRIMARY, STEERED

Cells = list[str | Html | None]
REQUESTED = STEERED[0]


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` from the jobs that are done so far; it lists the others."""
    results = read(plan, out)
    sections = [
        claims_section(results),
        study_page.comparisons(results, COMPARISONS),
        page.state(plan, outcome),
        gate_page.section(results.gate),
        study_page.moved(results),
        swap_section(results),
        axes_section(results),
        probes_page.section(results.probes),
        speech.voices(results.speech, MEASURES, title="All voices and controls", source=SOURCE),
        speech.differences(results.speech, MEASURES),
        study_page.audio(results),
        page.budget(plan, out),
        _reading(results),
    ]
    models = sum(j.name.startswith("voice/") for j in plan.jobs)
    return page.write(
        sections,
        out,
        title="Study: a style for a frozen voice, towards recordings",
        subtitle=page.subtitle(plan, outcome, f"{models} models"),
    )


def claims_section(results: RestyleResults) -> Section:
    """The claims of `recordings.CLAIMS`; they are also written to OUT/claims.json."""
    seeds = sorted({s for _, s in results.arms()})
    tests = claims.adjusted([test_of(results, c, seeds) for c in CLAIMS])
    command = "intona study restyle --only recordings"
    claims_list.save(results.out, CLAIMS, tests, paper="2311.10804", command=command)

    def value(row: str, seed: int, measure: str) -> Value | None:
        return results.value(row, 0 if row == CONTROL else seed, measure)

    names = {"wer": "WER", "shift": f"share of the requested {REQUESTED}"}
    rows = claims.answers(CLAIMS, tests, value, seeds, names=names)
    lead = [
        claims.RULE,
        f"Arms are named with their guidance scale, .g{PRIMARY:g}; {CONTROL} is decode(Z_text), which is not "
        f"trained, so every training is compared with the same one. Only {REQUESTED} was requested: nothing "
        "here is about another attribute. All speech is of one tuned decoder, so no claim is about others.",
    ]
    return claims.section(rows, published=SOURCE, lead=lead, title="Claims of the paper, and ours")


def test_of(results: RestyleResults, claim: claims.Claim, seeds: Sequence[int]) -> claims.Test | None:
    """The test of a claim about WER, over sentences with both styles, or about the share of the shift."""
    rows = (claim.arm, claim.other)
    sides = [{s: v for s in seeds if (v := _sums(results, r, s, claim.measure))} for r in rows]
    clusters = None
    if claim.measure != "shift" and results.speech is not None:
        ids = list(results.speech.rows)
        clusters = dict(zip(ids, choose_clusters([results.speech.rows[i].speaker for i in ids]), strict=True))
    return claims.compare(sides[0], sides[1], clusters, paired=claim.paired)


def _sums(results: RestyleResults, row: str, seed: int, measure: str) -> Sums:
    """The parts of a measure by item; those of the control are the same for every seed."""
    seed = 0 if row == CONTROL else seed
    if measure != "shift":
        return {} if results.speech is None else claims.sums(results.speech, f"{row}@{seed}", measure)
    figures = results.figures.get((row, seed))
    if figures is None or results.conditions is None:
        return {}
    return metrics.shift_sums(figures["rows"], results.conditions, REQUESTED)


# --- described: the swap of readers, and the axes ----------------------------------------------------------


def readers_of(results: RestyleResults) -> list[str]:
    """Names of the readers in the plan, the first one included."""
    names = (j.name for j in results.plan.jobs)
    return [n.rsplit("-", 1)[1] for n in names if n.startswith("encoder/decoder-")]


def swap_section(results: RestyleResults) -> Section:
    title = "Swap: style x speaker, with a tuned decoder for each reader"
    readers = readers_of(results)
    if len(readers) < 2:
        body = tag("p", "There is one reader. Name prepared corpora of others with --readers.")
        return Section(id="swap", title=title, body=body)
    seed = min((s for _, s in results.arms()), default=0)
    table: list[Cells] = []
    for latents, first in swapped_rows(FIRST).items():
        for reader in readers:
            row = swapped_rows(reader)[latents]
            of_seed = seed if latents == SWAPPED else 0
            if (row, of_seed) not in results.figures:
                continue
            values = [results.value(row, of_seed, f"sim {n}") for n in readers]
            style = results.value(row, of_seed, "shift") if latents == SWAPPED else None
            speakers = None
            if reader != FIRST:
                speakers = results.paired(f"{row}@{of_seed}", f"{first}@{of_seed}", "wer")
            added = results.paired(f"{row}@{of_seed}", f"{swapped_rows(reader)['text']}@0", "wer")
            table.append(
                [
                    latents,
                    reader,
                    *(parts.interval(v, digits=3) for v in values),
                    parts.interval(results.value(row, of_seed, "sim voice"), digits=3),
                    parts.interval(style, digits=2, signed=True),
                    parts.interval(results.value(row, of_seed, "wer"), digits=3),
                    "–" if latents == "text" else parts.interval(added, digits=3, signed=True),
                    parts.interval(speakers, digits=3, signed=True),
                ]
            )
    if not table:
        return Section(id="swap", title=title, body=tag("p", "Nothing has been spoken yet."))
    heads: Cells = ["latents of", "decoder of", *(f"SIM with {n}" for n in readers), "SIM with the voice"]
    heads += [f"share of {REQUESTED}", "WER", "WER minus that of text", f"WER minus that of {FIRST}"]
    caption = (
        f"{SWAPPED} at guidance {PRIMARY:g}, one training and one decoder per reader: described, not judged. "
        f"Reader {FIRST} is that of the corpus that the model is trained on. Recordings: Z_audio of the test "
        f"recordings of {FIRST}. SIM: GE2E, with the mean vector of the reader's training recordings"
        f"{_between(results, readers)}."
    )
    body = [parts.table(caption, heads, table, label="swap of readers", tight=True)]
    body += [effects for r in readers[1:] if (effects := _effects(results, r, seed)) is not None]
    return Section(id="swap", title=title, body=join(body))


def _between(results: RestyleResults, readers: Sequence[str]) -> str:
    vectors: Mapping[str, Any] = results.people.get("readers", {})
    pairs = [
        f"{FIRST} and {n} {value:.2f}"
        for n in readers[1:]
        if (value := similarity(vectors.get(FIRST), vectors.get(n))) is not None
    ]
    return f"; between these vectors: {', '.join(pairs)}" if pairs else ""


def _effects(results: RestyleResults, other: str, seed: int) -> Html | None:
    """Main effects of the style and of the decoder on the attributes and on both similarities."""
    effects = study_page.swap_effects(swap_cells(results, other, seed))
    rows: list[Cells] = [
        [
            name.replace("SIM with B", f"SIM with {other}"),
            *(parts.interval(v, digits=2, signed=True) for v in both),
        ]
        for name, both in effects.items()
    ]
    if not rows:
        return None
    heads: Cells = ["measure", "high minus low style", f"decoder {other} minus {FIRST}"]
    caption = (
        f"{SWAPPED} at guidance {PRIMARY:g}, paired over sentences with all four combinations measured; "
        "attributes in deviations of the corpus. Only pitch was requested."
    )
    return parts.table(caption, heads, rows, label=f"effects of style and of reader {other}", tight=True)


def swap_cells(results: RestyleResults, other: str, seed: int) -> dict[str, dict[str, Any]]:
    """The rows of `study_page.swap_effects`: the model's speech by the first reader's decoder and another."""
    cells: dict[str, dict[str, Any]] = {}
    if results.conditions is None:
        return cells
    for speaker, reader in (("A", FIRST), ("B", other)):
        figures = results.figures.get((swapped_rows(reader)[SWAPPED], seed), {"rows": {}})
        for id, row in figures["rows"].items():
            style = results.conditions.rows[id]
            cells[f"{id}.{speaker}"] = {
                "sentence": style.sentence,
                "style": style.pole,
                "speaker": speaker,
                "z": row.get("z"),
                "sim": [row.get(f"sim {FIRST}"), row.get(f"sim {other}")],
            }
    return cells


def axes_section(results: RestyleResults) -> Section | None:
    """One row per axis: the share of what was requested, what else moved, and the cost in words."""
    measured = list(dict.fromkeys(AXES.values()))
    table: list[Cells] = []
    for axis, attribute in AXES.items():
        row = f"own-{axis}"
        if (row, 0) not in results.figures:
            continue
        moved = [results.value(row, 0, f"moved {a}") for a in measured]
        table.append(
            [
                axis,
                parts.interval(results.value(row, 0, f"shift {attribute}"), digits=2, signed=True),
                *(parts.interval(v, digits=2, signed=True) for v in moved),
                parts.interval(results.paired(f"{row}@0", f"{VOICE_TEXT}@0", "wer"), digits=3, signed=True),
                parts.interval(
                    results.paired(f"{row}@0", f"{VOICE_TEXT}@0", "distillmos"), digits=2, signed=True
                ),
                parts.interval(results.value(row, 0, "sim voice"), digits=3),
                "–" if (fit := results.figures[row, 0].get("fit")) is None else f"{fit:.2f}",
            ]
        )
    if not table:
        return None
    heads: Cells = ["requested", "share of it", *(f"{a} moved" for a in measured)]
    heads += ["WER lost", "DistillMOS lost", "SIM with the voice", "R² of the axis"]
    caption = (
        f"The voice's own speech and decoder, without a model; one attribute down and up by {AMOUNT:g} "
        "deviation of the recordings, the others unchanged. Moved: high minus low, in deviations. Lost: "
        f"minus {VOICE_TEXT}, paired. Described, not judged."
    )
    body = parts.table(caption, heads, table, label="axes of the voice", tight=True)
    return Section(id="axes", title="The voice's own speech along four axes", body=body)


def _reading(results: RestyleResults) -> Section:
    lines: list[tuple[str, str]] = [
        ("Trainings", "Every arm has the same voice, posterior, decoder, recordings and minutes; the seeds "
         "are those of the models alone."),
        ("Sentences", study_page.sentences(results)),
        ("Rows", "Each sentence is spoken in two styles, of recordings of the train split with low and with "
         "high pitch and otherwise similar prosody."),
        (CONTROL, "decode(Z_text) by the tuned decoder: no model. The same audio in both styles, so that its "
         "share of the shift is 0."),
        (VOICE_TEXT, "decode(Z_text) by the decoder of the voice."),
        ("Copy synthesis, gate", "The recording through the posterior and the tuned decoder."),
        ("Share", f"1 is the whole requested shift of {REQUESTED}, 0 none, below 0 the opposite direction."),
        ("Attributes", ", ".join(NAMES) + ": see docs/systems/restyle.md."),
    ]  # fmt: skip
    return page.reading(results.plan, lines)
