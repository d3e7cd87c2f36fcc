"""The measured prosody of every recording of a corpus, computed once and kept with it."""

from __future__ import annotations

import hashlib
import json
import logging

from intona.audio import read_audio
from intona.config import read_json, write_json
from intona.data.prepared import Prepared
from intona.encoders.captions import corpus_scale
from intona.encoders.style import measure, measuring
from intona.errors import UserError
from intona.progress import track

log = logging.getLogger(__name__)

FILE = "prosody-{}.json"


def measured_of(prepared: Prepared) -> dict[str, dict[str, float]]:
    """Utterance id -> `encoders.style.measure`, from DATA/prosody-*.json if that file is up to date.

    Recordings without measurable speech are left out.

    Raises:
        UserError: no recording has measurable speech.
    """
    inputs = [prepared.fingerprint, measuring()]
    identity = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    path = prepared.root / FILE.format(identity)
    if path.is_file():
        return read_json(path, max_bytes=1 << 28)
    prosody = _measure(prepared)
    if not prosody:
        raise UserError("no recording has speech in it", where=prepared.root)
    try:
        write_json(path, prosody)
    except OSError:
        log.warning(f"measured prosody is not kept: {path.parent} cannot be written")
    return prosody


def train_scale(prepared: Prepared) -> dict[str, tuple[float, float]]:
    """Attribute -> mean and standard deviation over the train split, which standardize a style.

    Raises:
        UserError: fewer than two recordings have measurable speech.
    """
    measured = measured_of(prepared)
    return corpus_scale([measured[i.id] for i in prepared.items("train") if i.id in measured])


def _measure(prepared: Prepared) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    items = list(prepared)
    for item in track(items, "prosody"):
        try:
            attributes = measure(read_audio(prepared.audio_path(item)))
        except UserError:
            continue
        out[item.id] = {k: round(v, 6) for k, v in attributes.items()}
    if lost := len(items) - len(out):
        log.warning(f"{lost} of {len(items)} recordings have no speech to measure")
    return out
