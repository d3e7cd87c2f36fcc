"""Audio whose end is not known yet: 16-bit samples, and the header of a wav that is still being written."""

from __future__ import annotations

import struct

import numpy as np

from intona.audio.io import Audio
from intona.errors import UserError

UNKNOWN = 0xFFFFFFFF  # length of a wav whose end is not known yet, as players of pipes accept it


def wav_header(sample_rate: int) -> bytes:
    """The header of a 16-bit mono wav of unknown length."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", UNKNOWN, b"WAVE") + fmt + struct.pack("<4sI", b"data", UNKNOWN)


def pcm16(audio: Audio) -> np.ndarray:
    """(S,) little-endian int16.

    Raises:
        UserError: NaN or infinite samples.
    """
    if not np.isfinite(audio.samples).all():
        raise UserError("the speech holds NaN or infinite samples", hint="try another seed")
    return np.round(np.clip(audio.samples, -1, 1) * 32767).astype("<i2")
