"""Audio files read in blocks: hours of audio in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from intona.audio.io import MAX_CHANNELS, MAX_RATE, MIN_RATE, Audio, check_values, open_regular
from intona.errors import UserError

BLOCK_SECONDS = 10.0


def read_blocks(path: str | os.PathLike[str], sample_rate: int) -> Iterator[np.ndarray]:
    """Mono float32 blocks (S,) at `sample_rate`, each of about ten seconds at most.

    Raises:
        UserError: not a regular file, not audio, an absurd rate, NaN, values far beyond full scale.
    """
    where = os.fsdecode(path).encode("utf-8", "replace").decode("utf-8")
    with open_regular(path, where) as raw:
        yield from resampled(decode_blocks(raw, where), sample_rate)


def decode_blocks(raw: BinaryIO, where: object) -> Iterator[Audio]:
    """Consecutive mono blocks of an open file at its sample rate, each of ten seconds at most.

    Raises:
        UserError: not audio, an absurd rate, NaN, values far beyond full scale; it names `where`.
    """
    try:
        with soundfile.SoundFile(raw) as f:
            check_header(f.samplerate, f.channels, where)
            size = round(BLOCK_SECONDS * f.samplerate)
            while True:
                block = f.read(size, dtype="float32", always_2d=True)
                samples = block.mean(axis=1, dtype=np.float32)
                if len(samples):
                    check_values(samples, str(where))
                    yield Audio(samples, f.samplerate)
                if len(samples) < size:
                    return
    except UserError:
        raise
    except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError, TypeError) as e:
        reason = str(getattr(e, "error_string", e)).strip().rstrip(".") or type(e).__name__
        raise UserError(f"not a sound file that can be read ({reason})", where=where) from None


def check_header(sample_rate: int, channels: int, where: object) -> None:
    """Refuse a file by its header.

    Raises:
        UserError: an absurd rate or number of channels.
    """
    if not MIN_RATE <= sample_rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
        raise UserError(
            f"the header says {sample_rate} Hz and {channels} channels; {MIN_RATE} to {MAX_RATE} and 1 to "
            f"{MAX_CHANNELS} are accepted",
            where=where,
        )


def resampled(blocks: Iterable[Audio], sample_rate: int) -> Iterator[np.ndarray]:
    """Samples (S,) float32 of consecutive blocks at another rate (soxr, very high quality)."""
    resampler = None
    for block in blocks:
        if resampler is None:
            resampler = soxr.ResampleStream(block.sample_rate, sample_rate, 1, dtype="float32", quality="VHQ")
        if len(out := resampler.resample_chunk(block.samples)):
            yield out
    if resampler is not None and len(out := resampler.resample_chunk(np.zeros(0, np.float32), last=True)):
        yield out
