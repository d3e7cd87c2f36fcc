"""Audio files read in blocks: hours of audio in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import soundfile
import soxr

from intona.audio.io import MAX_CHANNELS, MAX_RATE, MIN_RATE, check_values, open_regular
from intona.errors import UserError

BLOCK_SECONDS = 10.0


def read_blocks(path: str | os.PathLike[str], sample_rate: int) -> Iterator[np.ndarray]:
    """Mono float32 blocks (S,) at `sample_rate`, each of about ten seconds at most.

    Raises:
        UserError: not a regular file, not audio, an absurd rate, NaN, values far beyond full scale.
    """
    where = os.fsdecode(path).encode("utf-8", "replace").decode("utf-8")
    with open_regular(path, where) as raw:
        try:
            with soundfile.SoundFile(raw) as f:
                if not MIN_RATE <= f.samplerate <= MAX_RATE or not 1 <= f.channels <= MAX_CHANNELS:
                    raise UserError(
                        f"the header says {f.samplerate} Hz and {f.channels} channels; {MIN_RATE} to "
                        f"{MAX_RATE} and 1 to {MAX_CHANNELS} are accepted",
                        where=where,
                    )
                resampler = soxr.ResampleStream(f.samplerate, sample_rate, 1, dtype="float32", quality="VHQ")
                size = round(BLOCK_SECONDS * f.samplerate)
                while True:
                    block = f.read(size, dtype="float32", always_2d=True)
                    samples = block.mean(axis=1, dtype=np.float32)
                    if len(samples):
                        check_values(samples, where)
                    last = len(samples) < size
                    out = resampler.resample_chunk(samples, last=last)
                    if len(out):
                        yield out
                    if last:
                        return
        except UserError:
            raise
        except (soundfile.LibsndfileError, RuntimeError, OSError, ValueError, TypeError) as e:
            reason = str(getattr(e, "error_string", e)).strip().rstrip(".") or type(e).__name__
            raise UserError(f"not a sound file that can be read ({reason})", where=where) from None
