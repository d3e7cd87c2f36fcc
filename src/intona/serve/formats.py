"""Speech as the bytes of a response, in each format of OpenAI's API."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import soundfile
import soxr

from intona.audio import Audio
from intona.audio.pcm import pcm16, wav_header
from intona.errors import UserError

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
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
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
STREAMED = frozenset({"wav", "pcm"})  # sent while they are being spoken


def available(format: Format) -> bool:
    """Whether a format can be written here: aac needs PyAV."""
    return format != "aac" or importlib.util.find_spec("av") is not None


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
        spoken: list[Audio] = []
        for piece in pieces:
            spoken.append(piece)
            yield b""
        yield file_of(spoken, format)


def file_of(spoken: Sequence[Audio], format: Format) -> bytes:
    """Pieces of speech as one file of any format.

    Raises:
        UserError: nothing was spoken, or NaN or infinite samples.
    """
    _require(bool(spoken))
    if format in STREAMED:
        return b"".join(encoded(iter(spoken), format))
    audio = Audio(np.concatenate([p.samples for p in spoken]), spoken[0].sample_rate)
    return _aac(audio) if format == "aac" else _file(audio, CONTAINERS[format])


class PcmEncoder:
    """Consecutive pieces of speech to 16-bit mono samples at `PCM_RATE` without a header."""

    def __init__(self) -> None:
        self._resampler: soxr.ResampleStream | None = None

    @property
    def begun(self) -> bool:
        """Whether there was a piece."""
        return self._resampler is not None

    def encode(self, piece: Audio) -> bytes:
        """The samples that are certain after a piece: a little less than all.

        Raises:
            UserError: NaN or infinite samples.
        """
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(
                piece.sample_rate, PCM_RATE, 1, dtype="float32", quality="HQ"
            )
        pcm16(piece)  # refuses NaN
        return self._resampled(piece.samples)

    def finish(self) -> bytes:
        """The last samples.

        Raises:
            UserError: there was no piece.
        """
        _require(self.begun)
        return self._resampled(np.zeros(0, np.float32), last=True)

    def _resampled(self, samples: np.ndarray, *, last: bool = False) -> bytes:
        assert self._resampler is not None
        return pcm16(Audio(self._resampler.resample_chunk(samples, last=last), PCM_RATE)).tobytes()


def _wav(pieces: Iterator[Audio]) -> Iterator[bytes]:
    first = True
    for piece in pieces:
        samples = pcm16(piece).tobytes()
        yield wav_header(piece.sample_rate) + samples if first else samples
        first = False
    _require(not first)


def _pcm(pieces: Iterator[Audio]) -> Iterator[bytes]:
    encoder = PcmEncoder()
    for piece in pieces:
        if data := encoder.encode(piece):
            yield data
    if data := encoder.finish():
        yield data


def _file(audio: Audio, container: Container) -> bytes:
    if container.rates is not None and audio.sample_rate not in container.rates:
        audio = audio.resample(PCM_RATE)
    samples, buffer = pcm16(audio), io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", audio.sample_rate, 1, subtype=container.subtype, format=container.format
    ) as file:
        for block in _blocks(samples, audio.sample_rate):
            file.write(block)
    return buffer.getvalue()


def _aac(audio: Audio) -> bytes:
    """AAC in ADTS frames, by PyAV."""
    import av

    samples, buffer = pcm16(audio), io.BytesIO()
    with av.open(buffer, "w", format="adts") as file:
        stream = file.add_stream("aac", rate=audio.sample_rate, layout="mono")
        for block in _blocks(samples, audio.sample_rate):
            frame = av.AudioFrame.from_ndarray(block[None], format="s16", layout="mono")
            frame.sample_rate = audio.sample_rate
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def _blocks(samples: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
    size = round(BLOCK_SECONDS * sample_rate)
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def _require(spoken: bool) -> None:
    if not spoken:
        raise UserError("nothing was spoken")
