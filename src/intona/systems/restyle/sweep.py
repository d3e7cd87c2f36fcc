"""Jobs of the study that speak: every arm at every guidance scale, the control without restyling, the swap.

Each writes `wavs/ROW.wav` for all rows of the test and `found.json`: what was measured on each, beside what
was asked for. A row that cannot be spoken has no wav and no figures: it is counted, never left out.

Figures stand in deviations of the speech that the model was trained on: the recordings of the train split,
or the voice's own speech for a model of that. What is asked for is a number of deviations too, so that
"higher than usual by one" is the same request to both. All models keep the text's own lengths here, whatever
the style says of its rate: both styles of a sentence have the same frames.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import Audio, read_audio
from intona.data.prepared import Prepared
from intona.encoders import ge2e
from intona.encoders.captions import deviations
from intona.encoders.style import NAMES, ProsodyStyle, StyleEncoder, measure
from intona.errors import UserError
from intona.evaluation import read_manifest
from intona.evaluation.controls import put
from intona.nn.random import derive_seed
from intona.study import stages
from intona.study.stages import MANIFEST, RUN, WAVS, TimeIsUp, require_corpus, until
from intona.systems.restyle import speak, trial, vits
from intona.systems.restyle.axis import fit_axis
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.own import own_pairs
from intona.systems.restyle.posterior import texts_of
from intona.systems.restyle.stage import RestyleRunConfig
from intona.systems.restyle.trial import Wanted
from intona.systems.restyle.verdict import cosine
from intona.systems.restyle.vits import VitsSpace

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


def speak_own(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    sentences: int,
    seed: int,
) -> None:
    """The voice's own speech, kept beside the corpus, for the models that are trained on it."""
    require_corpus(data, corpus)
    frames = RestyleRunConfig().max_frames
    pairs, style = own_pairs(
        Prepared.open(data), vits.load(voice), count=sentences, seed=seed, max_frames=frames
    )
    told = {"sentences": {s: len(p) for s, p in pairs.items()}, "scale": style.describe()["scale"]}
    configs.write_json(out / FOUND, told)


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
    described: bool = False,
    paced: bool = False,
    pushed: str = "",
) -> bool:
    """All rows in the voice of job `model` at one guidance scale; without a model, decode(Z_text).

    Both poles of a sentence have the same noise and the same Z_text; where no style is heard they are one
    sound. A killed one goes on.

    Args:
        decoder: job of a tuned decoder, in place of the voice's.
        described: the styles are the words "low" and "high" in place of the references.
        paced: decode(Z_text) at the reference's rate: a control that must move the rate.
        pushed: job of the voice's own speech, whose deviations count: decode(Z_text), its noise pushed along
            the voice's pitch axis to the pitch that is asked for. No model.
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
    usual = configs.read_json(needs[pushed] / FOUND)["scale"] if pushed else conditions.scale
    encoder = ProsodyStyle(usual) if spoken is None else spoken.style
    scale = encoder.scale if isinstance(encoder, ProsodyStyle) else conditions.scale
    axis = fit_axis(space, texts_of(prepared, space)) if pushed else None
    wavs, tell = out / WAVS, until(limit_minutes)
    wavs.mkdir(parents=True, exist_ok=True)
    alike = not paced and not pushed and (spoken is None or guidance == 0)
    made: dict[str, np.ndarray] = {}  # styles of references
    failures: list[str] = []

    def asked(wanted: Wanted) -> np.ndarray:
        return encoder.of_text(wanted.pole) if described else style_of(encoder, prepared, wanted, made)

    try:
        for number, row in enumerate(manifest.rows):
            target = wavs / f"{row.id}.wav"
            if target.exists():
                continue
            tell(number, len(manifest), "")
            wanted = conditions.rows[row.id]
            twin = wavs / f"{other_pole(wanted)}.wav"
            if alike and twin.exists():
                put(target, lambda half, twin=twin: shutil.copyfile(twin, half))
                continue
            noise = derive_seed("restyle", seed, wanted.sentence)
            try:
                if spoken is None:
                    rate = encoder.rate(asked(wanted)) if paced else None
                    raised = None if axis is None else (axis, pitch_asked(asked(wanted), scale))
                    z = z_text_of(
                        space, row.text, "0", seed=noise, speaker=speaker, rate=rate or 1.0, raised=raised
                    )
                    audio = space.sound(z, speaker=speaker)
                else:
                    how: dict[str, Any] = {"guidance": guidance, "steps": steps, "seed": noise, "rate": 1.0}
                    audio = spoken.say(row.text, asked(wanted), **how).audio
            except UserError as e:
                failures.append(f"{row.id}: {e.what}")
                continue
            put(target, audio.write)
    except TimeIsUp:
        return False
    if len(failures) == len(manifest):
        raise UserError(f"none of {len(manifest)} rows could be spoken: {failures[0]}")
    found, people = {}, people_of(needs)
    for row in manifest.rows:
        path, wanted = wavs / f"{row.id}.wav", conditions.rows[row.id]
        if alike and (twin := found.get(other_pole(wanted))) is not None:
            found[row.id] = twin | {"asked": vector_told(encoder, asked(wanted))}
            continue
        recorded = prepared.speakers[prepared[wanted.item].speaker]
        found[row.id] = figures(path, scale, encoder, people, recorded)
        found[row.id]["asked"] = vector_told(encoder, asked(wanted))
    told = {"rows": found, "failures": failures, "guidance": guidance, "style": encoder.name}
    if described and isinstance(encoder, ProsodyStyle):
        half = len(NAMES)
        told["described"] = {p: [float(v) for v in encoder.of_text(p)[:half]] for p in trial.POLES}
    configs.write_json(out / FOUND, told)
    return True


def pitch_asked(style: np.ndarray, scale: Mapping[str, Sequence[float]]) -> float:
    """Log Hz above the voice's usual pitch."""
    return float(style[NAMES.index("pitch")]) * float(scale["pitch"][1])


