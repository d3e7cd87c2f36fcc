"""`intona say --times`: the times of words in a file beside the wav."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from intona.errors import UserError
from intona.files import write_whole

FORMATS = ("json", "srt", "vtt")  # those of `synth.times`, which is imported when it is needed

if TYPE_CHECKING:
    from intona.audio import Audio
    from intona.synth.options import SpeakOptions
    from intona.synth.speech import Mark, Speech, Timed, TimedWord, Timeline
    from intona.synth.voice import Voice


class TimesFiles:
    """The files of `--times`, one per wav.

    Args:
        path: as on the command line; several wavs number it as they are numbered. None: no times.
        n: number of wavs.

    Raises:
        UserError: an unknown format, or a folder that cannot be created.
    """

    def __init__(self, path: Path | None, n: int) -> None:
        self.paths: list[Path] = []
        if path is None:
            return
        if path.suffix.lower().lstrip(".") not in FORMATS:
            raise UserError(
                f'unknown format of times "{path.suffix}"',
                where=f"--times {path}",
                hint=f"use {', '.join('.' + f for f in FORMATS)}",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise UserError(f"the folder cannot be created ({e.strerror})", where=path.parent) from None
        self.paths = numbered(path, n)

    def __bool__(self) -> bool:
        return bool(self.paths)

    def write(self, i: int, speech: Timed) -> None:
        """Write the times of wav `i`; nothing without `--times`."""
        if not self.paths:
            return
        from intona.synth.times import render

        path = self.paths[i]
        try:
            write_whole(path, render(speech, path.suffix.lower().lstrip(".")))
        except OSError as e:
            raise UserError(f"cannot be written ({e.strerror})", where=path) from None

    def say(self, voice: Voice, text: str, options: SpeakOptions) -> Speech:
        """What the voice says, with times if they are to be written."""
        from intona.synth.speech import Speech

        return voice.speech(text, options) if self.paths else Speech(audio=voice.say(text, options))

    def stream(self, voice: Voice, text: str, options: SpeakOptions) -> Iterator[Speech]:
        """The same in pieces."""
        from intona.synth.speech import Speech

        if self.paths:
            return voice.stream_speech(text, options)
        return (Speech(audio=piece) for piece in voice.stream(text, options))


class Collected:
    """The audio of pieces of `Voice.stream_speech`; the times of those yielded are in `timeline`."""

    def __init__(self, pieces: Iterable[Speech]) -> None:
        self._pieces = iter(pieces)
        self._words: list[TimedWord] = []
        self._marks: list[Mark] = []
        self._duration = 0.0

    def __iter__(self) -> Iterator[Audio]:
        return self

    def __next__(self) -> Audio:
        piece = next(self._pieces)
        self._words += piece.words
        self._marks += piece.marks
        self._duration += piece.duration
        return piece.audio

    @property
    def timeline(self) -> Timeline:
        from intona.synth.speech import Timeline

        return Timeline(words=tuple(self._words), marks=tuple(self._marks), duration=self._duration)


def numbered(path: Path, n: int) -> list[Path]:
    """`n` names after one: out_001.wav, out_002.wav; the name itself if there is one."""
    if n == 1:
        return [path]
    width = max(3, len(str(n)))
    return [path.with_name(f"{path.stem}_{i:0{width}d}{path.suffix}") for i in range(1, n + 1)]
