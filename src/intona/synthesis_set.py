"""A whole manifest spoken into a folder, in batches: what `intona evaluate` then judges.

Each utterance has noise of its own, from (seed, id): it sounds the same alone, in any batch, and after a
kill, up to the rounding of floats. Batches are fixed by the manifest, so that a resumed run repeats them
exactly.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from intona.audio import Audio
from intona.config import read_json, write_json
from intona.errors import UserError
from intona.evaluation.manifest import Manifest, Row
from intona.nn.precision import autocast, set_fast_matmul
from intona.nn.random import ItemRandom, derive_seed
from intona.synth import DEFAULT_STEPS, DEFAULT_TEMPERATURE, PAUSE_SECONDS, Voice
from intona.text import Utterance, split_sentences

Said = tuple[str, Audio | UserError]  # id, and its audio or why there is none
MADE_BY, FAILURES = "made_by.json", "failures.jsonl"
MAX_SENTENCES = 256


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """Args:
    batch: sentences at once. steps, temperature: of the diffusion; the voice's own if None.
    seed: with the id of an utterance, decides its noise.
    speaker: for all rows; else the row's own where the voice has it, else the first.
    """

    batch: int = 8
    steps: int | None = None
    temperature: float | None = None
    seed: int = 0
    rate: float = 1.0
    speaker: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= MAX_SENTENCES:
            raise UserError(f"{self.batch} sentences at once is not between 1 and {MAX_SENTENCES}")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A row that could not be spoken: it has no file, and so counts as failed where it is judged."""

    id: str
    reason: str


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
    """What a voice of another kind needs: it is spoken one by one."""

    @property
    def model(self) -> torch.nn.Module: ...

    def say(self, text: str, **how: Any) -> Audio: ...


