"""Speech as the bytes of a response, in each format of OpenAI's API."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import soundfile
import soxr

from intona.audio import Audio
from intona.audio.pcm import pcm16, wav_header
from intona.errors import UserError

Format = Literal["mp3", "opus", "flac", "wav", "pcm"]
PCM_RATE = 24_000  # of headerless samples, as clients of OpenAI expect
BLOCK_SECONDS = 1.0  # libsndfile overflows its stack on one long block of some formats


@dataclass(frozen=True)
class Container:
    """A compressed format: its name and sample type in libsndfile, and the rates that it allows in Hz."""

    format: str
    subtype: str
    rates: tuple[int, ...] | None = None


CONTAINERS = {
    "mp3": Container(
        "MP3", "MPEG_LAYER_III", (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    ),
    "opus": Container("OGG", "OPUS", (8_000, 12_000, 16_000, 24_000, 48_000)),
    "flac": Container("FLAC", "PCM_16"),
}
MEDIA_TYPES: dict[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
STREAMED = frozenset({"wav", "pcm"})  # sent while they are being spoken


def encoded(pieces: Iterator[Audio], format: Format) -> Iterator[bytes]:
    """The bytes of a response. A compressed format yields empty bytes per piece, then the whole file.

    Raises:
        UserError: nothing was spoken, or NaN or infinite samples.
    """
    if format == "wav":
        yield from _wav(pieces)
    elif format == "pcm":
        yield from _pcm(pieces)
    else:
        yield from _file(pieces, CONTAINERS[format])


def events(pieces: Iterator[Audio], *, n_characters: int) -> Iterator[bytes]:
    """Server-sent events: `speech.audio.delta` per piece (base64 of `pcm`), then `speech.audio.done`.

    An error after the first piece is an event too. `usage` counts characters where OpenAI counts tokens.
    """
    first = True
    try:
        for data in _pcm(pieces):
            first = False
            yield event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    except UserError as e:
        if first:
            raise
        yield event({"type": "error", "error": {"message": e.what, "type": "invalid_request_error"}})
        return
    usage = {"input_tokens": n_characters, "output_tokens": 0, "total_tokens": n_characters}
    yield event({"type": "speech.audio.done", "usage": usage})


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data)}\n\n".encode()


def _wav(pieces: Iterator[Audio]) -> Iterator[bytes]:
    first = True
    for piece in pieces:
        samples = pcm16(piece).tobytes()
        yield wav_header(piece.sample_rate) + samples if first else samples
        first = False
    _require(not first)


def _pcm(pieces: Iterator[Audio]) -> Iterator[bytes]:
    resampler = None
    for piece in pieces:
        if resampler is None:
            resampler = soxr.ResampleStream(piece.sample_rate, PCM_RATE, 1, dtype="float32", quality="HQ")
        pcm16(piece)  # refuses NaN
        if data := _resampled(resampler, piece.samples):
            yield data
    _require(resampler is not None)
    if resampler is not None and (data := _resampled(resampler, np.zeros(0, np.float32), last=True)):
        yield data


def _resampled(resampler: soxr.ResampleStream, samples: np.ndarray, *, last: bool = False) -> bytes:
    return pcm16(Audio(resampler.resample_chunk(samples, last=last), PCM_RATE)).tobytes()


def _file(pieces: Iterator[Audio], container: Container) -> Iterator[bytes]:
    spoken = []
    for piece in pieces:
        spoken.append(piece)
        yield b""
    _require(bool(spoken))
    audio = Audio(np.concatenate([p.samples for p in spoken]), spoken[0].sample_rate)
    if container.rates is not None and audio.sample_rate not in container.rates:
        audio = audio.resample(PCM_RATE)
    samples, block = pcm16(audio), round(BLOCK_SECONDS * audio.sample_rate)
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", audio.sample_rate, 1, subtype=container.subtype, format=container.format
    ) as file:
        for start in range(0, len(samples), block):
            file.write(samples[start : start + block])
    yield buffer.getvalue()


def _require(spoken: bool) -> None:
    if not spoken:
        raise UserError("nothing was spoken")
