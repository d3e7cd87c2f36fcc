"""Jobs that speak the test set: arms at their guidance scales, controls without restyling, and the swap.

`speak` writes `wavs/ROW.wav` for each row of the test set, and its measured and requested figures. A row that
cannot be spoken has no wav and no figures, but it is counted.

Figures are in deviations of the speech that the model was trained on: the recordings of the train split, or
synthetic speech of the voice. Requests are in deviations too, so that "higher than usual by one" means the
same for both. All models keep the durations of the text whatever the rate of the style, so that both styles
of a sentence have the same frames.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import read_audio
from intona.data.prepared import Prepared
from intona.encoders.captions import deviations
from intona.encoders.style import NAMES, ProsodyStyle, StyleEncoder, measure
from intona.errors import UserError
from intona.evaluation import read_manifest
from intona.evaluation.controls import put
from intona.nn.random import derive_seed
from intona.studies.engine.stages import MANIFEST, RESULTS, RUN, WAVS, TimeIsUp, require_corpus, until
from intona.studies.restyle.conditions import (
    POLES,
    RowStyle,
    read_conditions,
    trained_posterior,
    tuned_decoder,
)
from intona.studies.restyle.speakers import similarity, speakers_of, vector_of
from intona.systems.restyle import speak as voices
from intona.systems.restyle import vits
from intona.systems.restyle.axis import fit_axis
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.posterior import texts_of
from intona.systems.restyle.speak import RestyleVoice
from intona.systems.restyle.vits.posterior import latents_of


def speak(
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
    copied: bool = False,
) -> bool:
    """Speak all rows with the model of job `model` at one guidance scale, or without a model decode(Z_text).

    Both poles of a sentence have the same noise and the same Z_text, so without a style they are the same
    audio. Resumes where it stopped.

    Args:
        decoder: job of a tuned decoder, in place of the decoder of the voice.
        described: the styles are the words "low" and "high" instead of the references.
        paced: decode(Z_text) at the rate of the reference: a control in which the rate must change.
        pushed: decode(Z_text) with the noise pushed along the pitch axis to the requested pitch, without a
            model; names the job with the synthetic speech whose deviations are used.
        copied: decode(Z_audio) of the recordings, in place of decode(Z_text).
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    manifest, conditions = read_manifest(needs["test"] / MANIFEST), read_conditions(needs["test"])
    restyler: RestyleVoice | None = None
    tuned = needs[decoder] / RUN if decoder else None
    if model:
        restyler = voices.load(needs[model] / RUN, voice=voice, decoder=tuned)
    space = vits.load(voice) if restyler is None else restyler.space
    copy_of_decoder = tuned_decoder(space, needs, decoder) if restyler is None else None
    net = trained_posterior(space, needs) if copied else None
    speaker = space.speaker(None)
    usual_scale = configs.read_json(needs[pushed] / RESULTS)["scale"] if pushed else conditions.scale
    encoder = ProsodyStyle(usual_scale) if restyler is None else restyler.style
    scale = encoder.scale if isinstance(encoder, ProsodyStyle) else conditions.scale
    axis = fit_axis(space, texts_of(prepared, space)) if pushed else None
    wavs, check_time = out / WAVS, until(limit_minutes)
    wavs.mkdir(parents=True, exist_ok=True)
    same_audio = not paced and not pushed and (restyler is None or guidance == 0)
    vectors: dict[str, np.ndarray] = {}  # styles of references
    failures: list[str] = []

    def requested(style: RowStyle) -> np.ndarray:
        return encoder.of_text(style.pole) if described else style_of(encoder, prepared, style, vectors)

    try:
        for number, row in enumerate(manifest.rows):
            target = wavs / f"{row.id}.wav"
            if target.exists():
                continue
            check_time(number, len(manifest), "")
            style = conditions.rows[row.id]
            twin = wavs / f"{other_pole(style)}.wav"
            if same_audio and twin.exists():
                put(target, lambda half, twin=twin: shutil.copyfile(twin, half))
                continue
            noise = derive_seed("restyle", seed, style.sentence)
            try:
                if copied:
                    recording = read_audio(prepared.audio_path(prepared[style.item]))
                    z = latents_of(space, net, recording, speaker=speaker)
                    audio = space.sound(z, speaker=speaker, decoder=copy_of_decoder)
                elif restyler is None:
                    rate = encoder.rate(requested(style)) if paced else None
                    raised = None if axis is None else (axis, requested_pitch(requested(style), scale))
                    z = z_text_of(
                        space, row.text, "0", seed=noise, speaker=speaker, rate=rate or 1.0, raised=raised
                    )
                    audio = space.sound(z, speaker=speaker, decoder=copy_of_decoder)
                else:
                    options: dict[str, Any] = {
                        "guidance": guidance,
                        "steps": steps,
                        "seed": noise,
                        "rate": 1.0,
                    }
                    audio = restyler.say(row.text, requested(style), **options).audio
            except UserError as e:
                failures.append(f"{row.id}: {e.what}")
                continue
            put(target, audio.write)
    except TimeIsUp:
        return False
    if len(failures) == len(manifest):
        raise UserError(f"none of {len(manifest)} rows could be spoken: {failures[0]}")
    rows, people = {}, speakers_of(needs)
    for row in manifest.rows:
        path, style = wavs / f"{row.id}.wav", conditions.rows[row.id]
        if same_audio and (twin := rows.get(other_pole(style))) is not None:
            rows[row.id] = twin | {"asked": rounded(encoder, requested(style))}
            continue
        recorded = prepared.speakers[prepared[style.item].speaker]
        rows[row.id] = figures(path, scale, encoder, people, recorded)
        rows[row.id]["asked"] = rounded(encoder, requested(style))
    results = {"rows": rows, "failures": failures, "guidance": guidance, "style": encoder.name}
    if described and isinstance(encoder, ProsodyStyle):
        half = len(NAMES)
        results["described"] = {p: [float(v) for v in encoder.of_text(p)[:half]] for p in POLES}
    configs.write_json(out / RESULTS, results)
    return True


