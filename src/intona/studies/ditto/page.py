"""The page of `intona study ditto`: encoders, latents, lengths, steps and guidance, speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.config import read_json
from intona.evaluation.finished import Finished
from intona.evaluation.html import Html, Section, join, parts, tag
from intona.evaluation.stats import ratio_interval
from intona.jsonl import whole_rows
from intona.studies.ditto.plan import (
    ARMS,
    JUDGE_SWEEP,
    MAIN,
    NOBODY,
    ONE_PACE,
    RECORDED,
    SWEEP,
    voice_steps,
)
from intona.studies.engine import claims, claims_list, page, speech
from intona.studies.engine.claims import Claim, Value
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.engine.stages import RESULTS, RUN, WAVS
from intona.synth.record import read_times

Cells = list[str | Html | None]
SENTENCES = 3
MEASURES = ("wer", "cer", "sim_o", "distillmos", "f0_sd", "f0_rmse", "duration_ratio")
SWEPT = (
    ("cer", "CER", 3),
    ("sim_o", "SIM-o", 3),
    ("distillmos", "DistillMOS", 2),
    ("f0_sd", "F0 sd, st", 2),
    ("rtf", "RTF", 2),
)
NAMES = {"wer": "WER", "cer": "CER", "sim_o": "SIM-o", "distillmos": "DistillMOS"}

# arXiv 2604.01247, its DiTTo and Grad-TTS voices on the encoder 1+2.
PUBLISHED = {
    MAIN: {"wer": "0.125", "sim_o": "0.838"},
    "gradtts": {"wer": "0.176", "cer": "0.067", "sim_o": "0.862"},
}
# arXiv 2406.11427: what -> WER %, SIM-o, note.
DITTO = (
    (
        "XL, continuation",
        "1.78",
        ".577",
        "740 M, 55,000 h, LibriSpeech; 10 s in 1.6 s on a GPU",
    ),
    ("XL, across sentences", "2.56", ".627", "the same"),
    ("50 h alone", "9.25", "–", "LibriTTS"),
    ("a predicted length", "5.36 to 5.58", "–", "ablation, smaller models"),
    ("a fixed length", "6.81 to 8.89", "–", "the same: every text in a canvas of one length"),
)
CLAIMS = (
    Claim(
        text="latent diffusion is understood better than Grad-TTS on the same encoder",
        measure="wer",
        arm=MAIN,
        other="gradtts",
        sign=-1,
        published=".125 / .176",
        effect=-0.051,
    ),
    Claim(
        text="and is less like the speaker",
        measure="sim_o",
        arm=MAIN,
        other="gradtts",
        sign=-1,
        published=".838 / .862",
        effect=-0.024,
    ),
    Claim(text="pretraining (1+2) helps speech", measure="cer", arm=MAIN, other="random", sign=-1),
    Claim(text="stage 3 harms speech", measure="cer", arm="1+2+3", other=MAIN, sign=1),
    Claim(text="a trained VAE beats patches (added here)", measure="cer", arm="vae", other=MAIN, sign=-1),
    Claim(text="latents beat mel frames (added here)", measure="cer", arm=MAIN, other="frames", sign=-1),
    Claim(
        text="a predicted length is no worse than the recording's (added here)",
        measure="cer",
        arm=MAIN,
        other=f"{MAIN}-{RECORDED}",
        sign=-1,
    ),
)


@dataclass(frozen=True, kw_only=True)
class DittoResults:
    """Results on disk: complete evaluations, and the errors of the latents alone (`copies`)."""

    plan: StudyPlan
    out: Path
    speech: Finished | None
    latents: Finished | None
    sweep: Finished | None
    copies: Mapping[str, Mapping[str, Any]]

    @property
    def seeds(self) -> list[int]:
        return sorted({j.seed for j in self.plan.jobs if j.name.startswith("voice/") and j.seed is not None})

    def value(self, arm: str, seed: int, measure: str) -> Mapping[str, Any] | None:
        return speech.value(self.speech, arm, seed, measure)


def read(plan: StudyPlan, out: Path) -> DittoResults:
    copies = {
        j.name.split("/")[1]: read_json(folder(out, j.name) / RESULTS)
        for j in plan.jobs
        if j.name.startswith("copy/") and is_done(out, plan, j.name)
    }
    return DittoResults(
        plan=plan,
        out=out,
        speech=speech.read(out),
        latents=speech.read(out, "judge-latents"),
        sweep=next((speech.read(out, j.name) for j in plan.jobs if j.name.startswith(JUDGE_SWEEP)), None),
        copies=copies,
    )


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` from the jobs that are done so far; it lists the others."""
    results = read(plan, out)
    steps = voice_steps(plan)
    voices = sum(j.name.startswith("voice/") for j in plan.jobs)
    sections = [
        _claims(results),
        page.state(plan, outcome),
        speech.voices(
            results.speech,
            MEASURES,
            title="The voices",
            published=PUBLISHED,
            columns=("wer",),
            source=(
                "Published: arXiv 2604.01247, with another corpus, recognizer, size and SIM scale; only the "
                "order compares. SIM-o: similarity to another utterance of the speaker, which is the prompt "
                "of every voice but Grad-TTS. RTF: processor seconds per second of speech, from text to wav, "
                "measured while other jobs ran; intervals over utterances, for Grad-TTS over batches."
            ),
            more=_cells(_factors(results, "said/")),
        ),
        speech.differences(results.speech, MEASURES),
        _learning(results),
        _latents(results),
        _sweep(results),
        speech.audio(results.speech, SENTENCES),
        _published(),
        page.budget(plan, out),
        _reading(results, steps),
    ]
    return page.write(
        sections,
        out,
        title="Study: latent diffusion on the prosody encoder",
        subtitle=page.subtitle(plan, outcome, f"{voices} voices, trained for the same minutes each"),
    )


