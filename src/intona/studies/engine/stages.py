"""Jobs of any study of voices: train a stage, fix the test set, speak it, evaluate all voices together."""

from __future__ import annotations

import importlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from intona import checkpoint, systems
from intona import config as configs
from intona.errors import UserError
from intona.studies.engine.job import WORKERS

RESULTS = "found.json"  # the figures of a job, under the file name that studies have always used
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
    """Train a stage into `out/run`.

    Args:
        corpus: the fingerprint of the data at `data`; other data in the same directory makes another job.
        init: the job whose run the stage starts from. encoder: the job whose text encoder it builds on.
        runs: field of the stage's config -> job whose run it names (`latents` of prosody.ditto).
    """
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
    steps = configs.read_json(newest / "config.json")["loop"]["steps"]
    return checkpoint.steps(out / RUN)[-1] >= steps


def require_corpus(data: str, corpus: str) -> None:
    """Raises: UserError: the directory holds other data by now."""
    from intona.data.prepared import Prepared

    current = Prepared.open(data).fingerprint
    if current != corpus:
        raise UserError(f"the corpus is {current}, but the study was planned on {corpus}", where=data)


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
    """Write the test set before anything is spoken: manifest, recordings and their copy synthesis.

    Args:
        sentences: how many at most, evenly spaced through the split; 0 = all.
        prompts: also choose another recording of each row's speaker, for voices that need one and for SIM-o.
        language: use only sentences in this language, because a recognizer and a table have one; "" = all.
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
    """Speak the test manifest with the voice of job `voice` into `out/wavs`; resumes where it stopped.

    Args:
        settings: fields of `SetConfig`.
        prompts: speak with the voices of the test set's prompts.
        lengths: True = each row as long as its recording; "one-pace" = as long as its symbols take at the
            average pace of the training data.
    """
    from intona import synth
    from intona.evaluation import read_manifest
    from intona.synth.batch import SetConfig, synthesize_set
    from intona.synth.prompts import durations, kept, languages_of, read_columns

    test_folder = needs[test]
    manifest = read_manifest(test_folder / MANIFEST)
    languages = languages_of(read_columns(test_folder / MANIFEST))
    speaker: Any = synth.load(checkpoint.resolve(needs[voice] / RUN))
    seconds: dict[str, float] | None = None
    if lengths == "one-pace":
        seconds = {
            row.id: speaker.at_one_pace(row.text, language=languages.get(row.id)) for row in manifest.rows
        }
    elif lengths:
        seconds = durations(test_folder / RECORDINGS, manifest)
    try:
        spoken = synthesize_set(
            speaker,
            manifest,
            out / WAVS,
            SetConfig(seed=seed, **(settings or {})),
            prompts=kept(test_folder / PROMPTS) if prompts else None,
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
    """Evaluate all voices that have spoken, with recordings and copy synthesis, into `out/report`.

    The jobs whose speech it evaluates are named PREFIX/ARM/SEED.

    Args:
        against: rows in order of preference; the others are compared with the first one that is present.
        prompts: the test set has prompts, so that similarity to them ("speaker") can be measured.
        extra: further judges, as "module:class".
    """
    from intona.evaluation import EvaluationConfig, System, evaluate
    from intona.evaluation.finished import remember_wavs
    from intona.evaluation.manifest import read_manifest
    from intona.evaluation.run import default_judges

    test_folder = needs[test]
    systems = [
        System(name="recording", folder=test_folder / RECORDINGS, role="recording"),
        System(name="copy synthesis", folder=test_folder / COPY, role="copy"),
    ]
    for name, folder in needs.items():
        if name != test:
            _, arm, seed = name.rsplit("/", 2)
            systems.append(System(name=arm, seed=seed, folder=folder / WAVS))
    if len(systems) == 2:
        raise UserError("no voice has spoken", where=out)
    labels = [s.label for s in systems]
    config = EvaluationConfig(
        language=language,
        asr=None if asr == "none" else asr,
        judges=tuple(measures),
        family=tuple(family),
        against=next((a for a in against if a in labels), None),
        prompts=test_folder / PROMPTS if prompts else None,
    )
    judges = None
    if extra:
        judges = default_judges(config, reference=True, manifest=read_manifest(test_folder / MANIFEST))
        for name in extra:
            module, _, kind = name.partition(":")
            judges.append(getattr(importlib.import_module(module), kind)())
    try:
        evaluate(
            systems,
            test_folder / MANIFEST,
            out=out / REPORT,
            reference=test_folder / RECORDINGS,
            config=config,
            judges=judges,
            progress=until(limit_minutes),
            # This job runs after all voices have spoken: the other workers are idle by then.
            workers=int(os.environ.get(WORKERS, "1")),
        )
    except TimeIsUp:
        return False
    remember_wavs(out / REPORT, {s.label: s.folder for s in systems})
    return True


class TimeIsUp(Exception):
    """The time limit has passed; work that is done is kept, and the next call continues."""


def until(limit_minutes: float | None) -> Callable[[int, int, str], None]:
    """A progress callback that raises `TimeIsUp` when the limit has passed and work is left."""
    end = None if limit_minutes is None else time.monotonic() + 60 * limit_minutes

    def check(done: int, of: int, what: str) -> None:
        if end is not None and done < of and time.monotonic() > end:
            raise TimeIsUp

    return check
