"""Recordings that clients send: limited in size and length, decoded without a file on the server's disk."""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib.util
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from fastapi import Request
from starlette.datastructures import UploadFile

from intona.audio import Audio
from intona.audio.blocks import check_header, decode_blocks
from intona.audio.io import check_values
from intona.errors import UserError
from intona.serve.errors import ApiError

MAX_FIELDS = 40
FIELD_BYTES = 64 * 1024  # of a field that is not a file
# FFmpeg's demuxers for the first bytes of a file. Every other format is refused: some, such as playlists,
# would let FFmpeg open further files.
_CONTAINERS = {
    b"\x1aE\xdf\xa3": "matroska",  # webm and mkv, what browsers record
    b"\xff\xf1": "aac",
    b"\xff\xf9": "aac",
}


@contextlib.asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[Mapping[str, Any]]:
    """The fields of a multipart form: strings, lists of strings for names that end with [], one `UploadFile`.

    What an upload occupies is released at the end of the block.

    Raises:
        ApiError: 400 for another type of content or a field that is repeated. HTTPException: a damaged form.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(400, "send the fields as multipart/form-data", code="invalid_content_type")
    async with request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=FIELD_BYTES) as form:
        fields: dict[str, Any] = {}
        for name, value in form.multi_items():
            if name.endswith("[]") and isinstance(value, str):
                fields.setdefault(name, []).append(value)
            elif name in fields:
                raise ApiError(400, f"{name}: sent twice", param=name)
            else:
                fields[name] = value
        yield fields


def require_file(fields: Mapping[str, Any], name: str, *, max_bytes: int) -> UploadFile:
    """A file of a form.

    Raises:
        ApiError: 400 where it is missing, empty or a string, 413 where it is too large.
    """
    file = fields.get(name)
    if not isinstance(file, UploadFile) or not file.size:
        raise ApiError(400, f"{name}: a file is needed", param=name, code="missing")
    if file.size > max_bytes:
        raise too_large(name, max_bytes)
    return file


def of_base64(text: str, *, param: str, max_bytes: int) -> BinaryIO:
    """The bytes of a base64 field as a file; a `data:` URL is accepted too.

    Raises:
        ApiError: 400 for what is not base64, 413 where it is too large.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    if len(text) > 4 * (max_bytes // 3 + 1):
        raise too_large(param, max_bytes)
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, f"{param}: not base64", param=param) from None
    if not data:
        raise ApiError(400, f"{param}: no bytes", param=param)
    return io.BytesIO(data)


def too_large(param: str, max_bytes: int) -> ApiError:
    message = f"{param}: at most {max_bytes} bytes are accepted"
    return ApiError(413, message, param=param, code="file_too_large")


def blocks_of(file: BinaryIO, *, param: str, max_seconds: float) -> Iterator[Audio]:
    """Consecutive mono blocks of a recording at its sample rate.

    libsndfile reads wav, flac, ogg and mp3; PyAV, where it is installed, webm, mp4, m4a and aac.

    Raises:
        ApiError: 400 for what is not audio, and once more than `max_seconds` are decoded.
    """
    file.seek(0)
    container = _container(file.read(12))
    file.seek(0)
    seconds = 0.0
    try:
        for block in decode_blocks(file, param) if container is None else _by_ffmpeg(file, container, param):
            seconds += block.duration
            if seconds > max_seconds:
                raise ApiError(
                    400,
                    f"{param}: longer than the {max_seconds:g} s that are accepted",
                    param=param,
                    code="audio_too_long",
                )
            yield block
    except UserError as e:
        raise ApiError(400, str(e), param=param, code="invalid_audio") from None
    if not seconds:
        raise ApiError(400, f"{param}: no sound in it", param=param, code="invalid_audio")


def recording_of(file: BinaryIO, *, param: str, max_seconds: float) -> Audio:
    """A whole recording at its sample rate; errors as in `blocks_of`."""
    blocks = list(blocks_of(file, param=param, max_seconds=max_seconds))
    return Audio(np.concatenate([b.samples for b in blocks]), blocks[0].sample_rate)


def _container(start: bytes) -> str | None:
    """FFmpeg's name of a format that libsndfile does not read; None for all others."""
    if start[4:8] == b"ftyp":
        return "mp4"
    return next((name for magic, name in _CONTAINERS.items() if start.startswith(magic)), None)


class _Readable:
    """A file that can only be read: PyAV takes a spooled temporary file for one that is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _by_ffmpeg(file: BinaryIO, container: str, param: str) -> Iterator[Audio]:
    if importlib.util.find_spec("av") is None:
        raise UserError(f"{container} files cannot be read here", where=param, hint="send wav, flac or mp3")
    import av
    from av.error import FFmpegError

    try:
        with av.open(_Readable(file), "r", format=container, metadata_errors="replace") as opened:
            if not opened.streams.audio:
                raise UserError("no sound in it", where=param)
            stream = opened.streams.audio[0]
            check_header(stream.codec_context.sample_rate, stream.codec_context.channels, param)
            rate = stream.codec_context.sample_rate
            mono = av.AudioResampler(format="fltp", layout="mono", rate=rate)
            for frame in opened.decode(stream):
                for converted in mono.resample(frame):
                    samples = converted.to_ndarray()[0].astype(np.float32, copy=False)
                    check_values(samples, param)
                    yield Audio(samples, rate)
    except (FFmpegError, ValueError, OSError, RuntimeError) as e:
        raise UserError(f"not a sound file that can be read ({type(e).__name__})", where=param) from None
