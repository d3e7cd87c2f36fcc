"""`intona demo`: sentences spoken, on one page with their sound, pitch and words."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from intona.cli.aliases import OUTPUT, renamed
from intona.cli.device import Device
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.cli.demo_page import SpokenText
    from intona.synth.voice import Voice

# The voice of Russian and English, and the quick vocoder (where it is missing, the voice's own).
MODEL = "ru-en"
VOCODER = "vocoder-draft"
SENTENCES = {
    "ru": ("Поезд уже пришёл.", "Поезд уже пришёл?"),
    "en": ("They have finished the work.", "Have they finished the work?"),
}
PAGE = "demo.html"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Speak a statement and a question in each language of the voice, and write a page to listen to them.

    The page shows the waveform, the pitch and the time of each word. It is one file that loads nothing else.
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")] = ()
    """Texts to speak instead, each in quotes."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """A shipped voice or a run directory. Default: the shipped voice of Russian and English."""
    vocoder: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The vocoder, for voices that make mel spectrograms. Default: the quickest one that is shipped."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE.html|DIR")] = Path("demo")
    """The page, or the folder for demo.html."""
    device: Device = "cpu"
    seed: int = 0
    """The same seed gives the same sound."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Demo, prog="intona demo", args=renamed(arguments, OUTPUT))
    from intona import synth
    from intona.cli import demo_page

    output = request.output if request.output.suffix == ".html" else request.output / PAGE
    started = time.perf_counter()
    name = request.model or MODEL
    voice = synth.load(name, vocoder=request.vocoder or _quick_vocoder(name), device=request.device)
    loaded = time.perf_counter()
    clips = [_spoken(voice, text, request.seed) for text in request.text or sentences_of(voice.languages)]
    spoken = time.perf_counter()
    demo_page.write(output, name, clips)
    for clip in clips:
        print(f"{clip.text}  {clip.speech.duration:.2f} s{f', {clip.speaker}' if clip.speaker else ''}")
    print(f"open {output}")
    seconds = sum(clip.speech.duration for clip in clips)
    elapsed = spoken - loaded
    print(
        f"{loaded - started:.2f} s to load, {elapsed:.2f} s to speak {seconds:.2f} s "
        f"(RTF {elapsed / max(seconds, 1e-9):.2f}), {time.perf_counter() - spoken:.2f} s for the page",
        file=sys.stderr,
    )


def sentences_of(languages: Sequence[str]) -> list[str]:
    """The sentences in these languages, Russian first.

    Raises:
        UserError: there are none.
    """
    texts = [text for code, row in SENTENCES.items() if code in languages for text in row]
    if not texts:
        raise UserError(
            f"no sentence here is in {', '.join(languages) or 'a language of the voice'}",
            hint='intona demo --model NAME "A text of yours."',
        )
    return texts


def _quick_vocoder(name: str) -> str | None:
    """The quick vocoder where it is shipped, for a voice that takes one."""
    from intona import checkpoint, models, synth
    from intona.synth.capabilities import capabilities_of

    kind = synth.kind_of(checkpoint.resolve(models.find(name, kind="voice")))
    capabilities = capabilities_of(kind)
    takes_one = capabilities is not None and capabilities.vocoder
    is_shipped = any(card.name == VOCODER for card in models.shipped("vocoder"))
    return VOCODER if takes_one and is_shipped else None


def _spoken(voice: Voice, text: str, seed: int) -> SpokenText:
    """A text with the times of its words, where the voice knows them."""
    from intona.cli.demo_page import SpokenText
    from intona.synth.speech import Speech

    if voice.capabilities.times:
        speech = voice.speech(text, seed=seed)
    else:
        speech = Speech(audio=voice.say(text, seed=seed))
    if speech.duration <= 0:
        raise UserError("the voice spoke nothing", where=f'"{text[:40]}"')
    return SpokenText(text=text, speech=speech, speaker=speaker_of(voice, text))


def speaker_of(voice: Voice, text: str) -> str:
    """The speaker of a text, "" for a voice that has only one; a synthetic one is marked as such."""
    from intona.synth.speakers import Speakers, labelled
    from intona.text.languages import fitting

    info, speakers = voice.info, list(voice.speakers)
    if not voice.capabilities.named_speakers or len(speakers) < 2:
        return ""
    code = fitting(text, voice.languages)[0]
    name = Speakers.of_info(info).default(code) or speakers[0]
    return labelled([name], info.get("speaker_info", {})).get(name, name)
