"""A whole manifest spoken into a folder, in batches: what `intona evaluate` then judges.

Each utterance has noise of its own, from (seed, id): it sounds the same alone, in any batch, and after a
kill, up to the rounding of floats. Batches are fixed by the manifest, so that a resumed run repeats them
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from intona.audio import Audio, read_audio
from intona.errors import UserError, warnings_from
from intona.evaluation.manifest import Manifest, Row
from intona.evaluation.records import digest
from intona.nn.random import ItemRandom, derive_seed
from intona.synth.prompts import Prompt, fingerprint, keep
from intona.synth.record import (
    FAILURES,
    TIMES,
    Failure,
    claim,
    timed,
    weights_hash,
    write_failures,
)
from intona.synth.voice import options_of
from intona.systems.gradtts.voice import GradTTSVoice
from intona.text import Utterance

Said = tuple[str, Audio | UserError]  # id, and its audio or why there is none
PROMPTS = "prompts"  # in the folder of a set
MAX_SENTENCES = 256


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """Args:
    batch: sentences at once. steps, temperature, guidance, solver: of the diffusion; the voice's own if None.
    tries: draws of each sentence, of which the voice keeps the best; 1 if None.
    seed: with the id of an utterance, decides its noise.
    speaker: for all rows; else the row's own where the voice has it, else the first.
    language: of the rows that do not name theirs.
    """

    batch: int = 8
    steps: int | None = None
    temperature: float | None = None
    guidance: float | None = None
    solver: str | None = None
    tries: int | None = None
    seed: int = 0
    rate: float = 1.0
    speaker: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= MAX_SENTENCES:
            raise UserError(f"{self.batch} sentences at once is not between 1 and {MAX_SENTENCES}")


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """`made` now, `kept` from before, and what failed."""

    n: int
    made: int
    kept: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    row: Row
    place: int
    spoken: Utterance
    speaker: int


def row_seed(seed: int, id: str) -> int:
    """`voice.say(text, seed=row_seed(seed, id))` says what the set holds for this id."""
    return derive_seed("set", seed, id)


class Speaker(Protocol):
    """What a voice of another kind needs: it is spoken one by one.

    One with `settled(steps=, guidance=, temperature=)`, and solver= where it has several, says what it makes
    of them, for the set's record.
    """

    @property
    def model(self) -> torch.nn.Module: ...

    def say(self, text: str, **how: Any) -> Audio: ...


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What rows are spoken with beside their text and the settings."""

    prompts: Mapping[str, Prompt]
    lengths: Mapping[str, float]
    languages: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        lengths = {i: round(s, 6) for i, s in self.lengths.items()}
        return {
            "prompts": fingerprint(self.prompts),
            "lengths": digest(lengths) if lengths else None,
            "languages": digest(dict(self.languages)) if self.languages else None,
        }


