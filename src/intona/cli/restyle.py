"""`intona restyle`: a text in a style, through a frozen VITS."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.cli.device import Device
from intona.cli.speech import parse, report, with_options
from intona.errors import UserError

OPTIONS = ("style", "guidance", "steps", "rate", "seed", "speaker")
OLD = {"--voice": "--vits"}


@with_options(only=OPTIONS)
@dataclass(frozen=True, kw_only=True)
class RestyleRequest:
    """Speak a text in a style: a description ("calm, low, slow") or a recording with that style.

    The model is a run of restyle.palette or restyle.bridge; the frozen VITS that it was trained on is loaded
    from where it was in training, or from --vits. Length and real-time factor are printed on stderr.

    Without --style the model speaks in no style in particular. Without --rate the style decides ("slow", or
    the rate of the recording compared with the corpus).
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
    """The text to speak; several words are joined by spaces."""
    model: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run directory."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("out.wav")
    """The wav to write."""
    vits: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The frozen VITS, if it has moved: piper, a directory, a hub id."""
    decoder: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A run of restyle.decoder: its tuned copy replaces the decoder of the frozen VITS."""
    device: Device = "cpu"
    control: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also write FILE.text.wav: the same latents without restyling."""

    def check(self) -> str:
        """Refuse wrong input before anything slow is loaded; returns the text."""
        text = " ".join(self.text).strip()
        if not text:
            raise UserError("no text to speak", hint='try: intona restyle "Hello." --style "calm, low"')
        if self.output.suffix.lower() not in (".wav", ".flac"):
            raise UserError("the name must end in .wav or .flac", where=self.output)
        return text


def main(arguments: list[str]) -> None:
    request, options = parse(RestyleRequest, arguments, prog="intona restyle", old=OLD)
    text = request.check()

    from intona.devices import device_of
    from intona.systems.restyle import voice as restyle

    device = device_of(request.device)
    voice = restyle.load(request.model, device=device, vits=request.vits, decoder=request.decoder)
    began = time.perf_counter()
    restyled = voice.restyled(text, options)
    elapsed = time.perf_counter() - began
    request.output.parent.mkdir(parents=True, exist_ok=True)
    restyled.audio.write(request.output)
    report(request.output, restyled.audio.duration, elapsed)
    if request.control:
        control = request.output.with_suffix(f".text{request.output.suffix}")
        voice.voice.sound(restyled.z_text).write(control)
        print(f"{control}: without restyling", file=sys.stderr)