def synthesize_set(
    voice: Voice | Speaker,
    manifest: Manifest,
    out: Path | str,
    config: SetConfig | None = None,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Spoken:
    """Speak every row to `out/ID.wav`; the same call goes on after a kill.

    `out/made_by.json` says what made the files and how many were declared; `out/failures.jsonl` lists each
    row that could not be spoken, with the reason, and is empty where all went well.

    Raises:
        UserError: the folder holds the output of another voice, manifest or setting; cannot be written.
    """
    config = config or SetConfig()
    out = Path(out)
    _claim(out, _made_by(voice, manifest, config))
    failures: dict[str, Failure] = {}
    made, kept = 0, 0
    for ids, speak in _work(voice, manifest, config):
        if all((out / f"{i}.wav").exists() for i in ids):
            kept += len(ids)
        else:
            for i, audio in speak():
                if isinstance(audio, UserError):
                    failures[i] = Failure(id=i, reason=str(audio))
                    continue
                _write(audio, out / f"{i}.wav")
                made += 1
        if progress:
            progress(made + kept + len(failures), len(manifest), "")
    ordered = tuple(failures[row.id] for row in manifest.rows if row.id in failures)
    _write_failures(out / FAILURES, ordered)
    return Spoken(n=len(manifest), made=made, kept=kept, failures=ordered)


def _work(
    voice: Voice | Speaker, manifest: Manifest, config: SetConfig
) -> Iterator[tuple[list[str], Callable[[], Iterator[Said]]]]:
    """Ids that are spoken together, and what speaks them."""
    if not isinstance(voice, Voice):
        for row in manifest.rows:
            yield [row.id], partial(_say, voice, row, config)
        return
    ready: list[list[_Sentence]] = []
    for row in manifest.rows:
        try:
            ready.append(_sentences(voice, row, config))
        except UserError as e:
            yield [row.id], partial(iter, [(row.id, e)])
    for rows in _batches(ready, config.batch if _pads_exactly(voice) else 1):
        yield [row[0].row.id for row in rows], partial(_speak, voice, rows, config)


def _say(voice: Speaker, row: Row, config: SetConfig) -> Iterator[Said]:
    how = {"speaker": config.speaker, "steps": config.steps, "temperature": config.temperature}
    given = {k: v for k, v in how.items() if v is not None}
    try:
        yield row.id, voice.say(row.text, seed=row_seed(config.seed, row.id), rate=config.rate, **given)
    except UserError as e:
        yield row.id, e


def _sentences(voice: Voice, row: Row, config: SetConfig) -> list[_Sentence]:
    name = config.speaker or (row.speaker if row.speaker in voice.speakers else voice.speakers[0])
    speaker = voice.speakers.index(name) if name in voice.speakers else -1
    if speaker < 0:
        from intona.errors import unknown

        unknown("speaker", name, voice.speakers)
    spoken = voice.frontend(split_sentences(row.text))
    if not spoken:
        raise UserError("nothing to say")
    return [_Sentence(row=row, place=i, spoken=s, speaker=speaker) for i, s in enumerate(spoken)]


def _pads_exactly(voice: Voice) -> bool:
    """The 2-D U-Net's group norm sees the padding: its items are spoken one by one."""
    return voice.model.config.decoder.kind != "unet2d"


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


def _speak(voice: Voice, rows: list[list[_Sentence]], config: SetConfig) -> Iterator[Said]:
    """Each row's audio, or why there is none."""
    sentences = [s for row in rows for s in row]
    mels = iter(mels_of(voice, sentences, config))
    pause = np.zeros(round(PAUSE_SECONDS * voice.spec.sample_rate), dtype=np.float32)
    for row in rows:
        mine = [next(mels) for _ in row]
        try:
            # One at a time: the vocoder would hear the padding.
            waves = [voice.vocoder.decode(m[None])[0].float().cpu().numpy() for m in mine]
            whole = np.concatenate([x for w in waves for x in (pause, w)][1:])
            if not np.isfinite(whole).all():
                raise UserError("the vocoder's samples are not finite")
            yield row[0].row.id, Audio(np.clip(whole, -1, 1), voice.spec.sample_rate)
        except UserError as e:
            yield row[0].row.id, e


def mels_of(voice: Voice, sentences: Sequence[_Sentence], config: SetConfig) -> list[torch.Tensor]:
    """Mels (T_i, n_mels) of sentences in one batch."""
    tokens, lengths, pieces = voice.numbers([s.spoken for s in sentences])
    model, card = voice.model, voice.card
    training = model.training
    model.eval()
    set_fast_matmul()
    steps, temperature, _ = _resolved(voice, config)
    try:
        with autocast():
            speech = model.synthesize(
                tokens,
                lengths,
                pieces=pieces,
                speakers=torch.tensor([s.speaker for s in sentences]),
                steps=steps,
                solver=str(card.get("solver", "dpm2m")),
                temperature=temperature,
                length_scale=float(card.get("length_scale", 1.0)) / config.rate,
                random=_RowRandom([(row_seed(config.seed, s.row.id), s.place) for s in sentences]),
            )
    finally:
        model.train(training)
    return [mel[:n].float() for mel, n in zip(speech.mel, speech.lengths.tolist(), strict=True)]


def _resolved(voice: Voice, config: SetConfig) -> tuple[int, float, str]:
    steps = config.steps or int(voice.card.get("steps", DEFAULT_STEPS))
    own = float(voice.card.get("temperature", DEFAULT_TEMPERATURE))
    return steps, own if config.temperature is None else config.temperature, str(voice.card.get("solver", ""))


def _made_by(voice: Voice | Speaker, manifest: Manifest, config: SetConfig) -> dict[str, Any]:
    own = isinstance(voice, Voice)
    steps, temperature, solver = _resolved(voice, config) if own else (config.steps, config.temperature, "")
    return {
        "voice": _weights(voice),
        "n": len(manifest),
        "manifest_sha256": manifest.sha256,
        "seed": config.seed,
        "steps": steps,
        "solver": solver,
        "temperature": temperature,
        "rate": config.rate,
        "speaker": config.speaker,
        "batch": config.batch,
    }


def _weights(voice: Voice | Speaker) -> str:
    """Hash of the weights themselves: the same for a run and its published copy only if they are equal."""
    whole = hashlib.sha256()
    for name, tensor in sorted(voice.model.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


def _claim(out: Path, made_by: dict[str, Any]) -> None:
    """Write what will be made before anything is: N is declared here."""
    mark = out / MADE_BY
    try:
        out.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            before = read_json(mark)
            changed = [k for k in made_by if not isinstance(before, dict) or before.get(k) != made_by[k]]
            if changed:
                raise UserError(
                    f"holds wavs made with another {', '.join(changed)}",
                    where=out,
                    mend="choose another --out, or remove the folder",
                )
        elif any(out.glob("*.wav")):
            raise UserError("holds wavs of unknown make", where=out, mend="choose another --out")
        else:
            write_json(mark, made_by)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None


def _write(audio: Audio, target: Path) -> None:
    half = target.with_name(f".{target.stem}.{os.getpid()}.wav")
    try:
        audio.write(half)
        os.replace(half, target)
    finally:
        with contextlib.suppress(OSError):
            half.unlink()


def _write_failures(path: Path, failures: Sequence[Failure]) -> None:
    half = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    lines = [json.dumps({"id": f.id, "reason": f.reason}, ensure_ascii=False) + "\n" for f in failures]
    half.write_text("".join(lines), encoding="utf-8")
    os.replace(half, path)
