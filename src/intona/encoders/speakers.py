"""The speaker vectors that a text encoder was trained on: a voice built on it needs the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intona import checkpoint
from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders.speaker import SpeakerEncoder, SpeakerVectors, speaker_vectors
from intona.errors import UserError

GE2E, NOBODY = "ge2e", "none"
FILE = "speaker.json"  # in a checkpoint: what computed the vectors


def speaker_encoder(name: str) -> SpeakerEncoder:
    """The model that computes the vectors.

    Args:
        name: "ge2e" (Resemblyzer), or a directory or hub id of a WavLM with an x-vector head.

    Raises:
        UserError: the package or the model is missing.
    """
    if name == GE2E:
        from intona.encoders.ge2e import GE2E as Embedder

        return Embedder()
    from intona.encoders.wavlm import WavLm

    return WavLm(name)


def require_same(path: Path, name: str, origin: dict[str, Any]) -> None:
    """Refuse vectors that were not computed like those in a run's speaker.json, if it has one.

    Args:
        path: the run or checkpoint. name: of the model that computes the vectors. origin: its `describe()`.

    Raises:
        UserError: names what differs.
    """
    before = configs.read_json(path / FILE) if (path / FILE).is_file() else None
    if before is not None and before != origin:
        unlike = [k for k in {**before, **origin} if before.get(k) != origin.get(k)]
        raise UserError(
            f'its speaker vectors were made otherwise than "{name}" makes them now ({", ".join(unlike)})',
            where=path,
            hint="install the version it was trained with, or train it again",
        )


def vectors_by(prepared: Prepared, speaker: str) -> SpeakerVectors | None:
    """A vector for each utterance of a corpus; None for "none".

    Args:
        speaker: "ge2e" (Resemblyzer), "none", or a directory or hub id of a WavLM with an x-vector head.

    Raises:
        UserError: the package or the model is missing.
    """
    if speaker == NOBODY:
        return None
    if speaker == GE2E:
        return speaker_vectors(prepared)
    return speaker_vectors(prepared, encoder=speaker_encoder(speaker))


def kind_of(run: Path, *, default: str = GE2E) -> str:
    """The kind of speaker vectors that a run was trained on, "none" if it had none.

    Args:
        default: for a run that does not say. An encoder of stage 1 has had no speaker: GE2E, the default of
            the stages after it.
    """
    return configs.read_json(checkpoint.resolve(run) / "config.json").get("speaker", default)


def vectors_of(prepared: Prepared, encoder: Path) -> SpeakerVectors | None:
    """Vectors of the kind that the text encoder of a run was trained on; None if it had none.

    Raises:
        UserError: the model that it names computes other vectors in the installed version.
    """
    speaker = kind_of(encoder)
    vectors = vectors_by(prepared, speaker)
    if vectors is not None:
        require_same(checkpoint.resolve(encoder), speaker, vectors.encoder_facts)
    return vectors


def files(vectors: SpeakerVectors | None) -> dict[str, Any]:
    """The file of a checkpoint that records what computed the vectors."""
    return {} if vectors is None else {FILE: vectors.encoder_facts}
