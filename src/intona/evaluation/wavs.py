"""Audio files of a system, found by id, with every way in which one can fail told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.manifest import Manifest

ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
SPOKEN = "failures.jsonl"  # `synthesize_set` writes it last, empty where all went well
MAX_SECONDS = 600.0
MIN_SECONDS = 0.05
SILENT_PEAK = 1e-4  # -80 dB of full scale: three steps of a 16-bit file

Status = Literal["ok", "missing", "unreadable", "empty", "silent", "non-finite", "too long"]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One file of one system. `audio` is None unless `status` is "ok"; `sha256` is "" when missing."""

    status: Status
    audio: Audio | None
    sha256: str
    detail: str = ""


def index_folder(folder: Path | str, manifest: Manifest) -> tuple[dict[str, Path], list[str]]:
    """Files of a folder by utterance id, and the names of audio files that no row asks for.

    Order plays no part: a file belongs to the row whose id is its name.

    Raises:
        UserError: no such folder, no audio in it, none of it named after a row, two files for one id.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such folder", where=folder)
    wanted = {row.id for row in manifest.rows}
    found: dict[str, Path] = {}
    extra: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            continue
        if path.stem not in wanted:
            extra.append(path.name)
        elif path.stem in found:
            raise UserError(
                f"{found[path.stem].name} and {path.name} are both there",
                where=folder,
                mend="keep one of them",
            )
        else:
            found[path.stem] = path
    # A set that was spoken to its end and failed in every row is a result: each counts as failed.
    if not found and (extra or not (folder / SPOKEN).is_file()):
        what = (
            f"none of its {len(extra)} audio files is named after an id" if extra else "holds no audio file"
        )
        raise UserError(what, where=folder, mend=f"expected names like {manifest.rows[0].id}.wav")
    return found, extra


def read_clip(path: Path | None, *, max_seconds: float = MAX_SECONDS) -> Clip:
    """Read one file; nothing is raised for bad audio, its status says what is wrong."""
    import soundfile

    if path is None:
        return Clip(status="missing", audio=None, sha256="")
    digest = file_digest(path)
    try:
        # The header first: three hours are refused before they are in memory.
        info = soundfile.info(str(path))
        if info.frames / info.samplerate > max_seconds:
            detail = f"{info.frames / info.samplerate:.0f} s, at most {max_seconds:.0f}"
            return Clip(status="too long", audio=None, sha256=digest, detail=detail)
        samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (RuntimeError, ValueError, ZeroDivisionError) as e:
        return Clip(status="unreadable", audio=None, sha256=digest, detail=" ".join(str(e).split()))
    samples = samples.mean(axis=1)
    if len(samples) < MIN_SECONDS * rate:
        return Clip(status="empty", audio=None, sha256=digest, detail=f"{len(samples)} samples")
    if not np.isfinite(samples).all():
        return Clip(status="non-finite", audio=None, sha256=digest)
    if np.abs(samples).max() < SILENT_PEAK:
        return Clip(status="silent", audio=None, sha256=digest)
    return Clip(status="ok", audio=Audio(np.ascontiguousarray(samples), int(rate)), sha256=digest)


def bad_files(paths: Iterable[Path]) -> list[tuple[Path, str]]:
    """Files that no synthesizer should have written: unreadable, not finite, longer than ten minutes."""
    bad = []
    for path in paths:
        clip = read_clip(path)
        if clip.status in ("unreadable", "non-finite", "too long"):
            bad.append((path, f"{clip.status} {f'({clip.detail})' if clip.detail else ''}".strip()))
    return bad


def file_digest(path: Path | None) -> str:
    """sha256 of a file, "" for none: what decides whether a stored record is still about this audio."""
    if path is None:
        return ""
    try:
        with open(path, "rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError:
        return ""


def speech_span(audio: Audio, *, below_db: float = 40.0) -> tuple[float, float]:
    """Start and end in seconds of what stands above the loudest 25 ms frame minus `below_db`."""
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
