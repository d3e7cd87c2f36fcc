"""Truncated wav files. libsndfile reads what is left of them without an error; a corpus must not."""

from __future__ import annotations

import struct
from typing import BinaryIO

_UNKNOWN_LENGTH = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000)  # what streaming writers write


def missing_seconds(f: BinaryIO) -> float:
    """Seconds of audio that the `data` chunk declares and the file lacks; 0 if complete or not RIFF.

    The file's position is restored.
    """
    position = f.tell()
    try:
        size = f.seek(0, 2)
        f.seek(0)
        head = f.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return 0.0
        bytes_per_second, at = 0, 12
        while at + 8 <= size:
            f.seek(at)
            name, length = struct.unpack("<4sI", f.read(8))
            if name == b"fmt ":
                body = f.read(16)
                if len(body) < 16:
                    return 0.0
                bytes_per_second = struct.unpack("<HHIIHH", body)[3]
            elif name == b"data":
                if length in _UNKNOWN_LENGTH or bytes_per_second == 0:
                    return 0.0
                return max(0, length - (size - at - 8)) / bytes_per_second
            at += 8 + length + (length & 1)
        return 0.0
    finally:
        f.seek(position)
