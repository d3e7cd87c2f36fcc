"""`report.html` of the study: the paper's claims, speech, how it ends, what is heard; published beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from intona.evaluation.html import Html, Section, join, parts, tag
from intona.studies.engine import claims, page, speech
from intona.studies.engine.claims import RULE, Answer
from intona.studies.engine.plan import Plan
from intona.studies.engine.runner import Outcome
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
from intona.studies.meld.results import Results, agreement, counted, interval, read, understood

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


def write(plan: Plan, out: Path, outcome: Outcome) -> Path:
    """`out/report.html` from all that is done so far; the rest is named on it."""
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
                    "WER of Whisper; its SIM is of another embedder and does not compare. Its joint row is "
                    "the model of both tasks; the others only speak."
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
                title="Runs against one another",
                lead="A point is a run. Runs of one arm are not independent: a rank correlation without a p.",
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


def _claims(results: Results) -> Section:
    """The claims, each by its test, and above them the main one by its own rule."""
    tests = claims.adjusted([results.test(c) for c in CLAIMS])
    verdicts = {(c.measure, c.other): claims.decide(c, t) for c, t in zip(CLAIMS, tests, strict=True)}
    cer = understood(results)
    main = Answer(
        arms="joint / codes, codec",
        said=HEADLINE,
        measure=f"CER of joint {'–' if cer is None else f'{cer:.2f}'}",
        published="the abstract",
        here=(),
        verdict=tag("strong", headline(verdicts, cer)),
    )
    rows = claims.answers(CLAIMS, tests, results.value, results.seeds(), names=NAMES)
    return claims.section(
        [main, *rows],
        published="arXiv 2605.29859; it counts neither silences nor omissions.",
        lead=[RULE, f"{HEADLINE}: {HEADLINE_RULE}"],
    )


def _endings(results: Results) -> Section | None:
    rows: list[Cells] = []
    if results.seconds:
        total = sum(results.seconds.values()) / 60
        rows.append([RECORDING, "–", "–", f"{total:.1f}", "1.00", PUBLISHED_MINUTES[RECORDING]])
    for (arm, seed), found in results.endings.items():
        if not found:
            continue
        short = sum(r["empty"] > 0 or r["seconds"] < AT_ONCE_SECONDS for r in found.values())
        length = results.value(arm, seed, "length")
        rows.append(
            [
                f"{arm}@{seed}",
                f"{sum(r['capped'] > 0 for r in found.values())} of {len(found)}",
                f"{short} of {len(found)}",
                f"{sum(r['seconds'] for r in found.values()) / 60:.1f}",
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
        "Cut at the cap: a sentence did not end by itself in twice its expected time and a second. Ended at "
        f"once: a sentence without a frame, or less than {AT_ONCE_SECONDS:g} s in all. Published minutes: "
        "arXiv 2605.29859, table 5."
    )
    body = parts.table(caption, heads, rows, label="endings", tight=True)
    return Section(id="endings", title="How it ends", body=body)


def _listening(results: Results) -> Section:
    title = "Table 2: listening"
    found = {k: v["recordings"] for k, v in results.heard.items() if "recordings" in v}
    rows: list[Cells] = []
    names = {"nothing": "an empty transcript", "frequent": "always the same training sentence"}
    for key, name in names.items():
        if key in results.baselines:
            wer, cer = (interval(counted(results.baselines[key], m)) for m in ("stt_wer", "stt_cer"))
            rows.append([name, parts.interval(wer, digits=3), "–", parts.interval(cer, digits=3), "–", "–"])
    for (arm, seed), heard in found.items():
        wer, cer = (interval(counted(heard, m)) for m in ("stt_wer", "stt_cer"))
        whole = sum(r["character_errors"] == 0 for r in heard.values())
        rows.append(
            [
                f"{arm}@{seed}",
                parts.interval(wer, digits=3),
                PUBLISHED_STT.get(arm, "–"),
                parts.interval(cer, digits=3),
                f"{whole} of {len(heard)}",
                _beats(results, heard),
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
        "What the models write down of the recordings of the test split, greedily. Published: arXiv "
        f"2605.29859, test-clean / test-other, joint of both tasks, codes of listening alone.{same}"
    )
    lead = "A model that does not listen can still score: the first rows say how much."
    body = parts.table(caption, heads, rows, label="listening")
    return Section(id="listening", title=title, lead=lead, body=body)


def _beats(results: Results, heard: Mapping[str, Mapping[str, Any]]) -> str | Html:
    """CER minus that of the better trivial baseline, paired over sentences."""
    mine = counted(heard, "stt_cer")
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


def _consistency(results: Results) -> Section | None:
    """Its own speech, heard by itself and by the recognizer."""
    if not results.heard or results.speech is None:
        return None
    finished = results.speech
    language = finished.table["judges"].get("asr", {}).get("language")
    rows: list[Cells] = []
    for (arm, seed), heard in results.heard.items():
        own = heard.get("own", {})
        name = f"{arm}@{seed}"
        theirs = {i: finished.hypothesis(name, i) for i in own} if language else {}
        rows.append(
            [
                name,
                parts.interval(interval(counted(own, "stt_cer")), digits=3),
                parts.interval(interval(claims.sums(finished, name, "cer")), digits=3),
                parts.interval(interval(agreement(own, theirs, language)), digits=3),
                str(len(own)),
            ]
        )
    if not rows:
        return None
    heads: Cells = [
        "arm@seed",
        "CER, heard by itself",
        "CER, heard by Whisper",
        "itself against Whisper",
        "N",
    ]
    caption = (
        "The model's own speech against its text; last, its transcript against Whisper's. A model that hears "
        "in its own speech what nobody else does has learnt a code of its own."
    )
    body = parts.table(caption, heads, rows, label="self-consistency", tight=True)
    return Section(id="consistency", title="Does it understand itself?", body=body)


def _reading(results: Results) -> Section:
    lines: Sequence[tuple[str, str]] = [
        ("Arms", "each trained from nothing; same seed, updates, batches and learning rates."),
        ("joint", "one model of both tasks: the first 40 % of the updates speak, then half listen."),
        ("codes, codec", "the separately made encoder: codes of a frozen codebook are all that is seen."),
        ("Prolonged silence", "a second or more that is 35 dB below the loudest, wherever it stands."),
        ("Omission", "three words in a row that the recognizer did not hear."),
        ("Intervals", "95 %, over test sentences: not over training runs, which the seeds show."),
        ("Published", "another corpus of many speakers and far more data: for the order only."),
    ]
    return page.reading(results.plan, lines)
