"""Judging as units of work, in this process or in several; the results do not depend on which.

A unit is a few rows with all systems and judges, so that what a process has computed for a recording (its
transcript, its pitch) is reused for every system that is compared with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.audio import Audio
from intona.cluster import Engine
from intona.errors import UserError
from intona.evaluation.judges.base import Judge, Score
from intona.evaluation.manifest import Row
from intona.evaluation.records import ScoreRecord
from intona.evaluation.wavs import AudioFile, read_clip


@dataclass(frozen=True, kw_only=True)
class JudgeTask:
    """One judge on one file. `settings` and `key` go into the records."""

    judge: str
    system: str
    row: Row
    path: Path | None
    reference: Path | None
    settings: str
    key: str


Unit = Sequence[JudgeTask]


def judge_units(
    units: Sequence[Unit], judges: Mapping[str, Judge], engine: Engine
) -> Iterator[tuple[JudgeTask, list[ScoreRecord]]]:
    """The records of each task, as they are computed.

    In this process they come task by task, from workers unit by unit.

    Raises:
        UserError: a bad recording, or a worker that died.
    """
    if engine.in_process(len(units)):
        for unit in units:
            yield from judge_unit(unit, judges)
        return
    for results in engine.map(_judge_all, units, state=dict(judges)):
        yield from results


def judge_unit(unit: Unit, judges: Mapping[str, Judge]) -> Iterator[tuple[JudgeTask, list[ScoreRecord]]]:
    """All tasks of a unit; each file is read once, and checked once for speech."""
    clips: dict[Path | None, AudioFile] = {}
    checked: dict[tuple[Path | None, str], AudioFile] = {}
    listener = next((j for j in judges.values() if j.checks_speech), None)
    for task in unit:
        for path in (task.path, task.reference):
            if path not in clips:
                clips[path] = read_clip(path)
        if task.reference is not None and clips[task.reference].audio is None:
            # A bad recording is an error of the input, not of the system under test.
            bad = clips[task.reference]
            raise UserError(f"the recording is {bad.status} {bad.detail}".strip(), where=task.reference)
        place = (task.path, task.row.id)
        if place not in checked:
            checked[place] = _clip_of_speech(clips[task.path], task.row, listener)
        yield task, judge_one(judges[task.judge], task, checked[place], clips[task.reference].audio)


def _clip_of_speech(clip: AudioFile, row: Row, listener: Judge | None) -> AudioFile:
    """The clip, or a failed one if the judge that checks for speech reports that there is none."""
    if clip.audio is None or listener is None:
        return clip
    why = listener.unspoken(clip.audio, row)
    return clip if why is None else AudioFile(status="no speech", audio=None, sha256=clip.sha256, detail=why)


def judge_one(judge: Judge, task: JudgeTask, clip: AudioFile, reference: Audio | None) -> list[ScoreRecord]:
    status: str = clip.status
    if clip.audio is None:
        scores = judge.failed(task.row)
    else:
        scores = judge.judge(clip.audio, task.row, reference)
        if any(s.value is not None and not math.isfinite(s.value) for s in scores.values()):
            # A judge that answers NaN has not scored the utterance: it counts as failed and is not left out.
            status, scores = "score not finite", judge.failed(task.row)
    return [_record(m.name, scores[m.name], task, status, clip.detail) for m in judge.measures]


def _record(measure: str, score: Score, task: JudgeTask, status: str, why: str) -> ScoreRecord:
    detail: dict[str, Any] = dict(score.detail or {})
    if why:
        detail["why"] = why
    return ScoreRecord(
        system=task.system,
        id=task.row.id,
        speaker=task.row.speaker,
        text=task.row.text,
        measure=measure,
        status="undefined" if status == "ok" and score.value is None else status,
        value=score.value,
        numerator=score.value if score.numerator is None else score.numerator,
        denominator=None if score.value is None else (score.denominator or 1.0),
        detail=detail or None,
        judge=f"{task.judge}:{task.settings}",
        key=task.key,
    )


def _judge_all(judges: Mapping[str, Judge], unit: Unit) -> list[tuple[JudgeTask, list[ScoreRecord]]]:
    return list(judge_unit(unit, judges))
