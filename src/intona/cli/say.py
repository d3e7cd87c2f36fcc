"""`intona say`: text in, wav out."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from intona.cli.lines import read_lines
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.audio import Audio

PAUSE_SECONDS = 0.4  # between lines that share one wav


@dataclass(frozen=True, kw_only=True)
class Say:
    """Speak a text. Without TEXT and --file the text is read from stdin.

    One line makes one wav; several lines make out_001.wav, out_002.wav, …, or one wav with `-o -`. A line of
    several that cannot be spoken is named and left out; the exit code is then 1. Where the wav is, its length
    and the real-time factor are printed on stderr.

    [[p rʲ ɪ vʲ ˈe t]] inside the text is spoken as these phonemes. See also `intona read`.
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")] = ()
    """What to say; several words are joined by spaces."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FILE|-")] = "out.wav"
    """Where the wav goes; "-" is stdout. The ending names the format (wav, flac)."""
    model: Annotated[str, tyro.conf.arg(metavar="NAME|DIR")] = "ru"
    """A shipped voice (`intona models`) or a run directory."""
    file: Annotated[Path | None, tyro.conf.arg(aliases=["-f"], metavar="FILE")] = None
    """Read the text from a UTF-8 file, one utterance a line."""
    speaker: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The speaker, for a voice that has several."""
    language: Annotated[str | None, tyro.conf.arg(metavar="CODE")] = None
    """The language of the text, for a voice that speaks several; told by the script if not given."""
    rate: float = 1.0
    """Speaking rate: 1.1 is a tenth faster. 0.25 to 4."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Steps of the sampler: more is slower. The voice knows a good number."""
    temperature: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """How much the sampler's noise varies the result; 0 is none."""
    seed: int = 0
    """The same seed, text and voice give the same wav."""
    phonemes: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """The text is phonemes: symbols separated by spaces, words by "|"."""
    lexicon: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """How certain words are spoken, one a line: word = spelling (Хемингу+эй), or word = [[phonemes]]."""
    voice: Annotated[Path | None, tyro.conf.arg(metavar="REF.wav")] = None
    """Speak with the voice of this recording, for models that can (meld, prosody.ditto)."""
    voice_text: Annotated[str | None, tyro.conf.arg(metavar="TEXT")] = None
    """The words of --voice, for models that continue them (meld)."""
    tries: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Draw each sentence so often and keep the one that the model itself hears best (meld)."""
    guidance: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Strength of classifier-free guidance, for models that have it (prosody.ditto, restyle)."""
    solver: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Of the sampler, for models that have several (prosody): euler, dpm2m, ddim or ancestral."""
    style: Annotated[str | None, tyro.conf.arg(metavar="TEXT|WAV")] = None
    """A description ("calm, low") or a recording to take the style from, for models that can (restyle)."""
    length: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """Seconds of the whole, for models without phoneme durations (prosody.ditto)."""
    stream: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write the speech as it is made: the first of it leaves before the text is finished."""

    def check(self) -> None:
        """Refuse wrong numbers before anything slow is loaded."""
        if not 0.25 <= self.rate <= 4:
            raise UserError(f"{self.rate:g} is not between 0.25 and 4", where="--rate")
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise UserError(f"{self.steps} is not between 1 and 1000", where="--steps")
        if self.temperature is not None and not (
            math.isfinite(self.temperature) and 0 <= self.temperature <= 10
        ):
            raise UserError(f"{self.temperature:g} is not between 0 and 10", where="--temperature")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"{self.seed} is not between 0 and 2^63 - 1", where="--seed")
        if self.tries is not None and not 1 <= self.tries <= 100:
            raise UserError(f"{self.tries} is not between 1 and 100", where="--tries")
        for flag, value in (("--guidance", self.guidance), ("--length", self.length)):
            if value is not None and not (math.isfinite(value) and 0 <= value <= 3600):
                raise UserError(f"{value:g} is not between 0 and 3600", where=flag)
        if self.text and self.file is not None:
            raise UserError("a text and a file were both given", where="--file", hint="give one of them")

    def options(self) -> dict[str, Any]:
        return {
            "speaker": self.speaker,
            "rate": self.rate,
            "steps": self.steps,
            "seed": self.seed,
            "phonemes": self.phonemes,
            "temperature": self.temperature,
        }

    def special(self) -> dict[str, Any]:
        """What only some kinds of voices take, where it was asked for."""
        asked = {
            "voice_text": self.voice_text,
            "tries": self.tries,
            "guidance": self.guidance,
            "solver": self.solver,
            "length": self.length,
            "style": self.style,
            "language": self.language,
        }
        found = {k: v for k, v in asked.items() if v is not None}
        if self.voice is not None:
            from intona.audio import read_audio

            found["voice"] = read_audio(self.voice)
        return found