def synthesize_set(
    voice: GradTTSVoice | Speaker,
    manifest: Manifest,
    out: Path | str,
    config: SetConfig | None = None,
    *,
    prompts: Mapping[str, Prompt] | None = None,
    lengths: Mapping[str, float] | None = None,
    languages: Mapping[str, str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Spoken:
    """Speak every row to `out/ID.wav`; the same call goes on after a kill.

    `out/made_by.json` says what made the files and how many were declared; `out/failures.jsonl` lists each
    row that could not be spoken, with the reason, and is empty where all went well; `out/times.jsonl` has
    the time that each took; `out/prompts` holds the recordings whose voices were taken.

    Args:
        prompts: utterance id -> the recording whose voice to take (`sets.prompts.choose`).
        lengths: utterance id -> seconds of the whole.
        languages: utterance id -> language of its text.

    Raises:
        UserError: the folder holds the output of another voice, manifest or setting; cannot be written; an
            option that this kind of voice does not have.
    """
    config = config or SetConfig()
    out = Path(out)
    asked = _Asked(prompts=prompts or {}, lengths=lengths or {}, languages=languages or {})
    _check_options(voice, config, asked)
    claim(out, _made_by(voice, manifest, config) | asked.record())
    if asked.prompts:
        keep(asked.prompts, out / PROMPTS)
    failures: dict[str, Failure] = {}
    made, kept = 0, 0
    for ids, speak in _work(voice, manifest, config, asked):
        if all((out / f"{i}.wav").exists() for i in ids):
            kept += len(ids)
        else:
            if not made:  # so that the first row is not charged with what is loaded once
                _ = getattr(voice, "vocoder", None), getattr(voice, "frontend", None)
            with timed(out / TIMES, ids) as seconds:
                for i, audio in speak():
                    if isinstance(audio, UserError):
                        failures[i] = Failure(id=i, reason=str(audio))
                        continue
                    audio.write(out / f"{i}.wav")
                    seconds.append(audio.duration)
                    made += 1
        if progress:
            progress(made + kept + len(failures), len(manifest), "")
    ordered = tuple(failures[row.id] for row in manifest.rows if row.id in failures)
    write_failures(out / FAILURES, ordered)
    return Spoken(n=len(manifest), made=made, kept=kept, failures=ordered)


def _check_options(voice: GradTTSVoice | Speaker, config: SetConfig, asked: _Asked) -> None:
    """Refuse what the voice would refuse for every row, before anything is spoken."""
    known = options_of(voice)
    wanted = {
        "--prompts": ("voice", bool(asked.prompts)),
        "--length": ("length", bool(asked.lengths)),
        "--guidance": ("guidance", config.guidance is not None),
        "--tries": ("tries", config.tries is not None),
        "--language": ("language", config.language is not None or bool(asked.languages)),
    }
    for flag, (name, given) in wanted.items():
        if given and name not in known:
            raise UserError("this kind of voice has no such option", where=flag)
    silent = [i for i, p in asked.prompts.items() if not p.text.strip()]
    if "voice_text" in known and silent:
        raise UserError(
            f"the words of {len(silent)} prompts are not known ({', '.join(silent[:3])})",
            where="--prompts",
            hint="this voice continues them: name them in a column prompt_text, or in a list in the folder",
        )


def _work(
    voice: GradTTSVoice | Speaker, manifest: Manifest, config: SetConfig, asked: _Asked
) -> Iterator[tuple[list[str], Callable[[], Iterator[Said]]]]:
    """Ids that are spoken together, and what speaks them."""
    if not isinstance(voice, GradTTSVoice):
        for row in manifest.rows:
            yield [row.id], partial(_say, voice, row, config, asked)
        return
    ready: list[list[_Sentence]] = []
    for row in manifest.rows:
        try:
            ready.append(_sentences(voice, row, config, asked.languages.get(row.id)))
        except UserError as e:
            yield [row.id], partial(iter, [(row.id, e)])
    for rows in _batches(ready, config.batch):
        yield [row[0].row.id for row in rows], partial(_speak, voice, rows, config)


def _say(voice: Speaker, row: Row, config: SetConfig, asked: _Asked) -> Iterator[Said]:
    how: dict[str, Any] = {
        "speaker": config.speaker,
        "steps": config.steps,
        "temperature": config.temperature,
        "guidance": config.guidance,
        "solver": config.solver,
        "tries": config.tries,
        "length": asked.lengths.get(row.id),
        "language": asked.languages.get(row.id, config.language),
    }
    prompt = asked.prompts.get(row.id)
    try:
        if prompt is not None:
            how["voice"] = read_audio(prompt.path)
            how["voice_text"] = prompt.text if "voice_text" in options_of(voice) else None
        given = {k: v for k, v in how.items() if v is not None}
        with warnings_from(row.id):
            audio = voice.say(row.text, seed=row_seed(config.seed, row.id), rate=config.rate, **given)
        yield row.id, audio
    except UserError as e:
        named = f"with the prompt {prompt.name}: {e}" if prompt is not None else str(e)
        yield row.id, UserError(named)


def _sentences(
    voice: GradTTSVoice, row: Row, config: SetConfig, language: str | None = None
) -> list[_Sentence]:
    own = row.speaker if row.speaker in voice.speakers else None
    speaker = voice.speaker_id(config.speaker or own)
    with warnings_from(row.id):
        spoken = voice.sentences(row.text, language=language or config.language)
    return [_Sentence(row=row, place=i, spoken=s, speaker=speaker) for i, s in enumerate(spoken)]


def _batches(rows: list[list[_Sentence]], size: int) -> Iterator[list[list[_Sentence]]]:
    """Rows of like length together; about `size` sentences, never less than one row."""
    rows = sorted(rows, key=lambda r: (max(len(s.spoken.phonemes) for s in r), r[0].row.id))
    batch: list[list[_Sentence]] = []
    for row in rows:
        if batch and sum(map(len, batch)) + len(row) > size:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


class _RowRandom(ItemRandom):
    """Item i draws what `say` draws for its row's seed and place."""

    def __init__(self, seeds: Sequence[tuple[int, int]]) -> None:
        self._generators = [
            generator for seed, place in seeds for generator in ItemRandom(seed, 0, [str(place)])._generators
        ]


def _speak(voice: GradTTSVoice, rows: list[list[_Sentence]], config: SetConfig) -> Iterator[Said]:
    """Each row's audio, or why there is none."""
    mels = iter(mels_of(voice, [s for row in rows for s in row], config))
    for row in rows:
        mine = [next(mels) for _ in row]
        try:
            whole = voice.joined([voice.wave(m) for m in mine])
            if not np.isfinite(whole).all():
                raise UserError("the vocoder's samples are not finite")
            yield row[0].row.id, voice.audio(whole)
        except UserError as e:
            yield row[0].row.id, e


def mels_of(voice: GradTTSVoice, sentences: Sequence[_Sentence], config: SetConfig) -> list[torch.Tensor]:
    """Mels (T_i, n_mels) of sentences in one batch."""
    return voice.mels(
        [s.spoken for s in sentences],
        [s.speaker for s in sentences],
        random=_RowRandom([(row_seed(config.seed, s.row.id), s.place) for s in sentences]),
        rate=config.rate,
        steps=config.steps,
        temperature=config.temperature,
        solver=config.solver,
    )


def _made_by(voice: GradTTSVoice | Speaker, manifest: Manifest, config: SetConfig) -> dict[str, Any]:
    settled = getattr(voice, "settled", None)
    asked = {"steps": config.steps, "guidance": config.guidance, "temperature": config.temperature}
    solver = {} if config.solver is None else {"solver": config.solver}
    return {
        "voice": weights_hash(voice.model),
        "n": len(manifest),
        "manifest_sha256": manifest.sha256,
        "seed": config.seed,
        "solver": "",
        **solver,
        "rate": config.rate,
        "speaker": config.speaker,
        "batch": config.batch,
        **asked,
        "tries": config.tries if config.tries != 1 else None,  # one, said or not, is the same set
        "language": config.language,
        "lexicon": getattr(getattr(voice, "lexicon", None), "fingerprint", None),
        **({} if settled is None else settled(**asked, **solver)),
    }
