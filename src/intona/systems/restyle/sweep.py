"""Jobs of the study that speak: every arm at every guidance scale, the control without restyling, the swap.

Each writes `wavs/ROW.wav` for all rows of the test and `found.json`: what was measured on each, beside what
was asked for. A row that cannot be spoken has no wav and no figures: it is counted, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import Audio, read_audio
from intona.data.prepared import Prepared
from intona.encoders import ge2e
from intona.encoders.style import NAMES, ProsodyStyle, StyleEncoder, measure
from intona.errors import UserError
from intona.evaluation import Row, read_manifest
from intona.evaluation.controls import put
from intona.latents import vits
from intona.latents.vits import VitsSpace
from intona.nn.random import derive_seed
from intona.study import stages
from intona.study.stages import MANIFEST, RUN, WAVS, TimeIsUp, require_corpus, until
from intona.systems.restyle import speak, trial
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.trial import Conditions

FOUND, PEOPLE = "found.json", "people.json"
PROMPTS = 12  # sentences or recordings that a speaker's vector is the mean of


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
    voice: str,
    posterior: str,
    style: str,
) -> bool:
    """`study.stages.train`, told where the voice is and where the runs lie that it is built beside.

    A posterior is trained only for a voice that has none of its own; the job is then done at once.
    """
    own = vits.load(voice).facts.has_posterior if stage == "restyle.posterior" or posterior else False
    if stage == "restyle.posterior" and own:
        return True
    more = {} if stage == "restyle.style" else {"vits": voice}
    if posterior and not own:
        more["posterior"] = str(needs[posterior].resolve() / RUN)
    if style:
        more["style"] = f"style:{needs[style].resolve() / RUN}"
    return stages.train(
        out=out,
        needs=needs,
        limit_minutes=limit_minutes,
        stage=stage,
        size=size,
        data=data,
        corpus=corpus,
        overrides={**overrides, **more},
    )


def find_people(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
) -> None:
    """GE2E vectors of the voice's speakers (two at most, saying train texts) and of the corpus's speakers."""
    require_corpus(data, corpus)
    prepared, space = Prepared.open(data), vits.load(voice)
    facts: dict[str, Any] = {"speakers": voice_speakers(space)}
    if ge2e.weights_path() is None:
        configs.write_json(out / PEOPLE, {**facts, "reason": f"no speaker encoder: {ge2e.MEND}"})
        return
    train = [i for i in prepared.items("train") if i.seconds >= trial.MIN_SECONDS]

    def said(speaker: int | None) -> Iterable[Audio]:
        for item in train[:PROMPTS]:
            z = z_text_of(space, item.text, item.id, seed=1, speaker=speaker)
            yield space.sound(z, speaker=speaker)

    facts["voice"] = [mean_vector(said(s)) for s in facts["speakers"]]
    facts["corpus"] = {
        name: mean_vector(
            read_audio(prepared.audio_path(i)) for i in [i for i in train if i.speaker == number][:PROMPTS]
        )
        for number, name in enumerate(prepared.speakers)
    }
    configs.write_json(out / PEOPLE, facts)


def voice_speakers(space: VitsSpace) -> list[int | None]:
    """[None] for a voice of one speaker; the first and the middle one of several."""
    count = int(space.model.config.num_speakers)
    return [None] if count < 2 else [0, count // 2]


def mean_vector(sounds: Iterable[Audio]) -> list[float] | None:
    found = [v for v in map(vector_of, sounds) if v is not None]
    if not found:
        return None
    mean = np.mean(found, axis=0)
    return [round(float(x), 6) for x in mean / np.linalg.norm(mean)]


def vector_of(audio: Audio) -> np.ndarray | None:
    try:
        return _ge2e().embed(audio)
    except UserError:
        return None


@lru_cache(maxsize=1)
def _ge2e() -> ge2e.GE2E:
    return ge2e.GE2E()


def say(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    model: str = "",
    decoder: str = "",
    guidance: float = 0.0,
    steps: int = 10,
    seed: int = 0,
) -> bool:
    """All rows in the voice of job `model` at one guidance scale; without a model, decode(Z_text).

    Both poles of a sentence have the same noise and the same Z_text. A killed one goes on.

    Args:
        decoder: job of a tuned decoder, in place of the voice's.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    manifest, conditions = read_manifest(needs["test"] / MANIFEST), trial.read(needs["test"])
    spoken: speak.RestyleVoice | None = None
    if model:
        tuned = needs[decoder] / RUN if decoder else None
        spoken = speak.load(needs[model] / RUN, voice=voice, decoder=tuned)
    space = vits.load(voice) if spoken is None else spoken.space
    speaker = space.speaker(None)
    wavs, tell = out / WAVS, until(limit_minutes)
    wavs.mkdir(parents=True, exist_ok=True)
    made: dict[str, np.ndarray] = {}  # styles of references
    failures: list[str] = []
    try:
        for number, row in enumerate(manifest.rows):
            target = wavs / f"{row.id}.wav"
            if target.exists():
                continue
            tell(number, len(manifest), "")
            wanted = conditions.rows[row.id]
            noise = derive_seed("restyle", seed, wanted.sentence)
            try:
                if spoken is None:
                    z = z_text_of(space, row.text, "0", seed=noise, speaker=speaker)
                    audio = space.sound(z, speaker=speaker)
                else:
                    style = style_of(spoken.style, prepared, wanted.reference, made)
                    audio = spoken.say(row.text, style, guidance=guidance, steps=steps, seed=noise).audio
            except UserError as e:
                failures.append(f"{row.id}: {e.what}")
                continue
            put(target, audio.write)
    except TimeIsUp:
        return False
    if len(failures) == len(manifest):
        raise UserError(f"none of {len(manifest)} rows could be spoken: {failures[0]}")
    own = ProsodyStyle() if spoken is None else spoken.style
    rows = {
        row.id: figures(wavs / f"{row.id}.wav", row, conditions, prepared, own, people_of(needs), made)
        for row in manifest.rows
    }
    configs.write_json(
        out / FOUND, {"rows": rows, "failures": failures, "guidance": guidance, "style": own.name}
    )
    return True


