"""`intona say --stream`: audio is written as soon as the voice gives it."""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from intona.cli.speech import report
from intona.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from intona.audio import Audio
    from intona.cli.lines import InputLines
    from intona.synth.options import SpeakOptions
    from intona.synth.voice import Voice

UNKNOWN = 0xFFFFFFFF  # the length of a wav whose end is not known yet, as players of pipes take it


def write(voice: Voice, lines: InputLines, paths: Sequence[Path] | None, options: SpeakOptions) -> None:
    """Each line to a file, or all of them to stdout as one wav."""
    if paths is None:
        _report("stdout", _stdout(_all(voice, lines, options), sys.stdout.buffer))
        return
    for line, path in zip(lines, paths, strict=True):
        with lines.keep_going(line):
            _report(path, _file(voice.stream(line.text, options), path))


def _all(voice: Voice, lines: InputLines, options: SpeakOptions) -> Iterator[Audio]:
    for line in lines:
        pieces: Iterator[Audio] | None = None
        while True:
            # Entered anew for each piece: held over a `yield` it would catch what the reader raises.
            piece = None
            with lines.keep_going(line):
                pieces = voice.stream(line.text, options) if pieces is None else pieces
                piece = next(pieces, None)
            if piece is None:
                break
            yield piece


def _file(pieces: Iterator[Audio], path: Path) -> tuple[float, float, float]:
    """Write under a hidden name until all is there: a file of the final name is never half a sentence.

    Returns:
        Seconds of speech, until the first piece, and in all.
    """
    import soundfile

    from intona.audio.io import written_whole

    started, first, seconds = time.perf_counter(), 0.0, 0.0
    out = None
    with written_whole(path) as temporary:
        try:
            for piece in pieces:
                if out is None:
                    first = time.perf_counter() - started
                    out = soundfile.SoundFile(temporary, "w", piece.sample_rate, 1, "PCM_16")
                out.write(pcm(piece))
                out.flush()
                seconds += piece.duration
        finally:
            if out is not None:
                out.close()
        if out is None:
            raise UserError("nothing was spoken", where=path)
    return seconds, first, time.perf_counter() - started


def _stdout(pieces: Iterator[Audio], out: BinaryIO) -> tuple[float, float, float]:
    started, first, seconds = time.perf_counter(), 0.0, 0.0
    for piece in pieces:
        if not seconds:
            first = time.perf_counter() - started
            out.write(header(piece.sample_rate))
        out.write(pcm(piece).tobytes())
        out.flush()
        seconds += piece.duration
    return seconds, first, time.perf_counter() - started


def header(sample_rate: int) -> bytes:
    """The header of a 16-bit mono wav of unknown length."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", UNKNOWN, b"WAVE") + fmt + struct.pack("<4sI", b"data", UNKNOWN)


def pcm(audio: Audio) -> np.ndarray:
    """(S,) little-endian int16.

    Raises:
        UserError: NaN or infinite samples.
    """
    import numpy as np

    if not np.isfinite(audio.samples).all():
        raise UserError("the speech holds NaN or infinite samples", hint="try another seed")
    return np.round(np.clip(audio.samples, -1, 1) * 32767).astype("<i2")


def _report(where: object, figures: tuple[float, float, float]) -> None:
    seconds, first, elapsed = figures
    report(where, seconds, elapsed, f", the first after {first:.2f} s")
