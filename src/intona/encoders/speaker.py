"""Speaker vectors of a prepared corpus, computed once and kept beside it.

The vector that goes with an utterance is taken from *another* one of the same speaker: from its own sound it
would carry this very sentence's prosody to the text side, and the contrastive task would be solved by that.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import safetensors.numpy
from jaxtyping import Float, Float32
from safetensors import SafetensorError

from intona.audio import Audio, read_audio
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.files import write_whole
from intona.progress import track

FILE = "speaker-{}.safetensors"
logger = logging.getLogger(__name__)


@runtime_checkable
class SpeakerEncoder(Protocol):
    """A recording in, a vector of norm 1 out."""

    name: str

    def describe(self) -> dict[str, Any]: ...

    def embed(self, audio: Audio) -> Float32[np.ndarray, " width"]: ...


class SpeakerVectors:
    """One vector per utterance, and the choice of another utterance of the speaker.

    Args:
        vectors: utterance id -> vector. encoder_facts: what computed them (`SpeakerEncoder.describe`).
    """

    def __init__(
        self,
        prepared: Prepared,
        vectors: dict[str, Float[np.ndarray, " width"]],
        *,
        encoder_facts: dict[str, Any] | None = None,
    ) -> None:
        self.vectors = {i: np.asarray(v, np.float32) for i, v in vectors.items()}
        self.encoder_facts = dict(encoder_facts or {})
        self.dim = len(next(iter(vectors.values())))
        # By split: what is trained with never comes from what is tested on.
        self._split = {item.id: split for split in ("train", "dev", "test") for item in prepared.items(split)}
        self._peers: dict[tuple[int, str], list[str]] = defaultdict(list)
        for item in prepared:
            if item.id in vectors:
                self._peers[item.speaker, self._split[item.id]].append(item.id)

    def other(self, item: Item, rng: np.random.Generator) -> Float32[np.ndarray, " width"]:
        """The vector of another utterance of the same speaker, in its split or in train; zeros if none is."""
        for split in (self._split[item.id], "train"):
            peers = [i for i in self._peers.get((item.speaker, split), ()) if i != item.id]
            if peers:
                return self.vectors[peers[int(rng.integers(len(peers)))]]
        return np.zeros(self.dim, np.float32)

    def mean(self, speaker: int, *, without: str | None = None) -> Float32[np.ndarray, " width"]:
        """Normalised mean over the speaker's training utterances, for synthesis; zeros if there is none."""
        vectors = [self.vectors[i] for i in self._peers.get((speaker, "train"), ()) if i != without]
        if not vectors:
            return np.zeros(self.dim, np.float32)
        total = np.mean(vectors, axis=0)
        return (total / max(float(np.linalg.norm(total)), 1e-8)).astype(np.float32)


def speaker_vectors(prepared: Prepared, *, encoder: SpeakerEncoder | None = None) -> SpeakerVectors:
    """All utterances' vectors, from DATA/speaker-NAME.safetensors, which is made if it is not there.

    A recording with no sound has none. Where DATA cannot be written they live in memory.

    Args:
        encoder: GE2E if None, loaded only when something must be computed.

    Raises:
        UserError: the encoder's package is not installed.
    """
    from intona.encoders.ge2e import GE2E

    kind = encoder or GE2E  # what it is can be told without loading it
    path = prepared.root / FILE.format(re.sub(r"[^a-z0-9]+", "-", kind.name.lower()))
    # Vectors of another corpus, or made by other rules, are made again.
    encoder_facts = kind.describe()
    identity = hashlib.sha256(
        json.dumps([prepared.fingerprint, encoder_facts], sort_keys=True).encode()
    ).hexdigest()
    known = _read(path, prepared, identity)
    if known is None:
        known = _compute(prepared, encoder or GE2E())
        _write(path, prepared, known, identity)
    if not known:
        raise UserError("no recording with speech", where=prepared.root)
    return SpeakerVectors(prepared, known, encoder_facts=encoder_facts)


def _compute(prepared: Prepared, encoder: SpeakerEncoder) -> dict[str, np.ndarray]:
    items, out = list(prepared), {}
    for item in track(items, "speaker vectors"):
        try:
            out[item.id] = encoder.embed(read_audio(prepared.audio_path(item)))
        except UserError:
            continue
    return out


def _read(path: Path, prepared: Prepared, identity: str) -> dict[str, np.ndarray] | None:
    """None where there is no file, or it was made of other recordings or by other rules."""
    try:
        with safetensors.safe_open(path, "numpy") as f:
            if (f.metadata() or {}).get("identity") != identity:
                return None
            ids = [item.id for item in prepared]
            table, known = f.get_tensor("vectors"), f.get_tensor("known")
    except (OSError, SafetensorError, ValueError):
        return None
    if table.ndim != 2 or table.shape[0] != len(ids) or known.shape != (len(ids),):
        return None
    return {i: v.astype(np.float32) for i, v, k in zip(ids, table, known, strict=True) if k}


def _write(path: Path, prepared: Prepared, vectors: dict[str, np.ndarray], identity: str) -> None:
    if not vectors:
        return
    nothing = np.zeros(len(next(iter(vectors.values()))), np.float32)
    table = np.stack([vectors.get(item.id, nothing) for item in prepared])
    known = np.array([item.id in vectors for item in prepared])
    content = safetensors.numpy.save({"vectors": table, "known": known}, metadata={"identity": identity})
    try:
        write_whole(path, content)
    except OSError:
        logger.warning("speaker vectors not kept: %s cannot be written", path.parent)