def _claims(results: DittoResults) -> Section:
    tests = claims.judged(results.speech, CLAIMS, results.seeds)
    claims_list.save(results.out, CLAIMS, tests, paper="2604.01247", command="intona study ditto")
    rows = claims.answers(CLAIMS, tests, results.value, results.seeds, names=NAMES)
    return claims.section(
        rows, published="arXiv 2604.01247, with other data, sizes and scales.", lead=claims.RULE
    )


def _learning(results: DittoResults) -> Section | None:
    """Dev losses of the voices with the main arm's latents, because only those compare."""
    lines: dict[str, list[page.Curve]] = {"diffusion": [], "length": []}
    for job in results.plan.jobs:
        if not job.name.startswith("voice/") or ARMS[job.arm].latents != ARMS[MAIN].latents:
            continue
        path = folder(results.out, job.name) / RUN / "metrics.jsonl"
        rows = [r for r in whole_rows(path) if r.get("kind") == "dev_ema" and "diffusion" in r]
        for name, curves in lines.items():
            if rows:
                values = [{"estimate": float(r[name]), "low": None, "high": None} for r in rows]
                places = [float(r["step"]) for r in rows]
                curves.append(page.Curve(name=f"{job.arm}@{job.seed}", places=places, values=values))
    plots = [
        page.curves(title, "steps", lines[name], [])
        for name, title in (("diffusion", "Squared error of the velocity"), ("length", "Length, nats"))
        if lines[name]
    ]
    if not plots:
        return None
    lead = (
        "Losses on the dev split with averaged weights. They separate the encoders long before the speech is "
        "intelligible. Voices with other latents are left out, because their errors have other scales."
    )
    return Section(
        id="learning", title="Losses during training", lead=lead, body=parts.grid(plots, class_="plots")
    )


def _latents(results: DittoResults) -> Section | None:
    """Errors of the mel, and the evaluation of its speech compared with the vocoder alone."""
    if not results.copies:
        return None
    rows: list[Cells] = [
        [
            name,
            f"{errors['rate']:.2f} Hz x {errors['dim']}",
            parts.interval(errors["nats"], digits=3),
            parts.interval(errors["deviations"], digits=3),
            str(errors["nats"]["n"]),
        ]
        for name, errors in results.copies.items()
    ]
    heads: Cells = ["latents", "rate x width", "mel L1, nats", "in deviations of the bin", "N"]
    caption = "Recordings through the latents, mean absolute error of the log mel; intervals over utterances."
    body: list[Html] = [parts.table(caption, heads, rows, label="latents", tight=True)]
    if results.latents is not None:
        body.append(speech.voices(results.latents, MEASURES, title="").body)
        if (lost := speech.differences(results.latents, MEASURES)) is not None:
            body += [tag("h3", "Differences from the vocoder alone"), lost.body]
    lead = (
        "What the latents lose before anything is predicted: recording, mel, latents, mel, vocoder. Copy "
        "synthesis leaves the latents out. Plain mel frames lose nothing."
    )
    return Section(id="latents", title="The latents alone", lead=lead, body=join(body))


