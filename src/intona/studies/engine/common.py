"""What the plans of all studies declare alike: checked requests, the corpus, the test, speech, the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.data.prepared import Prepared
from intona.errors import UserError, unknown
from intona.studies.engine.plan import Job

STAGES = "intona.studies.engine.stages"
TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Prepared data; `at` is what every job that reads it gets: other data at the place is another job.

    `language` is what is judged; `several`: the data has others too, which are trained on alone.
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
    """The arms asked for, in the order of the study.

    Raises:
        UserError: an unknown arm or size, no arm, no seed, one of them twice.
    """
    where = f"study {study}"
    if size not in sizes:
        unknown("size", size, sizes, where=where)
    for name in (*arms, *repeat):
        if name not in every:
            unknown("arm", name, every, where=where)
    if not arms or not seeds or len(set(seeds)) != len(seeds) or len(set(arms)) != len(arms):
        raise UserError("need an arm and a seed, none of them twice", where=where)
    return [n for n in every if n in arms]


def corpus(data: Path, *, aligned: bool) -> Corpus:
    """Prepared data with something in each split.

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
    return Corpus(
        prepared=prepared,
        at={"data": str(Path(data).resolve()), "corpus": prepared.fingerprint},
        language=spoken.most_common(1)[0][0],
        several=len(prepared.languages) > 1,
    )


def test_job(found: Corpus, *, sentences: int, minutes: float, name: str = TEST, **more: Any) -> Job:
    """Fix N before anything is spoken. `more`: arguments of `stages.declare_test`."""
    only = {"language": found.language} if found.several else {}
    return Job(
        name=name,
        call=f"{STAGES}:declare_test",
        arguments={**found.at, "sentences": sentences, **only, **more},
        minutes=minutes,
    )


def said_job(
    arm: str,
    seed: int,
    *,
    voice: str,
    minutes: float,
    name: str = "",
    test: str = TEST,
    call: str = f"{STAGES}:speak",
    **more: Any,
) -> Job:
    """A test spoken by the voice of a job; `name` instead of said/ARM/SEED. `more`: arguments of `call`."""
    return Job(
        name=name or f"said/{arm}/{seed}",
        call=call,
        arguments={"voice": voice, "test": test, "seed": 0, **more},
        needs=(voice, test),
        arm=arm,
        seed=seed,
        minutes=minutes,
    )


def judge_job(
    found: Corpus,
    said: Sequence[str],
    *,
    measures: Sequence[str],
    family: Sequence[str],
    asr: str,
    against: Sequence[str],
    minutes: float,
    name: str = "judge",
    test: str = TEST,
    **more: Any,
) -> Job:
    """All that was spoken, judged together. `minutes`: of each row. `more`: arguments of `stages.judge`."""
    return Job(
        name=name,
        call=f"{STAGES}:judge",
        arguments={
            "test": test,
            "measures": list(measures),
            "family": list(family),
            "language": found.language,
            "asr": asr,
            "against": list(against),
            **more,
        },
        needs=(test,),
        wants=tuple(said),
        minutes=minutes * (len(said) + 2),
    )