def other_pole(wanted: Wanted) -> str:
    return f"{wanted.sentence}.{'low' if wanted.pole == 'high' else 'high'}"


def style_of(
    encoder: StyleEncoder, prepared: Prepared, wanted: Wanted, made: dict[str, np.ndarray]
) -> np.ndarray:
    """The condition that a row's reference is; `made` keeps what was found.

    Measured prosody is asked for in deviations: as training had it for a model of the corpus, and the same
    distance from its own usual speech for a model of that.
    """
    if wanted.reference not in made:
        if isinstance(encoder, ProsodyStyle):
            vector = np.array([*np.clip(wanted.z, -4, 4), *np.ones(len(NAMES))], np.float32)
        else:
            vector = encoder.of_audio(read_audio(prepared.audio_path(prepared[wanted.reference])))
        made[wanted.reference] = vector
    return made[wanted.reference]


def people_of(needs: Mapping[str, Path]) -> dict[str, Any]:
    path = needs["people"] / PEOPLE
    return configs.read_json(path, max_bytes=1 << 26)


def figures(
    path: Path,
    scale: Mapping[str, tuple[float, float]],
    encoder: StyleEncoder,
    people: Mapping[str, Any],
    recorded: str,
) -> dict[str, Any]:
    """What was measured on one wav; None = undefined.

    `z` in deviations of `scale`, never clipped: a voice may lie far from the reader, and what counts is how
    its two styles differ. `own` is the vector of the arm's own style encoder, where that is not measured
    prosody; similarities are cosines of GE2E vectors.
    """
    out: dict[str, Any] = dict.fromkeys(("z", "own", "sim voice", "sim recorded"))
    if not path.exists():
        return out
    audio = read_audio(path)
    try:
        measured = measure(audio)
    except UserError:
        return out
    out["z"] = [round(float(v), 4) for v in deviations(measured, scale)]
    if not isinstance(encoder, ProsodyStyle):
        out["own"] = vector_told(encoder, encoder.of_audio(audio))
    vector = None if "voice" not in people else vector_of(audio)
    if vector is not None:
        out["sim voice"] = similarity(vector, people["voice"][0])
        out["sim recorded"] = similarity(vector, people["corpus"].get(recorded))
    return out


def vector_told(encoder: StyleEncoder, vector: np.ndarray) -> list[float] | None:
    """A style vector for the page; measured prosody stands there already."""
    return None if isinstance(encoder, ProsodyStyle) else [round(float(v), 5) for v in vector]


def similarity(a: Any, b: Any) -> float | None:
    return None if a is None or b is None else cosine(a, b)


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
                style = style_of(spoken.style, prepared, wanted, made)
                noise = derive_seed("restyle", seed, wanted.sentence)
                found: dict[str, Any] = {"sentence": wanted.sentence, "style": wanted.pole, "speaker": name}
                try:
                    how: dict[str, Any] = {"guidance": guidance, "steps": steps, "seed": noise, "rate": 1.0}
                    audio = spoken.say(row.text, style, **how).audio
                    found["z"] = [round(float(v), 4) for v in conditions.deviations(measure(audio))]
                    vector = None if "voice" not in people else vector_of(audio)
                    found["sim"] = [similarity(vector, v) for v in people.get("voice", (None, None))]
                except UserError:
                    found |= {"z": None, "sim": [None, None]}
                rows[key] = found
                configs.write_json(kept, rows)
    except TimeIsUp:
        return False
    configs.write_json(out / FOUND, {"applicable": True, "rows": rows})
    return True
