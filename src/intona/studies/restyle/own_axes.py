"""The voice's own speech with one attribute shifted, without a model: pitch, range, level or rate.

Pitch and level are pushes of the noise along an axis of the voice, the range stretches the contour along the
pitch axis, and the rate is set in the voice's durations. Each sentence is spoken with the attribute lowered
and raised by the same amount. So the figures show how much of the shift is realized, what else moves with it
and what it costs in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders.style import FASTEST, NAMES, SLOWEST, ProsodyStyle
from intona.errors import UserError
from intona.evaluation import read_manifest
from intona.evaluation.controls import put
from intona.nn.random import derive_seed
from intona.studies.engine.stages import MANIFEST, RESULTS, WAVS, TimeIsUp, require_corpus, until
from intona.studies.restyle.conditions import POLES, read_conditions
from intona.studies.restyle.speakers import speakers_of
from intona.studies.restyle.speech import figures
from intona.systems.restyle import vits
from intona.systems.restyle.axis import fit_axis
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.posterior import texts_of

AXES = {"pitch": "pitch", "range": "range", "level": "energy", "rate": "rate"}  # axis -> measured attribute
AMOUNT = 1.0  # deviations of the recordings, down for one style of a sentence and up for the other
WIDEST = 3.0  # factor of the range


def speak_axis(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    axis: str,
    unshifted: str,
    seed: int = 0,
) -> bool:
    """Speak all rows of the test set with one attribute shifted. Resumes where it stopped.

    Args:
        axis: one of AXES. unshifted: the job that spoke decode(Z_text) with the decoder of the voice, whose
            measured range is what the range is stretched from.
    """
    require_corpus(data, corpus)
    prepared, space = Prepared.open(data), vits.load(voice)
    manifest, conditions = read_manifest(needs["test"] / MANIFEST), read_conditions(needs["test"])
    attribute, scale, speaker = AXES[axis], conditions.scale, space.speaker(None)
    ends = {
        p: [sign * AMOUNT * (n == attribute) for n in NAMES] for p, sign in zip(POLES, (-1, 1), strict=True)
    }
    plain: Mapping[str, Any] = configs.read_json(needs[unshifted] / RESULTS, max_bytes=1 << 28)["rows"]
    fitted = None
    if axis != "rate":
        fitted = fit_axis(space, texts_of(prepared, space), attribute="level" if axis == "level" else "pitch")
    wavs, check_time = out / WAVS, until(limit_minutes)
    wavs.mkdir(parents=True, exist_ok=True)
    failures: list[str] = []
    try:
        for number, row in enumerate(manifest.rows):
            if (target := wavs / f"{row.id}.wav").exists():
                continue
            check_time(number, len(manifest), "")
            style = conditions.rows[row.id]
            z = ends[style.pole][NAMES.index(attribute)]
            options: dict[str, Any] = {}
            if axis == "rate":
                options["rate"] = rate_of(z, scale)
            elif axis == "range":
                options["widened"] = (fitted, factor_of(z, scale, plain.get(row.id, {}).get("z")))
            else:
                options["raised"] = (fitted, z * float(scale[attribute][1]))
            noise = derive_seed("restyle", seed, style.sentence)
            try:
                latents = z_text_of(space, row.text, "0", seed=noise, speaker=speaker, **options)
                put(target, space.sound(latents, speaker=speaker).write)
            except UserError as e:
                failures.append(f"{row.id}: {e.what}")
    except TimeIsUp:
        return False
    if len(failures) == len(manifest):
        raise UserError(f"none of {len(manifest)} rows could be spoken: {failures[0]}")
    encoder, people = ProsodyStyle(scale), speakers_of(needs)
    rows = {}
    for row in manifest.rows:
        recorded = prepared.speakers[prepared[conditions.rows[row.id].item].speaker]
        rows[row.id] = figures(wavs / f"{row.id}.wav", scale, encoder, people, recorded)
    results = {"rows": rows, "failures": failures, "guidance": 0.0, "style": "prosody", "described": ends}
    configs.write_json(out / RESULTS, results | {"fit": None if fitted is None else fitted.fit})
    return True


def rate_of(z: float, scale: Mapping[str, Sequence[float]]) -> float:
    """The rate of speech that is `z` deviations of the recordings above their mean, relative to that mean."""
    centre, spread = scale["rate"]
    return float(np.clip((centre + z * spread) / max(centre, 1e-9), SLOWEST, FASTEST))


def factor_of(z: float, scale: Mapping[str, Sequence[float]], measured: Sequence[float] | None) -> float:
    """By how much to stretch a contour of the measured range so that its range changes by `z` deviations.

    Args:
        measured: attributes (NAMES) of the sentence in deviations; None = the range is that of the mean.
    """
    centre, spread = scale["range"]
    current = centre + spread * (measured[NAMES.index("range")] if measured is not None else 0.0)
    return float(np.clip((current + z * spread) / max(current, 1e-3), 0.0, WIDEST))
