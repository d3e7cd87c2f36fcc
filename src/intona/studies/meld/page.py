"""The page of `intona study meld`: the paper's claims, speech, how it ends, recognition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intona.evaluation.html import Html, Section, join, parts, tag
from intona.studies.engine import claims, claims_list, page, speech
from intona.studies.engine.claims import RULE, Answer
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.meld.jobs import AT_ONCE_SECONDS
from intona.studies.meld.plan import FAMILY
from intona.studies.meld.published import (
    CLAIMS,
    HEADLINE,
    HEADLINE_RULE,
    PUBLISHED_MINUTES,
    PUBLISHED_SPEECH,
    PUBLISHED_STT,
    headline,
)
from intona.studies.meld.results import MeldResults, agreement, counted, interval, read, understood

Cells = list[str | Html | None]
SENTENCES = 3
MEASURES = (
    "wer",
    "cer",
    "sim_o",
    "long_silence",
    "longest_silence",
    "omission",
    "cut_off",
    "repeat",
    "runaway",
    "trailing_silence",
    "ar_failure",
)
NAMES = {
    "wer": "WER",
    "sim_o": "SIM-o",
    "long_silence": "prolonged silence",
    "length": "seconds / recording's",
    "stt_wer": "WER, listening",
}
RECORDING = "recording"


def write(plan: StudyPlan, out: Path, outcome: StudyOutcome) -> Path:
    """Write `out/report.html` from the jobs that are done so far; it lists the others."""
    results = read(plan, out)
    steps = {j.arguments["overrides"]["loop.steps"] for j in plan.jobs if j.name.startswith("voice/")}
    voices = sum(j.name.startswith("voice/") for j in plan.jobs)
    return page.write(
        [
            _claims(results),
            page.state(plan, outcome),
            speech.voices(
                results.speech,
                MEASURES,
                title="Table 1: speaking",
                published=PUBLISHED_SPEECH,
                columns=("wer", "sim_o"),
                source=(
                    "Published: arXiv 2605.29859, LibriSpeech test-clean, 960 hours, some 200 M parameters, "
                    "WER of Whisper; SIM does not compare, because its embedder is another one. The joint "
                    "row is the model of both tasks; the others only speak."
                ),
            ),
            _endings(results),
            _listening(results),
            _consistency(results),
            claims.against(
                results.speech,
                list(dict.fromkeys(a for a, _ in results.runs())),
                "joint",
                results.seeds(),
                FAMILY,
            ),
            speech.tradeoffs(
                [("stt_wer", "wer"), ("long_silence", "omission")],
                results.runs(),
                results.value,
                title="Trade-offs between measures",
                lead="Each point is a run. Runs of one arm are not independent, so there is no p value.",
                names=NAMES,
                lower=("wer", "stt_wer", "long_silence", "omission"),
            ),
            speech.audio(results.speech, SENTENCES),
            page.budget(plan, out),
            _reading(results),
        ],
        out,
        title="Study: encoder and language model trained together",
        subtitle=page.subtitle(plan, outcome, f"{voices} models of {' / '.join(sorted(steps))} steps each"),
    )


def _claims(results: MeldResults) -> Section:
    """The claims with their tests; above them the main claim, which has a rule of its own."""
    tests = claims.adjusted([results.test(c) for c in CLAIMS])
    verdicts = {(c.measure, c.other): claims.decide(c, t) for c, t in zip(CLAIMS, tests, strict=True)}
    cer = understood(results)
    main = Answer(
        arms="joint / codes, codec",
        claim=HEADLINE,
        measure=f"CER of joint {'–' if cer is None else f'{cer:.2f}'}",
        published="the abstract",
        here=(),
        verdict=tag("strong", headline(verdicts, cer)),
    )
    claims_list.save(results.out, CLAIMS, tests, paper="2605.29859", command="intona study meld")
    rows = claims.answers(CLAIMS, tests, results.value, results.seeds(), names=NAMES)
    return claims.section(
        [main, *rows],
        published="arXiv 2605.29859, which counts neither silences nor omissions.",
        lead=[RULE, f"{HEADLINE}: {HEADLINE_RULE}"],
    )


def _endings(results: MeldResults) -> Section | None:
    rows: list[Cells] = []
    if results.seconds:
        total = sum(results.seconds.values()) / 60
        rows.append([RECORDING, "–", "–", f"{total:.1f}", "1.00", PUBLISHED_MINUTES[RECORDING]])
    for (arm, seed), rows_by_id in results.endings.items():
        if not rows_by_id:
            continue
        short = sum(r["empty"] > 0 or r["seconds"] < AT_ONCE_SECONDS for r in rows_by_id.values())
        length = results.value(arm, seed, "length")
        rows.append(
            [
                f"{arm}@{seed}",
                f"{sum(r['capped'] > 0 for r in rows_by_id.values())} of {len(rows_by_id)}",
                f"{short} of {len(rows_by_id)}",
                f"{sum(r['seconds'] for r in rows_by_id.values()) / 60:.1f}",
                parts.interval(length),
                PUBLISHED_MINUTES.get(arm, "–"),
            ]
        )
    if not rows:
        return None
    heads: Cells = [
        "arm@seed",
        "cut at the cap",
        "ended at once",
        "minutes",
        "of the recording",
        "published min",
    ]
    caption = (
        "Cut at the cap: a sentence did not end by itself within twice its expected time plus one second. "
        f"Ended at once: a sentence without a frame, or a row of less than {AT_ONCE_SECONDS:g} s. Published "
        "minutes: arXiv 2605.29859, table 5."
    )
    body = parts.table(caption, heads, rows, label="endings", tight=True)
    return Section(id="endings", title="How the speech ends", body=body)


def _listening(results: MeldResults) -> Section:
    title = "Table 2: listening"
    transcripts = {k: v["recordings"] for k, v in results.transcripts.items() if "recordings" in v}
    rows: list[Cells] = []
    names = {"nothing": "an empty transcript", "frequent": "always the same training sentence"}
    for key, name in names.items():
        if key in results.baselines:
            wer, cer = (interval(counted(results.baselines[key], m)) for m in ("stt_wer", "stt_cer"))
            rows.append([name, parts.interval(wer, digits=3), "–", parts.interval(cer, digits=3), "–", "–"])
    for (arm, seed), rows_by_id in transcripts.items():
        wer, cer = (interval(counted(rows_by_id, m)) for m in ("stt_wer", "stt_cer"))
        whole = sum(r["character_errors"] == 0 for r in rows_by_id.values())
        rows.append(
            [
                f"{arm}@{seed}",
                parts.interval(wer, digits=3),
                PUBLISHED_STT.get(arm, "–"),
                parts.interval(cer, digits=3),
                f"{whole} of {len(rows_by_id)}",
                _beats(results, rows_by_id),
            ]
        )
    if not rows:
        return Section(id="listening", title=title, body=tag("p", "Not measured yet."))
    heads: Cells = [
        "arm@seed",
        "WER ↓",
        "published",
        "CER ↓",
        "without an error",
        "CER minus the best baseline",
    ]
    sentence = results.baselines.get("sentence")
    same = f' The constant sentence: "{sentence}".' if sentence else ""
    caption = (
        "Greedy transcripts of the recordings of the test split. Published: arXiv 2605.29859, test-clean / "
        f"test-other; joint is the model of both tasks, codes the model of recognition alone.{same}"
    )
    lead = "The first rows show what a transcriber that does not listen would score."
    body = parts.table(caption, heads, rows, label="listening")
    return Section(id="listening", title=title, lead=lead, body=body)


def _beats(results: MeldResults, transcripts: Mapping[str, Mapping[str, Any]]) -> str | Html:
    """CER minus that of the better baseline, paired over sentences."""
    mine = counted(transcripts, "stt_cer")
    trivial = [
        counted(results.baselines[n], "stt_cer") for n in ("nothing", "frequent") if n in results.baselines
    ]
    if not trivial or not mine:
        return "–"
    best = min(trivial, key=lambda s: sum(n for n, _ in s.values()))
    test = claims.compare({0: mine}, {0: best})
    if test is None:
        return "–"
    shown = parts.interval(vars(test.paired), digits=3, signed=True, key="difference")
    return join([shown, f" p {parts.p_value(test.paired.p)}"])


def _consistency(results: MeldResults) -> Section | None:
    """The model's speech, transcribed by itself and by the recognizer."""
    if not results.transcripts or results.speech is None:
        return None
    finished = results.speech
    language = finished.table["judges"].get("asr", {}).get("language")
    rows: list[Cells] = []
    for (arm, seed), by_kind in results.transcripts.items():
        self_transcripts = by_kind.get("own", {})
        name = f"{arm}@{seed}"
        asr_transcripts = {i: finished.hypothesis(name, i) for i in self_transcripts} if language else {}
        rows.append(
            [
                name,
                parts.interval(interval(counted(self_transcripts, "stt_cer")), digits=3),
                parts.interval(interval(claims.sums(finished, name, "cer")), digits=3),
                parts.interval(interval(agreement(self_transcripts, asr_transcripts, language)), digits=3),
                str(len(self_transcripts)),
            ]
        )
    if not rows:
        return None
    heads: Cells = [
        "arm@seed",
        "CER by itself",
        "CER by Whisper",
        "itself against Whisper",
        "N",
    ]
    caption = (
        "Transcripts of the model's speech against its text; in the last column the model's transcript "
        "against Whisper's. A model that understands its speech better than Whisper does has learned a "
        "private code."
    )
    body = parts.table(caption, heads, rows, label="self-consistency", tight=True)
    return Section(id="consistency", title="Does it understand itself?", body=body)


def _reading(results: MeldResults) -> Section:
    lines: Sequence[tuple[str, str]] = [
        ("Arms", "Each is trained from scratch with the same seed, updates, batches and learning rates."),
        ("joint", "One model of both tasks: speech alone for the first 40 % of the updates, then both."),
        ("codes, codec", "A separately trained encoder: the model sees only codes of a frozen codebook."),
        ("Prolonged silence", "A second or more at 35 dB below the loudest part, anywhere in the output."),
        ("Omission", "Three consecutive words that the recognizer did not recognize."),
        ("Intervals", "95 %, over test sentences. The spread over training runs is shown by the seeds."),
        ("Published", "Another corpus with many speakers and far more data: only the order compares."),
    ]
    return page.reading(results.plan, lines)