def _sweep(results: DittoResults) -> Section | None:
    title = "Steps, guidance, temperature, length and reference"
    ways = {j.arm: j for j in results.plan.jobs if j.name.startswith(SWEEP)}
    if not ways:
        return None
    if results.sweep is None:
        return Section(id="sweep", title=title, body=tag("p", "Not evaluated yet: see the unfinished jobs."))
    seed = next(iter(ways.values())).seed or 0
    default = ways[RECORDED].arguments["settings"]
    middle = f"steps-{default['steps']}"
    factors = _factors(results, SWEEP)
    plots = []
    for axis in ("steps", "guidance", "temperature"):
        near = [n for n in ways if n.startswith(f"{axis}-") or n == middle]
        near.sort(key=lambda n: ways[n].arguments["settings"][axis])
        places = [float(ways[n].arguments["settings"][axis]) for n in near]
        for measure, name, digits in SWEPT:
            values = [
                factors.get(f"{n}@{seed}")
                if measure == "rtf"
                else speech.value(results.sweep, n, seed, measure)
                for n in near
            ]
            if any(v is not None for v in values):
                line = page.Curve(name=name, places=places, values=values)
                plots.append(page.curves(f"{name} over {axis}", axis, [line], [], digits=digits))
    body = [
        parts.grid(plots, class_="plots"),
        speech.voices(results.sweep, MEASURES, title="", more=_cells(factors)).body,
    ]
    if (differ := speech.differences(results.sweep, MEASURES)) is not None:
        body += [tag("h3", f"Paired differences from {middle}"), differ.body]
    lead = (
        "One voice on dev sentences, so that no setting is chosen on the test set. Settings that are not "
        f"varied: {_named(default)}. {RECORDED}: the length of the recording instead of the predicted one. "
        f"{ONE_PACE}: the mean duration of a symbol times the number of symbols; the published ablation used "
        f"one fixed length for every text. {NOBODY}: without a reference."
    )
    return Section(id="sweep", title=title, lead=lead, body=join(body))


def _factors(results: DittoResults, prefix: str) -> dict[str, Value]:
    """Row of the table -> processor seconds per second of speech, with its interval."""
    factors: dict[str, Value] = {}
    for job in results.plan.jobs:
        if job.name.startswith(prefix) and (rows := read_times(folder(results.out, job.name) / WAVS)):
            ratio = ratio_interval([r["processor"] for r in rows], [r["speech"] for r in rows])
            factors[f"{job.arm}@{job.seed}"] = vars(ratio)
    return factors


def _cells(factors: Mapping[str, Value]) -> dict[str, dict[str, str | Html]]:
    return {"RTF ↓": {row: parts.interval(value, digits=2) for row, value in factors.items()}}


def _published() -> Section:
    heads: Cells = ["DiTTo-TTS", "WER, %", "SIM-o (WavLM)", "with"]
    body = parts.table(
        "arXiv 2406.11427, for orientation: English, other judges, and another embedder for SIM-o.",
        heads,
        [list(row) for row in DITTO],
        label="published",
        tight=True,
    )
    return Section(id="published", title="What DiTTo-TTS reports", body=body)


def _settings(plan: StudyPlan) -> list[str]:
    """The settings with which the voices of the first table spoke."""
    settings = [
        j.arguments["settings"] for j in plan.jobs if j.name.startswith("said/") and "settings" in j.arguments
    ]
    return list(dict.fromkeys(_named(s) for s in settings))


def _named(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _reading(results: DittoResults, steps: Mapping[str, int]) -> Section:
    lines: list[tuple[str, str]] = [
        (
            "Steps",
            "Every voice trained for the same minutes, not the same steps: "
            + ", ".join(f"{a} {n}" for a, n in steps.items())
            + " steps.",
        ),
        ("1, 1+2, 1+2+3, random", "Voices that differ only in the first weights of their text encoder."),
        ("vae, frames", "Voices that differ from 1+2 in what is predicted; the VAE's training is extra."),
        ("Latents", "The VAE and the statistics of the patches come from the training split alone."),
        (
            "Settings",
            "; ".join(_settings(results.plan)) + ": chosen on dev sentences before the test set was spoken.",
        ),
        ("Intervals", "95 %, over test sentences. The spread over training runs is shown by the seeds."),
    ]
    return page.reading(results.plan, lines)
