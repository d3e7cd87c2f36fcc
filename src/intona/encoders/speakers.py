"""Which speaker vectors a text encoder was trained on: what stands on it must be conditioned on the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intona import checkpoint
from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders.speaker import SpeakerEncoder, SpeakerVectors, speaker_vectors
from intona.errors import UserError

GE2E, NOBODY = "ge2e", "none"
MADE_BY = "speaker.json"


def speaker_encoder(name: str) -> SpeakerEncoder:
    """What makes the vectors.

    Args:
        name: "ge2e" (Resemblyzer), or a directory or hub id of a WavLM with an x-vector head.

    Raises:
        UserError: the package or the model cannot be had.
    """
    if name == GE2E:
        from intona.encoders.ge2e import GE2E as Embedder

        return Embedder()
    from intona.encoders.wavlm import WavLm

    return WavLm(name)


def require_same(path: Path, name: str, made_by: dict[str, Any]) -> None:
    """Refuse vectors of another making than those in a run's speaker.json, if it has one.

    Args:
        path: the run or checkpoint. name: what makes vectors now. made_by: its `describe()`.
    """
    before = configs.read_json(path / MADE_BY) if (path / MADE_BY).is_file() else None
    if before is not None and before != made_by:
        unlike = [k for k in {**before, **made_by} if before.get(k) != made_by.get(k)]
        raise UserError(
            f'its speaker vectors were made otherwise than "{name}" makes them now ({", ".join(unlike)})',
            where=path,
            hint="install the version it was trained with, or train it again",
        )


def vectors_by(prepared: Prepared, speaker: str) -> SpeakerVectors | None:
    """A vector for each utterance of a corpus; None for nobody's.

    Args:
        speaker: "ge2e" (Resemblyzer), "none", or a directory or hub id of a WavLM with an x-vector head.

    Raises:
        UserError: the package or the model cannot be had.
    """
    if speaker == NOBODY:
        return None
    if speaker == GE2E:
        return speaker_vectors(prepared)
    return speaker_vectors(prepared, encoder=speaker_encoder(speaker))


def kind_of(run: Path, *, default: str = GE2E) -> str:
    """What made the speaker vectors of a run, "none" where it had nobody's.

    Args:
        default: of a run that names none. An encoder of stage 1 has had no speaker: GE2E, as a stage after it
            would take.
    """
    return configs.read_json(checkpoint.resolve(run) / "config.json").get("speaker", default)


def vectors_of(prepared: Prepared, encoder: Path) -> SpeakerVectors | None:
    """The same kind as the text encoder of a run was trained on; None where it knows nobody.

    Raises:
        UserError: the embedder it names gives other vectors by now.
    """
    speaker = kind_of(encoder)
    vectors = vectors_by(prepared, speaker)
    if vectors is not None:
        require_same(checkpoint.resolve(encoder), speaker, vectors.made_by)
    return vectors


def files(vectors: SpeakerVectors | None) -> dict[str, Any]:
    """What a checkpoint keeps of it."""
    return {} if vectors is None else {MADE_BY: vectors.made_by}
