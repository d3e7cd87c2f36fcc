"""Audio files to `Audio` and back. `Audio` carries its sample rate, so that no caller has to guess it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile
import soxr

from intona.audio.riff import missing_seconds
from intona.errors import UserError, unknown
from intona.files import whole

MIN_RATE, MAX_RATE = 4_000, 768_000
MAX_CHANNELS = 64
MAX_FRAMES = 1 << 28  # 1 GiB of float32: an hour at 48 kHz is 173 M
MAX_PEAK = 16.0  # 24 dB above full scale: a file with larger values contains something other than audio
DEFAULT_MAX_SECONDS = 3600.0
BLOCK = 1 << 20

Clip = Literal["saturate", "scale", "refuse"]
_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_SUBTYPES = {"WAV": ("PCM_16", "PCM_24", "FLOAT"), "FLAC": ("PCM_16", "PCM_24")}


@dataclass(frozen=True, eq=False)
class Audio:
    """A mono signal.

    Args:
        samples: (S,) float32; full scale is ±1.
        sample_rate: in Hz.
    """

    samples: np.ndarray
    sample_rate: int

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"Audio is mono, samples of shape (S,), not {samples.shape}")
        if int(self.sample_rate) != self.sample_rate or self.sample_rate <= 0:
            raise ValueError(f"a sample rate is a positive whole number of Hz, not {self.sample_rate!r}")
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "sample_rate", int(self.sample_rate))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate

    @cached_property
    def peak(self) -> float:
        """Largest absolute sample; 0 for no samples."""
        return float(max(self.samples.max(), -self.samples.min())) if len(self.samples) else 0.0

    def resample(self, sample_rate: int) -> Audio:
        """The signal at another rate (soxr, very high quality); itself if the rate is the same."""
        if sample_rate == self.sample_rate:
            return self
        return Audio(soxr.resample(self.samples, self.sample_rate, sample_rate, quality="VHQ"), sample_rate)

    def trim(self, start: float, end: float | None = None) -> Audio:
        """The part from `start` to `end` seconds, within the signal."""
        first = max(0, round(start * self.sample_rate))
        last = len(self.samples) if end is None else max(first, round(end * self.sample_rate))
        return Audio(self.samples[first:last], self.sample_rate)

    def write(
        self, path: str | os.PathLike[str], *, subtype: str = "PCM_16", clip: Clip = "saturate"
    ) -> None:
        write_audio(path, self, subtype=subtype, clip=clip)


def resampler_id() -> str:
    """What `Audio.resample` computes, with its version: part of what a figure depends on."""
    return f"soxr {importlib.metadata.version('soxr')} VHQ"


def faults(audio: Audio) -> list[str]:
    """Why a readable recording is useless as speech, in plain words; an empty list if it is fine."""
    x = audio.samples
    if len(x) == 0:
        return ["no samples"]
    if audio.peak < 10 ** (-80 / 20):
        return ["silent: never above -80 dB"]
    reasons = []
    mean = float(x.mean())
    if float(x.std()) < 1e-3 * max(abs(mean), 1e-4):
        reasons.append("constant: only an offset, no audio")
    # One sample at the top is a peak; three in a row are a clipped wave.
    top = np.abs(x) >= 0.999 * audio.peak
    flat = top[:-2] & top[1:-1] & top[2:] if len(x) > 2 else top[:0]
    if audio.peak > 0.5 and flat.mean() > 1e-3 and not reasons:
        reasons.append(f"clipped: {100 * float(flat.mean()):.1f} % of the samples are flat at the top")
    return reasons


def read_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    max_seconds: float | None = DEFAULT_MAX_SECONDS,
) -> Audio:
    """Read wav, flac, ogg, mp3 or any other format of libsndfile; the content decides, not the name.

    Args:
        sample_rate: resample to this rate; None keeps that of the file.
        mono: average the channels; False refuses a file with more than one.
        max_seconds: refuse longer files before decoding them; None = only the memory bound.

    Raises:
        UserError: not a regular file (a FIFO never blocks), unreadable, not audio, truncated, empty, too
            long, an absurd rate, NaN, infinity, or values far above full scale.
    """
    where = os.fsdecode(path).encode("utf-8", "replace").decode("utf-8")
    with open_regular(path, where) as raw:
        try:
            with soundfile.SoundFile(raw) as f:
                samples, rate, integer = _decode(f, raw, where, mono, max_seconds)
        except UserError:
            raise
        except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError, TypeError) as e:
            reason = str(getattr(e, "error_string", e)).strip().rstrip(".") or type(e).__name__
            raise UserError(f"not a sound file that can be read ({reason})", where=where) from None
    if not integer:
        check_values(samples, where)
    audio = Audio(samples, rate)
    return audio.resample(sample_rate) if sample_rate is not None else audio


def open_regular(path: str | os.PathLike[str], where: str) -> BinaryIO:
    """Open a file for reading without ever blocking: FIFOs, devices and directories are refused."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as e:
        if os.path.islink(path):
            raise UserError("a link to a file that does not exist", where=where) from None
        if os.path.isdir(path):
            raise UserError("a directory, not an audio file", where=where) from None
        raise UserError(f"cannot be read ({getattr(e, 'strerror', None) or e})", where=where) from None
    status = os.fstat(fd)
    reason = None
    if stat.S_ISDIR(status.st_mode):
        reason = "a directory, not an audio file"
    elif not stat.S_ISREG(status.st_mode):
        reason = "not a regular file"
    elif status.st_size == 0:
        reason = "the file is empty"
    if reason:
        os.close(fd)
        raise UserError(reason, where=where)
    return os.fdopen(fd, "rb")