def requested_pitch(style: np.ndarray, scale: Mapping[str, Sequence[float]]) -> float:
    """The requested pitch in log Hz relative to the mean of the voice."""
    return float(style[NAMES.index("pitch")]) * float(scale["pitch"][1])


def other_pole(style: RowStyle) -> str:
    return f"{style.sentence}.{'low' if style.pole == 'high' else 'high'}"


def style_of(
    encoder: StyleEncoder, prepared: Prepared, style: RowStyle, vectors: dict[str, np.ndarray]
) -> np.ndarray:
    """The style vector of a row's reference; `vectors` caches them.

    Measured prosody is requested in deviations: of the recordings for a model trained on them, and of its
    synthetic speech for a model trained on that.
    """
    if style.reference not in vectors:
        if isinstance(encoder, ProsodyStyle):
            vector = np.array([*np.clip(style.z, -4, 4), *np.ones(len(NAMES))], np.float32)
        else:
            vector = encoder.of_audio(read_audio(prepared.audio_path(prepared[style.reference])))
        vectors[style.reference] = vector
    return vectors[style.reference]


def figures(
    path: Path,
    scale: Mapping[str, tuple[float, float]],
    encoder: StyleEncoder,
    people: Mapping[str, Any],
    recorded: str,
) -> dict[str, Any]:
    """Figures measured on one wav; None = undefined.

    "z" is in deviations of `scale`, not clipped: a voice may be far from the recorded speaker, and only the
    difference between its two styles counts. "own" is the vector of the arm's style encoder, unless that is
    measured prosody. Similarities are cosines of GE2E vectors.
    """
    readers: Mapping[str, Any] = people.get("readers", {})
    keys = ("z", "own", "sim voice", "sim recorded", *(f"sim {name}" for name in readers))
    out: dict[str, Any] = dict.fromkeys(keys)
    if not path.exists():
        return out
    audio = read_audio(path)
    try:
        measured = measure(audio)
    except UserError:
        return out
    out["z"] = [round(float(v), 4) for v in deviations(measured, scale)]
    if not isinstance(encoder, ProsodyStyle):
        out["own"] = rounded(encoder, encoder.of_audio(audio))
    vector = None if "voice" not in people else vector_of(audio)
    if vector is not None:
        out["sim voice"] = similarity(vector, people["voice"][0])
        out["sim recorded"] = similarity(vector, people["corpus"].get(recorded))
        out |= {f"sim {name}": similarity(vector, of_reader) for name, of_reader in readers.items()}
    return out


def rounded(encoder: StyleEncoder, vector: np.ndarray) -> list[float] | None:
    """A style vector for the results; None for measured prosody, which "z" has already."""
    return None if isinstance(encoder, ProsodyStyle) else [round(float(v), 5) for v in vector]


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
    """Speak sentences of the test set with all combinations of style {low, high} and speaker {A, B}.

    In the results "applicable" is False, with the reason, for a voice with one speaker.
    """
    require_corpus(data, corpus)
    people = speakers_of(needs)
    if len(people["speakers"]) < 2:
        why = "the voice has one speaker, so there is no other one to swap in"
        configs.write_json(out / RESULTS, {"applicable": False, "why": why})
        return True
    prepared, conditions = Prepared.open(data), read_conditions(needs["test"])
    manifest = read_manifest(needs["test"] / MANIFEST)
    vectors: dict[str, np.ndarray] = {}
    kept, check_time = out / "rows.json", until(limit_minutes)
    rows: dict[str, Any] = configs.read_json(kept, max_bytes=1 << 26) if kept.is_file() else {}
    try:
        for name, speaker in zip("AB", people["speakers"], strict=True):
            restyler = voices.load(needs[model] / RUN, voice=voice)
            restyler.speaker = speaker
            for number, row in enumerate(manifest.rows[: 2 * sentences or None]):
                key = f"{row.id}.{name}"
                if key in rows:
                    continue
                check_time(number, len(manifest), "")
                row_style = conditions.rows[row.id]
                style = style_of(restyler.style, prepared, row_style, vectors)
                noise = derive_seed("restyle", seed, row_style.sentence)
                entry: dict[str, Any] = {
                    "sentence": row_style.sentence,
                    "style": row_style.pole,
                    "speaker": name,
                }
                try:
                    options: dict[str, Any] = {
                        "guidance": guidance,
                        "steps": steps,
                        "seed": noise,
                        "rate": 1.0,
                    }
                    audio = restyler.say(row.text, style, **options).audio
                    entry["z"] = [round(float(v), 4) for v in conditions.deviations(measure(audio))]
                    vector = None if "voice" not in people else vector_of(audio)
                    entry["sim"] = [similarity(vector, v) for v in people.get("voice", (None, None))]
                except UserError:
                    entry |= {"z": None, "sim": [None, None]}
                rows[key] = entry
                configs.write_json(kept, rows)
    except TimeIsUp:
        return False
    configs.write_json(out / RESULTS, {"applicable": True, "rows": rows})
    return True