def style_of(
    encoder: StyleEncoder, prepared: Prepared, reference: str, made: dict[str, np.ndarray]
) -> np.ndarray:
    """The condition that a recording of the corpus is, as training had it; `made` keeps what was found."""
    if reference not in made:
        if isinstance(encoder, ProsodyStyle):
            made[reference] = encoder.of_measured(measured_of(prepared)[reference])
        else:
            made[reference] = encoder.of_audio(read_audio(prepared.audio_path(prepared[reference])))
    return made[reference]


def people_of(needs: Mapping[str, Path]) -> dict[str, Any]:
    path = needs["people"] / PEOPLE
    return configs.read_json(path, max_bytes=1 << 26)


def figures(
    path: Path,
    row: Row,
    conditions: Conditions,
    prepared: Prepared,
    encoder: StyleEncoder,
    people: Mapping[str, Any],
    made: dict[str, np.ndarray],
) -> dict[str, Any]:
    """What was measured on one wav: `z` in deviations of the corpus, cosines, similarities; None = undefined.

    `cosine` is of measured prosody with what was asked for, `opposite` with the sentence's other pole;
    `own cosine` is of the arm's own style encoder.
    """
    blank: dict[str, Any] = dict.fromkeys(
        ("z", "cosine", "opposite", "own cosine", "sim voice", "sim recorded")
    )
    if not path.exists():
        return blank
    audio, wanted = read_audio(path), conditions.rows[row.id]
    out = dict(blank)
    try:
        measured = measure(audio)
    except UserError:
        return out
    z = np.clip(conditions.deviations(measured), -8, 8)
    other = conditions.rows[f"{wanted.sentence}.{'low' if wanted.pole == 'high' else 'high'}"]
    out["z"] = [round(float(v), 4) for v in z]
    out["cosine"], out["opposite"] = cosine(z, wanted.z), cosine(z, other.z)
    asked = style_of(encoder, prepared, wanted.reference, made)
    if isinstance(encoder, ProsodyStyle):
        half = len(NAMES)  # flags are no style
        out["own cosine"] = cosine(encoder.of_measured(measured)[:half], asked[:half])
    else:
        out["own cosine"] = cosine(encoder.of_audio(audio), asked)
    vector = None if "voice" not in people else vector_of(audio)
    if vector is not None:
        recorded = people["corpus"].get(prepared.speakers[prepared[wanted.item].speaker])
        out["sim voice"] = cosine(vector, people["voice"][0])
        out["sim recorded"] = cosine(vector, recorded)
    return out


def cosine(a: Any, b: Any) -> float | None:
    if a is None or b is None:
        return None
    a, b = np.asarray(a, float), np.asarray(b, float)
    return round(float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9)), 4)


def swap(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    model: str,
    guidance: float,
    steps: int = 10,
    seed: int = 0,
    sentences: int = 0,
) -> bool:
    """Style {low, high} x speaker {A, B} of the voice, on the sentences of the test, into `found.json`.

    `applicable` is False, with the reason, for a voice of one speaker.
    """
    require_corpus(data, corpus)
    people = people_of(needs)
    if len(people["speakers"]) < 2:
        why = "the voice has one speaker, so there is no second one to swap in"
        configs.write_json(out / FOUND, {"applicable": False, "why": why})
        return True
    prepared, conditions = Prepared.open(data), trial.read(needs["test"])
    manifest = read_manifest(needs["test"] / MANIFEST)
    made: dict[str, np.ndarray] = {}
    kept, tell = out / "rows.json", until(limit_minutes)
    rows: dict[str, Any] = configs.read_json(kept, max_bytes=1 << 26) if kept.is_file() else {}
    try:
        for name, speaker in zip("AB", people["speakers"], strict=True):
            spoken = speak.load(needs[model] / RUN, voice=voice)
            spoken.speaker = speaker
            for number, row in enumerate(manifest.rows[: 2 * sentences or None]):
                key = f"{row.id}.{name}"
                if key in rows:
                    continue
                tell(number, len(manifest), "")
                wanted = conditions.rows[row.id]
                style = style_of(spoken.style, prepared, wanted.reference, made)
                noise = derive_seed("restyle", seed, wanted.sentence)
                found: dict[str, Any] = {"sentence": wanted.sentence, "style": wanted.pole, "speaker": name}
                try:
                    audio = spoken.say(row.text, style, guidance=guidance, steps=steps, seed=noise).audio
                    z = np.clip(conditions.deviations(measure(audio)), -8, 8)
                    found["z"] = [round(float(v), 4) for v in z]
                    vector = None if "voice" not in people else vector_of(audio)
                    found["sim"] = [cosine(vector, v) for v in people.get("voice", (None, None))]
                except UserError:
                    found |= {"z": None, "sim": [None, None]}
                rows[key] = found
                configs.write_json(kept, rows)
    except TimeIsUp:
        return False
    configs.write_json(out / FOUND, {"applicable": True, "rows": rows})
    return True
