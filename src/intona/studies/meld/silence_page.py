"""The page of `intona study meld --only silence`: claims, rates of failures, probes, the stop rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.config import read_json
from intona.evaluation.finished import Finished
from intona.evaluation.html import Html, Section, parts, tag
from intona.studies.engine import claims, claims_list, page, speech
from intona.studies.engine.claims import Claim, Sums, Test, Value
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.engine.stages import RESULTS
from intona.studies.meld.endings import EARLY, PROLONGED, QUIET_DB
from intona.studies.meld.jobs import ENDINGS, by_id
from intona.studies.meld.results import interval
from intona.studies.meld.silence_jobs import KINDS, text_of
from intona.studies.meld.silence_plan import ARMS, CLAIMS, DEV_JUDGE, JUDGE, PROBES, TRAINING

Cells = list[str | Html | None]
RATES = {"long_silence": "prolonged silence", "early": "early ending", "late": "late ending"}
TRANSCRIBED = {"omission": "omission", "wer": "WER", "cer": "CER"}
NAMES = RATES | TRANSCRIBED | {f"probe_{n}": f"probe: {what}" for n, what in PROBES.items()}
DEV_LIMIT = 0.5  # CER of the joint model on dev
COMMAND = "intona study meld --only silence"


@dataclass(frozen=True, kw_only=True)
class SilenceResults:
    """Results on disk.

    Args:
        draws: (arm, seed) -> rows of ENDINGS. probes: (arm, seed) -> results of `encoder_probes.probe`.
        recordings: of the test split, measured in the same way. speech, dev: the evaluations.
    """

    plan: StudyPlan
    draws: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]]
    probes: Mapping[tuple[str, int], Mapping[str, Any]]
    recordings: Sequence[Mapping[str, Any]]
    speech: Finished | None
    dev: Finished | None

    def seeds(self) -> list[int]:
        return sorted({j.seed for j in self.plan.jobs if j.seed is not None})

    def sums(self, arm: str, seed: int, measure: str, kind: str = "") -> Sums:
        """Sums of a measure by text over its draws; of the probes by utterance. Empty if not measured."""
        if measure.startswith("probe_"):
            return _probe_sums(self.probes.get((arm, seed), {}), measure.removeprefix("probe_"))
        rows = self.draws.get((arm, seed), ())
        pairs: Iterable[tuple[str, tuple[float, float]]]
        if measure in RATES:
            pairs = ((str(r["text"]), (float(r[measure]), 1.0)) for r in rows)
        elif self.speech is not None:
            by_row = claims.sums(self.speech, f"{arm}@{seed}", measure)
            pairs = ((text_of(row), value) for row, value in by_row.items())
        else:
            return {}
        return _by_text((text, v) for text, v in pairs if text.startswith(kind))

    def value(self, arm: str, seed: int, measure: str) -> Value | None:
        return interval(self.sums(arm, seed, measure))

    def test(self, claim: Claim) -> Test | None:
        sides = [
            {s: sums for s in self.seeds() if (sums := self.sums(arm, s, claim.measure))}
            for arm in (claim.arm, claim.other)
        ]
        return claims.compare(sides[0], sides[1], paired=claim.paired)

    def dev_cer(self) -> float | None:
        """CER of the joint model of the first seed on dev, with failures counted."""
        seed = next((j.seed for j in self.plan.jobs if j.name.startswith("dev-speech/")), None)
        value = None if seed is None else speech.value(self.dev, "joint", seed, "cer")
        return None if value is None else float(value["estimate"])


def _by_text(pairs: Iterable[tuple[str, tuple[float, float]]]) -> Sums:
    out: dict[str, tuple[float, float]] = {}
    for text, (a, b) in pairs:
        before = out.get(text, (0.0, 0.0))
        out[text] = before[0] + a, before[1] + b
    return out


def _probe_sums(results: Mapping[str, Any], name: str) -> Sums:
    """Accuracy as a ratio of sums; R² as the mean of shares, because its total is that of all utterances."""
    if name not in results:
        return {}
    pairs = list(zip(results["ids"], results[name], strict=True))
    if name != "f0":
        return {i: (a, b) for i, (a, b) in pairs if b}
    total = sum(b for _, (_, b) in pairs)
    return {i: (len(pairs) * a / total, 1.0) for i, (a, _) in pairs} if total else {}


def read(plan: StudyPlan, out: Path) -> SilenceResults:
    """The results of all jobs that are done so far."""
    draws, probes, recordings = {}, {}, []
    for job in plan.jobs:
        if not is_done(out, plan, job.name):
            continue
        kind, directory = job.name.partition("/")[0], folder(out, job.name)
        if job.name == TRAINING:
            recordings = list(read_json(directory / RESULTS, max_bytes=1 << 26)["recordings"].values())
        elif kind == "draw" and job.seed is not None:
            draws[job.arm, job.seed] = list(by_id(directory / ENDINGS).values())
        elif kind == "probe" and job.seed is not None:
            probes[job.arm, job.seed] = read_json(directory / RESULTS, max_bytes=1 << 26)
    return SilenceResults(
        plan=plan,
        draws=draws,
        probes=probes,
        recordings=recordings,
        speech=speech.read(out, JUDGE),
        dev=speech.read(out, DEV_JUDGE),
    )


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` and `out/claims.json` from the jobs that are done so far."""
    results = read(plan, out)
    steps = {j.arguments["overrides"]["loop.steps"] for j in plan.jobs if j.name.startswith("voice/")}
    voices = sum(j.name.startswith("voice/") for j in plan.jobs)
    return page.write(
        [
            _claims(results, out),
            page.state(plan, outcome),
            _stop(results),
            _rates(results),
            _kinds(results),
            _probes(results),
            page.budget(plan, out),
            page.reading(
                plan,
                [
                    ("Item", "A text with all its draws; the seeds of the draws are the same for all arms."),
                    (
                        "Silent",
                        f"More than {QUIET_DB:g} dB below the level that 5 % of the training frames exceed.",
                    ),
                    ("Prolonged silence", f"{PROLONGED:g} s or more of silent frames in a row, anywhere."),
                    (
                        "Early ending",
                        f"The speech ends by itself before {EARLY:g} of its expected length: frames per "
                        "letter in training times the letters of the text.",
                    ),
                    ("Late ending", "Not ended at the maximum length: twice the expected time and a second."),
                    ("Omission", "Three consecutive words that Whisper did not recognize in a decoded draw."),
                ],
            ),
        ],
        out,
        title="Study: silence and omissions of a speech language model",
        subtitle=page.subtitle(plan, outcome, f"{voices} models of {' / '.join(sorted(steps))} steps each"),
    )