def main(arguments: list[str]) -> None:
    request = tyro.cli(Say, prog="intona say", args=arguments)
    request.check()
    lines = read_lines(request.text, request.file, example='intona say "Добрый день!"')
    paths = outputs(request.output, len(lines))
    _check_target(request.output, paths)

    from intona import synth
    from intona.cli import streaming
    from intona.text import Lexicon

    started = time.perf_counter()
    lexicon = {} if request.lexicon is None else {"lexicon": Lexicon.read(request.lexicon)}
    voice = synth.load(request.model, **lexicon)
    options = request.options() | taken(voice, request.special())
    if request.stream:
        streaming.write(voice, lines, paths, options)
        lines.check_all_spoken()
        return
    spoken: list[Audio] = []
    for i, line in enumerate(lines):
        with lines.keep_going(line):
            began = time.perf_counter()
            audio = voice.say(line.text, **options)
            took = time.perf_counter() - began
            if paths is None:
                spoken.append(audio)
            else:
                audio.write(paths[i])
            where = "stdout" if paths is None else paths[i]
            rtf = took / audio.duration if audio.duration else math.inf
            length = f"{audio.duration:.2f} s of speech in {took:.2f} s (RTF {rtf:.2f})"
            print(f"{where}: {length}", file=sys.stderr)
    if paths is None and spoken:
        from intona.audio.io import encode_audio

        sys.stdout.buffer.write(encode_audio(joined(spoken)))
        sys.stdout.buffer.flush()
    if len(lines) > 1:
        print(f"{lines.n_spoken} lines in {time.perf_counter() - started:.1f} s", file=sys.stderr)
    lines.check_all_spoken()


def taken(voice: Any, special: dict[str, Any]) -> dict[str, Any]:
    """The special options, if this voice knows them all.

    Raises:
        UserError: it does not know one.
    """
    if not special:
        return {}
    from intona.synth.voice import options_of

    known = options_of(voice)
    for name in special:
        if name not in known:
            flag = "--" + name.replace("_", "-")
            raise UserError("this kind of voice has no such option", where=flag)
    return special


def outputs(output: str, n: int) -> list[Path] | None:
    """One path a line; None is stdout. Several lines number the name: out_001.wav."""
    if output == "-":
        return None
    path = Path(output)
    if path.is_dir():
        path = path / "out.wav"
    if not path.suffix:
        path = path.with_name(path.name + ".wav")
    if n == 1:
        return [path]
    width = max(3, len(str(n)))
    return [path.with_name(f"{path.stem}_{i:0{width}d}{path.suffix}") for i in range(1, n + 1)]


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
        raise UserError(f"the folder cannot be made ({e.strerror})", where=paths[0].parent) from None


def joined(parts: list[Audio]) -> Audio:
    """All parts as one, with a pause between them."""
    import numpy as np

    from intona.audio import Audio

    rate = parts[0].sample_rate
    pause = np.zeros(round(PAUSE_SECONDS * rate), dtype=np.float32)
    pieces = [x for part in parts for x in (pause, part.samples)][1:]
    return Audio(np.concatenate(pieces), rate)
