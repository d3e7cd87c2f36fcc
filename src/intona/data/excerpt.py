"""Recordings inside other files: members of an archive, cells of a table, stretches of a longer recording."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import soundfile

from intona.errors import UserError
from intona.extras import require

MAX_BYTES = 1 << 28  # of one recording
MAX_GROUP_BYTES = 1 << 31  # of one row group of a Parquet file
MAX_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Where a recording is in a file. `span` and `cell` say where its bytes are, `seconds` which part of it.

    Attributes:
        suffix: what the bytes would be named, such as ".mp3".
        span: first byte and number of bytes.
        cell: of a Parquet file, the column of bytes, the row group, and the row in it.
        seconds: start and length. channel: the only one to use; by default all are averaged.
    """

    suffix: str = ".wav"
    span: tuple[int, int] | None = None
    cell: tuple[str, int, int] | None = None
    seconds: tuple[float, float] | None = None
    channel: int | None = None


@contextlib.contextmanager
def extracted(path: Path, excerpt: Excerpt | None) -> Iterator[Path]:
    """A file that holds the recording alone, for as long as the block runs.

    Raises:
        UserError: the recording is not there, or far too long.
    """
    if excerpt is None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="intona-") as folder:
        try:
            if excerpt.span is not None:
                path = _store(_bytes_at(path, *excerpt.span), folder, excerpt.suffix)
            elif excerpt.cell is not None:
                path = _store(_cell(path, *excerpt.cell), folder, excerpt.suffix)
            if excerpt.seconds is not None or excerpt.channel is not None:
                path = _stretch(path, excerpt, Path(folder) / "stretch.wav")
        except OSError as e:
            raise UserError(f"cannot be read ({e.strerror or e})", where=path) from None
        yield path


def _store(content: bytes, folder: str, suffix: str) -> Path:
    path = Path(folder) / f"recording{suffix}"
    path.write_bytes(content)
    return path


def _bytes_at(path: Path, first: int, size: int) -> bytes:
    if size > MAX_BYTES:
        raise UserError(f"{size} bytes, more than the {MAX_BYTES} allowed", where=path)
    with open(path, "rb") as f:
        f.seek(first)
        content = f.read(size)
    if len(content) != size:
        raise UserError("is cut off", where=path)
    return content


def _cell(path: Path, column: str, group: int, row: int) -> bytes:
    value = _row_group(path, column, group)[row].as_py()
    value = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(value, bytes):
        raise UserError("holds no bytes of a recording", where=path)
    if len(value) > MAX_BYTES:
        raise UserError(f"{len(value)} bytes, more than the {MAX_BYTES} allowed", where=path)
    return value


@lru_cache(maxsize=1)  # a worker gets the rows in their order
def _row_group(path: Path, column: str, group: int) -> Any:
    require("pyarrow", "a Parquet file")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.row_group(group).total_byte_size > MAX_GROUP_BYTES:
                raise UserError("a row group is larger than 2 GiB", where=path, hint="write smaller ones")
            return file.read_row_group(group, columns=[column]).column(0).combine_chunks()
    except (pa.ArrowException, IndexError, ValueError) as e:
        raise UserError(f"cannot be read ({e})", where=path) from None


def _stretch(path: Path, excerpt: Excerpt, target: Path) -> Path:
    """Decode part of a recording into a wav."""
    try:
        with soundfile.SoundFile(path) as f:
            start, seconds = excerpt.seconds or (0.0, f.frames / f.samplerate)
            if not (start >= 0 and 0 < seconds <= MAX_SECONDS):
                raise UserError(f"{seconds:g} s from {start:g} s is no part of a recording", where=path)
            f.seek(min(round(start * f.samplerate), f.frames))
            samples = f.read(round(seconds * f.samplerate), dtype="float32", always_2d=True)
            rate = f.samplerate
    except (soundfile.LibsndfileError, RuntimeError, ValueError, TypeError) as e:
        raise UserError(f"not a sound file that can be read ({e})", where=path) from None
    if excerpt.channel is not None:
        if not 0 <= excerpt.channel < samples.shape[1]:
            raise UserError(f"has {samples.shape[1]} channels, not number {excerpt.channel}", where=path)
        samples = samples[:, excerpt.channel]
    soundfile.write(target, samples, rate, subtype="FLOAT")
    return target
