"""Results of `study meld` so far: figures by arm, seed and measure, and the tests of the claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.config import read_json
from intona.evaluation.finished import Finished
from intona.evaluation.judges.wer import character_edits
from intona.evaluation.normalize import normalizer
from intona.evaluation.stats import choose_clusters, ratio_interval
from intona.studies.engine import claims, speech
from intona.studies.engine.claims import Claim, Sums, Test, Value
from intona.studies.engine.job import folder, is_done
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.stages import RECORDINGS, RESULTS
from intona.studies.meld.jobs import ENDINGS, by_id


@dataclass(frozen=True, kw_only=True)
class MeldResults:
    """Results on disk.

    Args:
        speech: the evaluation, if it is complete.
        transcripts: (arm, seed) -> "recordings" or "own" (the model's speech) -> id -> transcript and errors.
        endings: (arm, seed) -> id -> how the row ended. seconds: of the recordings, by id.
        baselines: name -> id -> transcript and errors; and the constant sentence.
    """

    plan: StudyPlan
    out: Path
    speech: Finished | None
    transcripts: dict[tuple[str, int], Mapping[str, Mapping[str, Mapping[str, Any]]]]
    endings: dict[tuple[str, int], Mapping[str, Mapping[str, Any]]]
    seconds: Mapping[str, float]
    baselines: Mapping[str, Any]

    def seeds(self) -> list[int]:
        return sorted({j.seed for j in self.plan.jobs if j.seed is not None})

    def runs(self) -> list[tuple[str, int]]:
        return [(j.arm, j.seed) for j in self.plan.jobs if j.name.startswith("said/") and j.seed is not None]

    def sums(self, arm: str, seed: int, measure: str) -> Sums:
        """The sums of a measure for each sentence; empty if it was not measured."""
        if measure in COUNTS:
            return counted(self.transcripts.get((arm, seed), {}).get("recordings", {}), measure)
        if measure == "length":
            rows = self.endings.get((arm, seed), {})
            return {i: (rows[i]["seconds"], s) for i, s in self.seconds.items() if i in rows}
        return claims.sums(self.speech, f"{arm}@{seed}", measure) if self.speech else {}

    def value(self, arm: str, seed: int, measure: str) -> Value | None:
        if measure in COUNTS or measure == "length":
            return interval(self.sums(arm, seed, measure))
        return speech.value(self.speech, arm, seed, measure)

    def test(self, claim: Claim) -> Test | None:
        sides = [
            {s: sums for s in self.seeds() if (sums := self.sums(name, s, claim.measure))}
            for name in (claim.arm, claim.other)
        ]
        clusters = None
        if self.speech is not None:
            rows = self.speech.rows
            labels = choose_clusters([rows[i].speaker for i in rows])
            clusters = dict(zip(rows, labels, strict=True))
        return claims.compare(sides[0], sides[1], clusters, paired=claim.paired)


COUNTS = {"stt_wer": ("word_errors", "words"), "stt_cer": ("character_errors", "characters")}


def counted(rows: Mapping[str, Mapping[str, Any]], measure: str) -> Sums:
    """Errors of transcripts and the reference counts, by id."""
    errors, of = COUNTS[measure]
    return {i: (float(r[errors]), float(r[of])) for i, r in rows.items()}


def interval(sums: Sums) -> Value | None:
    """The interval of the ratio of sums; None without sums."""
    if not sums:
        return None
    return vars(ratio_interval([n for n, _ in sums.values()], [d for _, d in sums.values()]))


def read(plan: StudyPlan, out: Path) -> MeldResults:
    """The results of all jobs that are done so far."""
    transcripts, endings, baselines = {}, {}, {}
    for job in plan.jobs:
        kind = job.name.partition("/")[0]
        if kind not in ("heard", "said", "baselines") or not is_done(out, plan, job.name):
            continue
        directory = folder(out, job.name)
        if kind == "baselines":
            baselines = read_json(directory / RESULTS, max_bytes=1 << 26)
        elif job.seed is not None and kind == "heard":
            transcripts[job.arm, job.seed] = read_json(directory / RESULTS, max_bytes=1 << 26)
        elif job.seed is not None:
            endings[job.arm, job.seed] = by_id(directory / ENDINGS)
    return MeldResults(
        plan=plan,
        out=out,
        speech=speech.read(out),
        transcripts=transcripts,
        endings=endings,
        seconds=_seconds(folder(out, "test") / RECORDINGS) if is_done(out, plan, "test") else {},
        baselines=baselines,
    )


def _seconds(recordings: Path) -> dict[str, float]:
    import soundfile

    files = [p for p in sorted(recordings.iterdir()) if p.suffix in (".wav", ".flac", ".ogg", ".mp3")]
    infos = {p.stem: soundfile.info(str(p)) for p in files}
    return {i: info.frames / info.samplerate for i, info in infos.items()}


def understood(results: MeldResults) -> float | None:
    """CER of the joint model's speech over all its seeds, with failures counted."""
    pairs = [p for s in results.seeds() for p in results.sums("joint", s, "cer").values()]
    return sum(n for n, _ in pairs) / sum(d for _, d in pairs) if pairs else None


def agreement(
    transcripts: Mapping[str, Mapping[str, Any]],
    references: Mapping[str, str | None],
    language: str | None,
) -> Sums:
    """Character errors of the model's transcripts against the recognizer's, by id, without empty ones."""
    if language is None:
        return {}
    normalize, edits_by_id = normalizer(language), {}
    for i, row in transcripts.items():
        reference = normalize(references.get(i) or "")
        if reference.strip():
            edits = character_edits(reference, normalize(row["text"]))
            edits_by_id[i] = (float(edits.errors), float(edits.reference))
    return edits_by_id
