"""Which speaker vectors a text encoder was trained on: the same must be made wherever it reads a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intona import config as configs
from intona.encoders.speaker import SpeakerEncoder
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
