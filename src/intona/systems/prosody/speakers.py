"""Which speaker vectors an encoder was trained on: what stands on it must be told the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intona import checkpoint
from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders.speaker import SpeakerVectors, speaker_vectors
from intona.errors import UserError

GE2E, NOBODY = "ge2e", "none"
MADE_BY = "speaker.json"


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
    from intona.evaluation.wavlm import WavLm

    return speaker_vectors(prepared, encoder=WavLm(speaker))


def vectors_of(prepared: Prepared, encoder: Path) -> SpeakerVectors | None:
    """The same kind as the text encoder of a run was trained on; None where it knows nobody.

    An encoder of stage 1 has heard nobody: GE2E's, as a stage after it would take.

    Raises:
        UserError: the embedder it names gives other vectors by now.
    """
    path = checkpoint.resolve(encoder)
    speaker = configs.read_json(path / "config.json").get("speaker", GE2E)
    vectors = vectors_by(prepared, speaker)
    before = configs.read_json(path / MADE_BY) if (path / MADE_BY).is_file() else None
    if vectors is not None and before is not None and before != vectors.made_by:
        unlike = [k for k in {**before, **vectors.made_by} if before.get(k) != vectors.made_by.get(k)]
        raise UserError(
            f'its speaker vectors were made otherwise than "{speaker}" makes them now ({", ".join(unlike)})',
            where=path,
            mend="install the version it was trained with, or train it again",
        )
    return vectors


def files(vectors: SpeakerVectors | None) -> dict[str, Any]:
    """What a checkpoint keeps of it."""
    return {} if vectors is None else {MADE_BY: vectors.made_by}
