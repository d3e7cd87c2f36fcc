"""What the plans of all studies share: checked requests, the corpus, the test set, speech, evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.data.prepared import Prepared
from intona.errors import UserError, unknown
from intona.studies.engine.plan import StudyJob

STAGES = "intona.studies.engine.stages"
TEST = "test"


@dataclass(frozen=True, kw_only=True)
class StudyCorpus:
    """Prepared data.

    Args:
        at: arguments of every job that reads the data: its directory and fingerprint. Other data in the same
            directory makes another job.
        language: the language whose speech is judged.
        several: the data has further languages, which voices are trained on but not judged in.
    """

    prepared: Prepared
    at: Mapping[str, str]
    language: str
    several: bool = False


def chosen(
    study: str,
    every: Collection[str],
    *,
    arms: Sequence[str],
    repeat: Sequence[str],
    seeds: Sequence[int],
    size: str,
    sizes: Collection[str],
) -> list[str]:
    """The requested arms, in the order of the study.

    Raises:
        UserError: an unknown arm or size, no arm, no seed, an arm or seed twice.
    """
    where = f"study {study}"
    if size not in sizes:
        unknown("size", size, sizes, where=where)
    for name in (*arms, *repeat):
        if name not in every:
            unknown("arm", name, every, where=where)
    if not arms or not seeds or len(set(seeds)) != len(seeds) or len(set(arms)) != len(arms):
        raise UserError("need at least one arm and one seed, none of them twice", where=where)
    return [n for n in every if n in arms]


def corpus(data: Path, *, aligned: bool) -> StudyCorpus:
    """Open prepared data and check that each split has utterances.

    Raises:
        UserError: not prepared, an empty split, no phone durations where they are needed.
    """
    prepared = Prepared.open(data)
    for split in ("train", "dev", "test"):
        if not (items := prepared.items(split)):
            raise UserError(f'no utterance in the split "{split}"', where=data)
        if aligned and any(prepared.durations(i) is None for i in items):
            raise UserError("utterances without phone durations", where=data, hint="run `intona align DATA`")
    spoken = Counter(i.language for i in prepared.items("test"))
    return StudyCorpus(
        prepared=prepared,
        at={"data": str(Path(data).resolve()), "corpus": prepared.fingerprint},
        language=spoken.most_common(1)[0][0],
        several=len(prepared.languages) > 1,
    )


def test_job(
    corpus: StudyCorpus, *, sentences: int, minutes: float, name: str = TEST, **more: Any
) -> StudyJob:
    """Fix the test set before anything is spoken. `more`: arguments of `stages.declare_test`."""
    only = {"language": corpus.language} if corpus.several else {}
    return StudyJob(
        name=name,
        call=f"{STAGES}:declare_test",
        arguments={**corpus.at, "sentences": sentences, **only, **more},
        minutes=minutes,
    )


def speech_job(
    arm: str,
    seed: int,
    *,
    voice: str,
    minutes: float,
    name: str = "",
    test: str = TEST,
    call: str = f"{STAGES}:speak",
    **more: Any,
) -> StudyJob:
    """The test set spoken by the voice of job `voice`.

    Args:
        name: of the job, said/ARM/SEED by default.
        more: arguments of `call`.
    """
    return StudyJob(
        name=name or f"said/{arm}/{seed}",
        call=call,
        arguments={"voice": voice, "test": test, "seed": 0, **more},
        needs=(voice, test),
        arm=arm,
        seed=seed,
        minutes=minutes,
    )


def judge_job(
    corpus: StudyCorpus,
    speech: Sequence[str],
    *,
    measures: Sequence[str],
    family: Sequence[str],
    asr: str,
    against: Sequence[str],
    minutes: float,
    name: str = "judge",
    test: str = TEST,
    **more: Any,
) -> StudyJob:
    """One evaluation of all speech.

    Args:
        speech: the jobs that speak.
        minutes: per row of the evaluation.
        more: arguments of `stages.judge`.
    """
    return StudyJob(
        name=name,
        call=f"{STAGES}:judge",
        arguments={
            "test": test,
            "measures": list(measures),
            "family": list(family),
            "language": corpus.language,
            "asr": asr,
            "against": list(against),
            **more,
        },
        needs=(test,),
        wants=tuple(speech),
        minutes=minutes * (len(speech) + 2),
    )
