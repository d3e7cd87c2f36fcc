"""Audio files of a system by utterance id, and the ways in which a file can be unusable."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from intona.audio import Audio, read_audio
from intona.errors import UserError
from intona.evaluation.manifest import Manifest

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
SPOKEN = "failures.jsonl"  # `synthesize-set` writes it last; it is empty if nothing failed
MAX_SECONDS = 600.0
MIN_SECONDS = 0.05
SILENT_PEAK = 1e-4  # -80 dB of full scale: three steps of a 16-bit file

Status = Literal["ok", "missing", "unreadable", "empty", "silent", "non-finite", "too long", "no speech"]
# Words in the errors of `read_audio` -> status; all other errors mean "unreadable".
_STATUS: dict[str, Status] = {"s long": "too long", "NaN": "non-finite", "no sound behind it": "empty"}


@dataclass(frozen=True, kw_only=True)
class AudioFile:
    """One file of one system. `audio` is None unless `status` is "ok"; `sha256` is "" when missing."""

    status: Status
    audio: Audio | None
    sha256: str
    detail: str = ""


def sound_files(folder: Path | str) -> Iterator[Path]:
    """Audio files of a folder, in the order of their names.

    Raises:
        UserError: no such folder, or something named like audio is not a regular file (a pipe never ends).
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such folder", where=folder)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            continue
        if not path.is_file():
            raise UserError("not a plain file", where=path, hint="remove it")
        yield path


def index_folder(folder: Path | str, manifest: Manifest) -> tuple[dict[str, Path], list[str]]:
    """Files of a folder by utterance id, and the names of audio files that belong to no row.

    A file belongs to the row whose id is its name, in any Unicode normal form. Order does not matter.

    Raises:
        UserError: as `sound_files`; no audio in it, no file is named after a row, two files have the same id.
    """
    folder = Path(folder)
    ids = {unicodedata.normalize("NFC", row.id): row.id for row in manifest.rows}
    by_id: dict[str, Path] = {}
    extra: list[str] = []
    for path in sound_files(folder):
        id = ids.get(unicodedata.normalize("NFC", path.stem))
        if id is None:
            extra.append(path.name)
        elif id in by_id:
            raise UserError(
                f"both {by_id[id].name} and {path.name} exist",
                where=folder,
                hint="keep one of them",
            )
        else:
            by_id[id] = path
    # A set that was synthesized to the end and failed in every row is a result: each row counts as failed.
    if not by_id and (extra or not (folder / SPOKEN).is_file()):
        what = (
            f"none of its {len(extra)} audio files is named after an id" if extra else "holds no audio file"
        )
        raise UserError(what, where=folder, hint=f"expected names like {manifest.rows[0].id}.wav")
    return by_id, extra


def read_clip(path: Path | None, *, max_seconds: float = MAX_SECONDS) -> AudioFile:
    """Read one file; bad audio is not an exception but a status."""
    if path is None:
        return AudioFile(status="missing", audio=None, sha256="")
    digest = file_digest(path)
    try:
        audio = read_audio(path, max_seconds=max_seconds)
    except UserError as e:
        status = _STATUS.get(next((words for words in _STATUS if words in e.what), ""), "unreadable")
        return AudioFile(status=status, audio=None, sha256=digest, detail=e.what)
    if audio.duration < MIN_SECONDS:
        return AudioFile(status="empty", audio=None, sha256=digest, detail=f"{len(audio)} samples")
    if audio.peak < SILENT_PEAK:
        return AudioFile(status="silent", audio=None, sha256=digest)
    return AudioFile(status="ok", audio=audio, sha256=digest)


def bad_files(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Files that no synthesizer should write: unreadable, not finite, longer than ten minutes; and why."""
    bad = []
    for path in paths:
        clip = read_clip(path)
        if clip.status in ("unreadable", "non-finite", "too long"):
            bad.append((path, f"{clip.status} {f'({clip.detail})' if clip.detail else ''}".strip()))
    return bad


def file_digest(path: Path | None) -> str:
    """sha256 of a regular file, "" for none. Decides whether a stored record still applies to this audio."""
    if path is None or not path.is_file():  # a pipe never ends
        return ""
    try:
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError:
        return ""


def speech_span(audio: Audio, *, below_db: float = 40.0) -> tuple[float, float]:
    """Start and end in seconds of the part that is louder than the loudest 25 ms frame minus `below_db`."""
    width = max(1, round(0.025 * audio.sample_rate))
    hop = max(1, width // 2)
    x = np.asarray(audio.samples, dtype=np.float64)
    if len(x) < width:
        return 0.0, len(x) / audio.sample_rate
    total = np.concatenate([[0.0], np.cumsum(x * x)])
    starts = np.arange(0, len(x) - width + 1, hop)
    power = (total[starts + width] - total[starts]) / width
    loud = np.flatnonzero(power >= power.max() * 10 ** (-below_db / 10))
    first, last = int(starts[loud[0]]), int(starts[loud[-1]])
    return first / audio.sample_rate, (last + width) / audio.sample_rate
