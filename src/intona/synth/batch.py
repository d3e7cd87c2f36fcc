"""A whole manifest spoken into a folder, in batches: what `intona evaluate` then judges.

Each utterance has its own noise, from (seed, id): it sounds the same alone, in any batch, and after a kill,
up to the rounding of floats. Batches of a fixed size are fixed by the manifest, so that a resumed run repeats
them exactly.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from intona import devices
from intona.audio import Audio
from intona.cluster import Engine, LocalEngine
from intona.errors import UserError, warnings_from
from intona.evaluation.manifest import Manifest, Row
from intona.evaluation.records import digest
from intona.pool import ReloadsInWorker
from intona.seeds import derive_seed
from intona.synth.fitting import CPU_SENTENCES, MAX_SENTENCES, fitting_batch, speak_fitting, too_large
from intona.synth.options import SpeakOptions, check_number
from intona.synth.prompts import Prompt, fingerprint, keep
from intona.synth.record import FAILURES, TIMES, Failure, append_time, claim, timed, write_failures
from intona.synth.voice import Reading, Voice

Result = tuple[str, Audio | UserError]  # id, and its audio or why there is none
PROMPTS = "prompts"  # in the folder of a set
Unit = tuple[list[str], Callable[[Voice], Iterator[Result]]]  # ids spoken together, and what speaks them


@dataclass(frozen=True, kw_only=True)
class SetConfig(SpeakOptions):
    """The options of all rows, and how many sentences are spoken at once.

    The seed and the id of a row decide its noise. Without a speaker, each row is spoken by the one that it
    names, if the voice has them. The language is for the rows that do not name theirs.

    A `batch` of None is as many sentences as fit into the memory of the voice's device.
    """

    batch: int | None = CPU_SENTENCES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch is not None:
            check_number(self.batch, (1, MAX_SENTENCES), where="--batch")


@dataclass(frozen=True, kw_only=True)
class SetResult:
    """How many rows were spoken now, how many before (`kept`), and the failures, of `n` in all."""

    n: int
    spoken: int
    kept: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True)
class RowInputs:
    """What single rows are spoken with, by their ids.

    Args:
        prompts: recordings whose voice is used. lengths: seconds. languages: codes.
    """

    prompts: Mapping[str, Prompt] = dataclasses.field(default_factory=dict)
    lengths: Mapping[str, float] = dataclasses.field(default_factory=dict)
    languages: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        lengths = {i: round(s, 6) for i, s in self.lengths.items()}
        return {
            "prompts": fingerprint(self.prompts),
            "lengths": digest(lengths) if lengths else None,
            "languages": digest(dict(self.languages)) if self.languages else None,
        }


def row_seed(seed: int, id: str) -> int:
    """`voice.say(text, seed=row_seed(seed, id))` gives the audio of this id in the set."""
    return derive_seed("set", seed, id)


def synthesize_set(
    voice: Voice,
    manifest: Manifest,
    out: Path | str,
    config: SetConfig | None = None,
    *,
    prompts: Mapping[str, Prompt] | None = None,
    lengths: Mapping[str, float] | None = None,
    languages: Mapping[str, str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    engine: Engine | None = None,
    reload: Callable[[], Voice] | None = None,
) -> SetResult:
    """Speak every row to `out/ID.wav`; the same call continues after a kill.

    `out/made_by.json` records the voice, the settings and the number of rows; `out/failures.jsonl` lists each
    row that could not be spoken, with the reason, and is empty where all went well; `out/times.jsonl` has the
    time of each; `out/prompts` has copies of the prompts.

    Args:
        prompts: utterance id -> the recording whose voice is used (`prompts.choose`).
        lengths: utterance id -> seconds of the whole.
        languages: utterance id -> language of its text.
        engine: where the rows are spoken; None = in this process. Workers write the wavs.
        reload: opens the voice in a worker process.

    Raises:
        UserError: the folder holds the output of another voice, manifest or setting; cannot be written; an
            option that this kind of voice does not take.
    """
    config = config or SetConfig()
    out = Path(out)
    inputs = RowInputs(prompts=prompts or {}, lengths=lengths or {}, languages=languages or {})
    _check_options(voice, config, inputs)
    claim(out, _record(voice, manifest, config) | inputs.record())
    if inputs.prompts:
        keep(inputs.prompts, out / PROMPTS)
    failures: dict[str, Failure] = {}
    spoken = kept = 0

    def missing() -> Iterator[Unit]:
        nonlocal kept
        for unit in _units(voice, manifest, config, inputs):
            if all((out / f"{i}.wav").exists() for i in unit[0]):
                kept += len(unit[0])
                report()
            else:
                yield unit

    def report() -> None:
        if progress:
            progress(spoken + kept + len(failures), len(manifest), "")

    speaker = _Speaker(voice, reload, out)
    for row, failed in (engine or LocalEngine()).map(_speak, missing(), state=speaker):
        append_time(out / TIMES, row)
        failures |= {f.id: f for f in failed}
        spoken += len(row["ids"]) - len(failed)
        report()
    ordered = tuple(failures[row.id] for row in manifest.rows if row.id in failures)
    write_failures(out / FAILURES, ordered)
    return SetResult(n=len(manifest), spoken=spoken, kept=kept, failures=ordered)


def _check_options(voice: Voice, config: SetConfig, inputs: RowInputs) -> None:
    """Refuse what the voice would refuse for every row, before anything is spoken."""
    capabilities = voice.capabilities
    capabilities.require(config)
    used = {
        "--prompts": ("reference", inputs.prompts),
        "--length": ("length", inputs.lengths),
        "--language": ("language", inputs.languages),
    }
    for flag, (name, rows) in used.items():
        if rows and not capabilities.takes(name):
            raise capabilities.refused(name, flag=flag)
    wordless = [i for i, p in inputs.prompts.items() if not p.text.strip()]
    if capabilities.needs_reference_text and wordless:
        raise UserError(
            f"the words of {len(wordless)} prompts are not known ({', '.join(wordless[:3])})",
            where="--prompts",
            hint="this voice continues them: name them in a column prompt_text, or in a list in the folder",
        )


class _Speaker(ReloadsInWorker):
    """The voice of a set in this process; another process opens it anew, once."""

    def __init__(self, voice: Voice, reload: Callable[[], Voice] | None, out: Path) -> None:
        self.reload, self.out = reload, out
        vars(self)["voice"] = voice

    @cached_property
    def voice(self) -> Voice:
        if self.reload is None:
            raise TypeError("synthesize_set needs `reload` for an engine of several workers")
        return self.reload()

    @cached_property
    def ready(self) -> Voice:
        """The voice with all that it loads once, so that the time of the first row does not include it."""
        self.voice.preload()
        return self.voice


def _speak(speaker: _Speaker, unit: Unit) -> tuple[dict[str, Any], list[Failure]]:
    """Write the wavs of a unit; returns its row of the times, and what could not be spoken."""
    ids, speak = unit
    voice, failures = speaker.ready, []
    with timed(ids) as row:
        for i, audio in speak(voice):
            if isinstance(audio, UserError):
                failures.append(Failure(id=i, reason=str(audio)))
                continue
            audio.write(speaker.out / f"{i}.wav")
            row["speech"] += audio.duration
    return row, failures


def _units(voice: Voice, manifest: Manifest, config: SetConfig, inputs: RowInputs) -> Iterator[Unit]:
    if not voice.capabilities.batches:
        for row in manifest.rows:
            prompt = inputs.prompts.get(row.id)
            options, name = _options(voice, row, config, inputs), "" if prompt is None else prompt.name
            yield [row.id], partial(_speak_row, row=row, options=options, prompt=name)
        return
    readings: list[tuple[str, Reading]] = []
    for row in manifest.rows:
        try:
            with warnings_from(row.id):
                readings.append((row.id, voice.read(row.text, _options(voice, row, config, inputs))))
        except UserError as e:
            yield [row.id], partial(_refuse, id=row.id, error=e)
    size = config.batch or fitting_batch(voice, [reading for _, reading in readings])
    for rows in _batches(readings, size):
        yield [i for i, _ in rows], partial(_speak_batch, rows=rows)


def _options(voice: Voice, row: Row, config: SetConfig, inputs: RowInputs) -> SpeakOptions:
    """What a row is spoken with."""
    prompt = inputs.prompts.get(row.id)
    changes: dict[str, Any] = {"seed": row_seed(config.seed, row.id)}
    if config.speaker is None and voice.capabilities.named_speakers and row.speaker in voice.speakers:
        changes["speaker"] = row.speaker
    if prompt is not None:
        changes["reference"] = prompt.path
        if voice.capabilities.needs_reference_text:
            changes["reference_text"] = prompt.text
    if row.id in inputs.lengths:
        changes["length"] = inputs.lengths[row.id]
    if row.id in inputs.languages:
        changes["language"] = inputs.languages[row.id]
    return dataclasses.replace(config, **changes)


def _speak_row(voice: Voice, row: Row, options: SpeakOptions, prompt: str) -> Iterator[Result]:
    try:
        with warnings_from(row.id):
            audio = voice.say(row.text, options)
        yield row.id, audio
    except UserError as e:
        yield row.id, UserError(f"with the prompt {prompt}: {e}" if prompt else str(e))
    except Exception as e:
        if not devices.is_out_of_memory(e):
            raise
        yield row.id, too_large(voice)


def _refuse(voice: Voice, id: str, error: UserError) -> Iterator[Result]:
    """A row that the voice cannot read."""
    yield id, error


def _speak_batch(voice: Voice, rows: list[tuple[str, Reading]]) -> Iterator[Result]:
    results = speak_fitting(voice, [reading for _, reading in rows])
    yield from zip((i for i, _ in rows), results, strict=True)


def _batches(rows: list[tuple[str, Reading]], size: int) -> Iterator[list[tuple[str, Reading]]]:
    """Rows of similar length together; about `size` sentences, never less than one row."""
    rows = sorted(rows, key=lambda row: (row[1].longest, row[0]))
    batch: list[tuple[str, Reading]] = []
    for row in rows:
        sentences = sum(len(reading.sentences) for _, reading in batch) + len(row[1].sentences)
        if batch and sentences > size:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _record(voice: Voice, manifest: Manifest, config: SetConfig) -> dict[str, Any]:
    """All that decides the audio of a set besides the inputs of single rows.

    The keys are those of earlier versions, whose folders are continued; an option that is not among them is
    recorded where it differs from its default.
    """
    settled = voice.settled(config)
    record = {
        **voice.identity(),
        "n": len(manifest),
        "manifest_sha256": manifest.sha256,
        "batch": "by memory" if config.batch is None else config.batch,
        "seed": config.seed,
        "rate": 1.0 if settled.rate is None and settled.style is None else settled.rate,
        "speaker": config.speaker,
        "language": config.language,
        "steps": settled.steps,
        "temperature": settled.temperature,
        "guidance": settled.guidance,
        "solver": settled.solver or "",
        "tries": config.tries if config.tries != 1 else None,  # one is the default
    }
    others = {k: v for k, v in config.changed.items() if k not in record and k != "strict"}
    if (recording := config.recording()) is not None:
        others["reference"] = hashlib.sha256(recording.samples.tobytes()).hexdigest()[:16]
    return record | others
