"""`intona say`: text in, wav out."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from intona.cli.device import Device
from intona.cli.lines import read_lines
from intona.cli.speech import REFERENCE, parse, report, with_options
from intona.cli.times import TimesFiles, numbered
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.synth.speech import Speech

PAUSE_SECONDS = 0.4  # between lines that share one wav


@with_options()
@dataclass(frozen=True, kw_only=True)
class Say:
    """Speak a text. Without TEXT and --file the text is read from stdin.

    One line gives one wav; several lines give out_001.wav, out_002.wav, …, or one wav with `-o -`. A line of
    several that cannot be spoken is named and left out; the exit code is then 1. Where the wav is, its length
    and the real-time factor are printed on stderr.

    [[p rʲ ɪ vʲ ˈe t]] inside the text is spoken as these phonemes, and *a word* between asterisks is
    emphasised. With --ssml all lines are one document. See also `intona read`.
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")] = ()
    """The text to speak; several words are joined by spaces."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FILE|-")] = "out.wav"
    """The wav to write; "-" is stdout. The file name ends in .wav or .flac."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME|DIR")] = "ru"
    """A shipped voice (`intona models`), a run directory, or hf://OWNER/NAME[@REVISION]."""
    file: Annotated[Path | None, tyro.conf.arg(aliases=["-f"], metavar="FILE")] = None
    """Read the text from a UTF-8 file, one utterance per line."""
    lexicon: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """How certain words are spoken, one per line: word = spelling (Хемингу+эй), or word = [[phonemes]]."""
    vocoder: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The vocoder, for voices that make mel spectrograms; that of the voice's card if not given."""
    device: Device = "cpu"
    backend: Literal["torch", "onnx"] | None = None
    """What computes. onnx needs no torch, but a voice with graphs (intona export), and runs on the CPU.
    Default: onnx where it can, else torch."""
    stream: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write the speech while it is generated: the first of it leaves before the text is finished."""
    times: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json|.srt|.vtt")] = None
    """Write when each word is spoken: as JSON with the phones of each word, or as subtitles."""


def main(arguments: list[str]) -> None:
    request, options = parse(Say, arguments, prog="intona say", old=REFERENCE)
    if request.text and request.file is not None:
        raise UserError("a text and a file were both given", where="--file", hint="give one of them")
    lines = read_lines(request.text, request.file, example='intona say "Добрый день!"', whole=options.ssml)
    paths = outputs(request.output, len(lines))
    _check_target(request.output, paths)
    times = TimesFiles(request.times, 1 if paths is None else len(paths))

    from intona import synth
    from intona.cli import streaming
    from intona.text import Lexicon

    started = time.perf_counter()
    lexicon = None if request.lexicon is None else Lexicon.read(request.lexicon)
    voice = synth.load(
        request.model,
        device=request.device,
        vocoder=request.vocoder,
        lexicon=lexicon,
        backend=request.backend,
    )
    voice.capabilities.require(options)
    if times:
        voice.capabilities.require_times(where="--times")
    options = options.with_recording()  # read once for all lines
    if request.stream:
        streaming.write(voice, lines, paths, options, times)
        lines.check_all_spoken()
        return
    spoken: list[Speech] = []
    for i, line in enumerate(lines):
        with lines.keep_going(line):
            began = time.perf_counter()
            speech = times.say(voice, line.text, options)
            elapsed = time.perf_counter() - began
            if paths is None:
                spoken.append(speech)
            else:
                speech.audio.write(paths[i])
                times.write(i, speech)
            report("stdout" if paths is None else paths[i], speech.duration, elapsed)
    if paths is None and spoken:
        from intona.audio.io import encode_audio
        from intona.synth.speech import concatenated

        whole = concatenated(spoken, pause=PAUSE_SECONDS)
        sys.stdout.buffer.write(encode_audio(whole.audio))
        sys.stdout.buffer.flush()
        times.write(0, whole)
    if len(lines) > 1:
        print(f"{lines.n_spoken} lines in {time.perf_counter() - started:.1f} s", file=sys.stderr)
    lines.check_all_spoken()


def outputs(output: str, n: int) -> list[Path] | None:
    """One path per line; None is stdout. Several lines number the name: out_001.wav."""
    if output == "-":
        return None
    path = Path(output)
    if path.is_dir():
        path = path / "out.wav"
    if not path.suffix:
        path = path.with_name(path.name + ".wav")
    return numbered(path, n)


def _check_target(output: str, paths: list[Path] | None) -> None:
    if paths is None:
        if sys.stdout.isatty():
            raise UserError(
                "a wav would fill the terminal", where="-o -", hint="pipe it, or give -o a file name"
            )
        return
    if not output.strip():
        raise UserError("an empty file name", where="-o")
    if paths[0].suffix.lower() not in (".wav", ".flac"):
        raise UserError(f'unknown audio format "{paths[0].suffix}"', where=output, hint="use .wav or .flac")
    try:
        paths[0].parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise UserError(f"the folder cannot be created ({e.strerror})", where=paths[0].parent) from None