def _decode(
    f: soundfile.SoundFile, raw: BinaryIO, where: str, mono: bool, max_seconds: float | None
) -> tuple[np.ndarray, int, bool]:
    rate, channels, frames = f.samplerate, f.channels, f.frames
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UserError(f"the header says {rate} Hz; {MIN_RATE} to {MAX_RATE} are accepted", where=where)
    most = MAX_CHANNELS if mono else 1
    if channels > most:
        raise UserError(f"{channels} channels, more than the {most} accepted", where=where)
    if frames <= 0:
        raise UserError("a header, and no sound behind it", where=where)
    if max_seconds is not None and frames > max_seconds * rate:
        raise UserError(f"{frames / rate:.1f} s long; at most {max_seconds:g} s are accepted", where=where)
    if frames > MAX_FRAMES:
        raise UserError(f"{frames} samples, more than the {MAX_FRAMES} accepted", where=where)
    integer = f.subtype in ("PCM_16", "PCM_S8", "PCM_U8")
    if f.format in ("WAV", "WAVEX", "RF64"):
        lost = missing_seconds(raw)
        if lost > 0:
            raise UserError(f"truncated: {lost:.2f} s that the header declares are missing", where=where)
    # 16-bit files are read as integers and scaled here: 1.7 times as fast as libsndfile's conversion.
    dtype: Literal["int16", "float32"] = "int16" if f.subtype == "PCM_16" else "float32"
    if channels == 1:
        samples = f.read(frames, dtype=dtype)
    else:
        mixed = [b.mean(axis=1, dtype=np.float32) for b in f.blocks(BLOCK, dtype=dtype, always_2d=True)]
        samples = np.concatenate(mixed) if mixed else np.zeros(0, np.float32)
    # The header of a compressed file may declare more than the stream contains: about a packet (mp3, ogg).
    slack = max(4096, rate // 10) if f.format in ("OGG", "MP3", "MPEG") else 0
    if len(samples) + slack < frames:
        raise UserError(f"truncated: {(frames - len(samples)) / rate:.2f} s are missing", where=where)
    if dtype == "int16":
        samples = np.multiply(samples, np.float32(1 / 32768), dtype=np.float32)
    return samples, rate, integer


def check_values(samples: np.ndarray, where: str) -> None:
    """Refuse samples that are no audio.

    Raises:
        UserError: NaN, infinity, or values far above full scale.
    """
    low, high = float(samples.min(initial=0.0)), float(samples.max(initial=0.0))
    if not (np.isfinite(low) and np.isfinite(high)):  # min and max carry a NaN through
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise UserError(f"{bad} samples are NaN or infinite", where=where)
    peak = max(-low, high)
    if peak > MAX_PEAK:
        raise UserError(
            f"peak {peak:.3g}, where full scale is 1",
            where=where,
            hint="scale the samples to between -1 and 1",
        )


def encode_audio(
    audio: Audio, *, format: str = "WAV", subtype: str = "PCM_16", clip: Clip = "saturate"
) -> bytes:
    """An audio file as bytes (for a pipe or an HTTP response); options as in `write_audio`."""
    format = format.upper()
    if format not in _SUBTYPES:
        unknown("audio format", format, _SUBTYPES)
    if subtype not in _SUBTYPES[format]:
        unknown(f"{format} sample type", subtype, _SUBTYPES[format])
    buffer, samples, rate = io.BytesIO(), _quantise(audio, subtype, clip), audio.sample_rate
    try:
        soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    except soundfile.LibsndfileError:  # flac allows 655,350 Hz at most
        raise UserError(f"{rate} Hz cannot be written as {format}", hint="resample it") from None
    return buffer.getvalue()


def _quantise(audio: Audio, subtype: str, clip: Clip) -> np.ndarray:
    x = audio.samples
    if not np.isfinite(audio.peak):
        raise UserError("the signal has NaN or infinite samples, so it is not written")
    if audio.peak > 1:
        if clip == "refuse":
            raise UserError(f"peak {audio.peak:.3f}, above full scale", hint='scale it, or use clip="scale"')
        if clip == "scale":
            x = x / np.float32(audio.peak)
        elif clip != "saturate":
            unknown("clip policy", clip, ("saturate", "scale", "refuse"))
    if subtype == "FLOAT":
        return np.clip(x, -1.0, 1.0) if clip == "saturate" else x
    if subtype == "PCM_24":
        full = np.clip(np.rint(x.astype(np.float64) * (1 << 23)), -(1 << 23), (1 << 23) - 1)
        return full.astype(np.int32) << 8
    return np.clip(np.rint(x * np.float32(32768)), -32768, 32767).astype(np.int16)


def write_audio(
    path: str | os.PathLike[str], audio: Audio, *, subtype: str = "PCM_16", clip: Clip = "saturate"
) -> None:
    """Write a wav or flac file, as the suffix says: under a temporary name, so that it is never half a file.

    Args:
        subtype: "PCM_16", "PCM_24", or "FLOAT" (wav only).
        clip: what to do about samples beyond ±1. "saturate" limits them to full scale, "scale" scales the
            whole signal to a peak of 1, "refuse" raises an error.

    Raises:
        UserError: another suffix, no such directory, a full disk, NaN or infinite samples.
    """
    path = Path(path)
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise UserError(f'cannot write audio as "{path.suffix}"', where=path, hint="name it .wav or .flac")
    data = encode_audio(audio, format=format, subtype=subtype, clip=clip)
    with written_whole(path) as temporary, open(temporary, "wb") as f:
        f.write(data)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """`files.whole` that raises `UserError`.

    Raises:
        UserError: no such directory, a full disk.
    """
    try:
        with whole(path) as half:
            yield half
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=path) from None
    except soundfile.LibsndfileError as e:
        raise UserError(f"cannot be written ({e.error_string})", where=path) from None