def _claims(results: SilenceResults, out: Path) -> Section:
    tests = claims.adjusted([results.test(c) for c in CLAIMS])
    claims_list.save(out, CLAIMS, tests, paper="2605.29859", command=COMMAND)
    rows = claims.answers(CLAIMS, tests, results.value, results.seeds(), names=NAMES)
    return claims.section(
        rows,
        published="arXiv 2605.29859, WER on test-clean; it counts neither silences nor omissions.",
        lead=[claims.RULE, "WER is that of the texts that provoke failures."],
    )


def _stop(results: SilenceResults) -> Section:
    cer = results.dev_cer()
    if cer is None:
        text = "Not measured yet."
    else:
        what = "above" if cer > DEV_LIMIT else "at or below"
        text = (
            f"CER of the joint model of the first seed on dev: {cer:.3f}, {what} the limit of {DEV_LIMIT:g}."
        )
    rule = f"Above {DEV_LIMIT:g}, omissions mean little: all get twice the updates, and codes is dropped."
    return Section(id="stop", title="The stop rule", lead=rule, body=tag("p", text))


def _rates(results: SilenceResults) -> Section:
    rows: list[Cells] = []
    if results.recordings:
        n = len(results.recordings)
        cells = [f"{sum(r[m] for r in results.recordings) / n:.3f}" for m in ("long_silence", "early")]
        rows.append(["recordings of the test split", *cells, "–", "–", "–", "–", str(n)])
    for (arm, seed), draws in results.draws.items():
        cells = [
            parts.interval(results.value(arm, seed, m), digits=3) if results.value(arm, seed, m) else "–"
            for m in (*RATES, *TRANSCRIBED)
        ]
        rows.append([f"{arm}@{seed}", *cells, str(len(draws))])
    if not rows:
        return Section(id="rates", title="Failures", body=tag("p", "Nothing yet."))
    heads: Cells = ["arm@seed", *(f"{t} ↓" for t in (*RATES.values(), *TRANSCRIBED.values())), "draws"]
    caption = "Silence and endings: on the mels of all draws. Omission, WER, CER: on the decoded draws."
    return Section(
        id="rates", title="Failures", body=parts.table(caption, heads, rows, label="failures", tight=True)
    )


def _kinds(results: SilenceResults) -> Section | None:
    rows: list[Cells] = []
    for arm in (a for a in ARMS if any(a == n for n, _ in results.draws)):
        for kind in KINDS:
            cells: Cells = [arm, kind]
            for measure in (*RATES, "omission"):
                pairs = [
                    pair
                    for (name, seed) in results.draws
                    if name == arm
                    for pair in results.sums(arm, seed, measure, kind).values()
                ]
                of = sum(b for _, b in pairs)
                cells.append(f"{sum(a for a, _ in pairs) / of:.3f}" if of else "–")
            rows.append(cells)
    if not rows:
        return None
    heads: Cells = ["arm", "texts", *RATES.values(), "omission"]
    body = parts.table("Over all seeds; described, not judged.", heads, rows, label="kinds", tight=True)
    return Section(id="kinds", title="By kind of text", body=body)


def _probes(results: SilenceResults) -> Section | None:
    rows: list[Cells] = []
    for (arm, seed), of in results.probes.items():
        values = [results.value(arm, seed, f"probe_{n}") for n in PROBES]
        cells = [parts.interval(v, digits=3) if v else "–" for v in values]
        rows.append([f"{arm}@{seed}", str(of["dim"]), *cells])
    if not rows:
        return None
    heads: Cells = ["arm@seed", "dimensions", "phoneme accuracy ↑", "F0, R² ↑", "speaker accuracy ↑"]
    caption = (
        "Ridge regression on train, penalty chosen on dev, scored on test. joint: the states of its prenet "
        "without dropout. codes: the nearest code of the frozen codebook as a one-hot vector. The speaker, "
        "from the mean over an utterance, only where there are several."
    )
    return Section(
        id="probes",
        title="What the encoders represent",
        body=parts.table(caption, heads, rows, label="probes"),
    )
