"""Jobs that any study of voices declares: train a stage, fix the test, speak it, judge all together."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from intona import checkpoint
from intona import config as configs
from intona.errors import UserError
from intona.study.job import WORKERS

RUN, WAVS, MANIFEST, RECORDINGS, COPY, PROMPTS, REPORT = (
    "run",
    "wavs",
    "manifest.jsonl",
    "recordings",
    "copy-synthesis",
    "prompts",
    "report",
)


def train(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    stage: str,
    size: str,
    data: str,
    corpus: str,
    overrides: dict[str, str],
    init: str = "",
    encoder: str = "",
    runs: dict[str, str] | None = None,
) -> bool:
    """A stage into `out/run`; `init` and `encoder` name the jobs whose runs it starts from or builds on.

    `runs`: field of the stage's config -> job whose run it names (`latents` of prosody.ditto).
    `corpus` is the fingerprint of the data at `data`: the same place with other data is another job.
    """
    # By name: the systems stand above the studies that run them.
    systems: Any = importlib.import_module("intona.systems")
    require_corpus(data, corpus)
    newest = systems.train(
        stage,
        size=size,
        data=Path(data),
        out=out / RUN,
        overrides=overrides | {field: str(needs[job] / RUN) for field, job in (runs or {}).items()},
        limit_minutes=limit_minutes,
        init=needs[init] / RUN if init else None,
        encoder=needs[encoder] / RUN if encoder else None,
    )
    wanted = configs.read_json(newest / "config.json")["loop"]["steps"]
    return checkpoint.steps(out / RUN)[-1] >= wanted


def require_corpus(data: str, corpus: str) -> None:
    """Raises: UserError: other data stands there now."""
    from intona.data.prepared import Prepared

    found = Prepared.open(data).fingerprint
    if found != corpus:
        raise UserError(f"holds the corpus {found}, and the study was planned on {corpus}", where=data)


def declare_test(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    sentences: int,
    split: str = "test",
    prompts: bool = False,
    language: str = "",
) -> None:
    """Fix N before anything is spoken: manifest, recordings and copy synthesis of the test split.

    `sentences`: at most so many, at even steps through the split; 0 takes all. With `prompts` another
    recording of each row's speaker too, for voices that take one and for SIM-o. `language`: what is judged of
    a corpus of several, for a recognizer and a table have one.
    """
    from intona.data.prepared import Prepared
    from intona.evaluation import Manifest, Row, write_manifest
    from intona.evaluation.controls import copy_synthesis, fresh
    from intona.synth.prompts import choose, keep

    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    items = [i for i in prepared.items(split) if language in ("", i.language)]
    if not items:
        raise UserError(f'no sentence in the split "{split}"', where=data)
    if 0 < sentences < len(items):
        items = [items[i * len(items) // sentences] for i in range(sentences)]
    fresh(out / RECORDINGS, {"corpus": corpus, "ids": [i.id for i in items]})
    for item in items:
        source = prepared.audio_path(item)
        shutil.copyfile(source, out / RECORDINGS / source.name)
    rows = tuple(Row(id=i.name, text=i.text, speaker=prepared.speakers[i.speaker]) for i in items)
    manifest = Manifest(rows=rows)
    write_manifest(out / MANIFEST, manifest, language=language)
    copy_synthesis(out / RECORDINGS, manifest, out / COPY)
    if prompts:
        keep(choose(manifest, Path(data)), out / PROMPTS)


def speak(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    voice: str,
    test: str,
    seed: int,
    settings: dict[str, Any] | None = None,
    prompts: bool = False,
    lengths: bool | Literal["one-pace"] = False,
) -> bool:
    """The test manifest spoken by the voice of job `voice` into `out/wavs`; a killed one goes on.

    `settings`: fields of `SetConfig`. `prompts`: with the voices of the test's prompts. `lengths`: each row
    as long as its recording, or with "one-pace" as its symbols at the pace that all of the training had.
    """
    from intona import synth
    from intona.evaluation import read_manifest
    from intona.synth.batch import SetConfig, synthesize_set
    from intona.synth.prompts import durations, kept, languages_of, read_columns

    own = needs[test]
    manifest = read_manifest(own / MANIFEST)
    languages = languages_of(read_columns(own / MANIFEST))
    speaker: Any = synth.load(checkpoint.resolve(needs[voice] / RUN))
    seconds: dict[str, float] | None = None
    if lengths == "one-pace":
        seconds = {
            row.id: speaker.at_one_pace(row.text, language=languages.get(row.id)) for row in manifest.rows
        }
    elif lengths:
        seconds = durations(own / RECORDINGS, manifest)
    try:
        spoken = synthesize_set(
            speaker,
            manifest,
            out / WAVS,
            SetConfig(seed=seed, **(settings or {})),
            prompts=kept(own / PROMPTS) if prompts else None,
            lengths=seconds,
            languages=languages,
            progress=until(limit_minutes),
        )
    except TimeIsUp:
        return False
    if len(spoken.failures) == spoken.n:
        raise UserError(f"none of {spoken.n} sentences could be spoken: {spoken.failures[0].reason}")
    return True


def judge(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    test: str,
    measures: list[str],
    family: list[str],
    language: str,
    asr: str,
    against: list[str],
    prompts: bool = False,
    extra: list[str] | None = None,
) -> bool:
    """One report over all voices that are spoken, with recording and copy synthesis, into `out/report`.

    The jobs it wants are named PREFIX/ARM/SEED. `against`: the first of these rows that is there is what the
    others are compared with. `prompts`: similarity to the test's prompts can be measured ("speaker").
    `extra`: judges of the study's own, "module:class", after the evaluation's.
    """
    from intona.evaluation import EvaluationConfig, System, evaluate
    from intona.evaluation.finished import remember_wavs
    from intona.evaluation.manifest import read_manifest
    from intona.evaluation.run import default_judges

    own = needs[test]
    systems = [
        System(name="recording", folder=own / RECORDINGS, role="recording"),
        System(name="copy synthesis", folder=own / COPY, role="copy"),
    ]
    for name, folder in needs.items():
        if name != test:
            _, arm, seed = name.rsplit("/", 2)
            systems.append(System(name=arm, seed=seed, folder=folder / WAVS))
    if len(systems) == 2:
        raise UserError("no voice was spoken", where=out)
    labels = [s.label for s in systems]
    config = EvaluationConfig(
        language=language,
        asr=None if asr == "none" else asr,
        measures=tuple(measures),
        family=tuple(family),
        against=next((a for a in against if a in labels), None),
        prompts=own / PROMPTS if prompts else None,
    )
    judges = None
    if extra:
        judges = default_judges(config, reference=True, manifest=read_manifest(own / MANIFEST))
        for name in extra:
            module, _, kind = name.partition(":")
            judges.append(getattr(importlib.import_module(module), kind)())
    try:
        evaluate(
            systems,
            own / MANIFEST,
            out=out / REPORT,
            reference=own / RECORDINGS,
            config=config,
            judges=judges,
            progress=until(limit_minutes),
            # It waits for all voices, so that the study's other workers have little left to do.
            workers=int(os.environ.get(WORKERS, "1")),
        )
    except TimeIsUp:
        return False
    remember_wavs(out / REPORT, {s.label: s.folder for s in systems})
    return True


class TimeIsUp(Exception):
    """Ends work that keeps what it has made and goes on when it is called again."""


def until(limit_minutes: float | None) -> Callable[[int, int, str], None]:
    """A progress callback that raises `TimeIsUp` when the limit has passed and something is left to do."""
    end = None if limit_minutes is None else time.monotonic() + 60 * limit_minutes

    def tell(done: int, of: int, what: str) -> None:
        if end is not None and done < of and time.monotonic() > end:
            raise TimeIsUp

    return tell
