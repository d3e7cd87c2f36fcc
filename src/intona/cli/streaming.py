"""`intona say --stream`: audio is written as soon as the voice gives it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from intona.audio.pcm import pcm16, wav_header
from intona.cli.speech import report
from intona.cli.times import Collected, TimesFiles
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.audio import Audio
    from intona.cli.lines import InputLines
    from intona.synth.options import SpeakOptions
    from intona.synth.speech import Timelines
    from intona.synth.voice import Voice


def write(
    voice: Voice,
    lines: InputLines,
    paths: Sequence[Path] | None,
    options: SpeakOptions,
    times: TimesFiles | None = None,
) -> None:
    """Each line to a file, or all of them to stdout as one wav; the times of each wav to a file of theirs."""
    from intona.synth.speech import Timelines

    times = times or TimesFiles(None, 0)
    if paths is None:
        timelines = Timelines()
        _report("stdout", _stdout(_all(voice, lines, options, times, timelines), sys.stdout.buffer))
        times.write(0, timelines.whole)
        return
    for i, (line, path) in enumerate(zip(lines, paths, strict=True)):
        with lines.keep_going(line):
            pieces = Collected(times.stream(voice, line.text, options))
            _report(path, _file(pieces, path))
            times.write(i, pieces.timeline)


def _all(
    voice: Voice, lines: InputLines, options: SpeakOptions, times: TimesFiles, timelines: Timelines
) -> Iterator[Audio]:
    """The audio of all lines; their times are added to `timelines`."""
    for line in lines:
        pieces: Collected | None = None
        while True:
            # Entered anew for each piece: held over a `yield` it would catch what the reader raises.
            piece = None
            with lines.keep_going(line):
                pieces = pieces or Collected(times.stream(voice, line.text, options))
                piece = next(pieces, None)
            if piece is None:
                break
            yield piece
        if pieces is not None:
            timelines.add(pieces.timeline)


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
                out.write(pcm16(piece))
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
            out.write(wav_header(piece.sample_rate))
        out.write(pcm16(piece).tobytes())
        out.flush()
        seconds += piece.duration
    return seconds, first, time.perf_counter() - started


def _report(where: object, figures: tuple[float, float, float]) -> None:
    seconds, first, elapsed = figures
    report(where, seconds, elapsed, f", the first after {first:.2f} s")
