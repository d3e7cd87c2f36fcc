"""`intona restyle`: a text in a style, through a frozen VITS."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class RestyleRequest:
    """Speak a text in a style, described in words ("calm, low, slow") or by a recording.

    The model is a run of restyle.palette or restyle.bridge. The frozen voice that it was trained on is loaded
    from where it was during training, or from --voice. Length and real-time factor are printed on stderr.
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
    """What to say; several words are joined by spaces."""
    model: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run directory."""
    style: Annotated[str | None, tyro.conf.arg(metavar="TEXT|WAV")] = None
    """A description, or an audio file; without it the model speaks without a style."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("out.wav")
    """The audio file to write."""
    guidance: float = 3.0
    """Strength of the style: 0 none, 1 as trained; 3 or more exaggerates it and makes words less clear."""
    steps: int = 10
    """Evaluations of the network; guidance other than 0 and 1 doubles their cost."""
    rate: float | None = None
    """Speaking rate; 1.1 is a tenth faster. By default the rate of the style: of a description ("slow"),
    or of a recording compared with the training corpus."""
    seed: int = 0
    """The same seed, text, style and model give the same wav."""
    voice: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The frozen VITS, if it has moved: piper, a directory, a hub id."""
    decoder: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A run of restyle.decoder, whose fine-tuned copy replaces the decoder of the voice."""
    control: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also write FILE.text.wav: the same latents without restyling."""

    def check(self) -> str:
        """Refuse wrong input before anything slow is loaded; returns the text."""
        text = " ".join(self.text).strip()
        if not text:
            raise UserError("no text to speak", hint='try: intona restyle "Hello." --style "calm, low"')
        if self.style is not None and not self.style.strip():
            raise UserError("an empty style", where="--style", hint='for example "calm, low, slow"')
        if not (math.isfinite(self.guidance) and 0 <= self.guidance <= 100):
            raise UserError(f"{self.guidance:g} is not between 0 and 100", where="--guidance")
        if not 1 <= self.steps <= 1000:
            raise UserError(f"{self.steps} is not between 1 and 1000", where="--steps")
        if self.rate is not None and not 0.25 <= self.rate <= 4:
            raise UserError(f"{self.rate:g} is not between 0.25 and 4", where="--rate")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"{self.seed} is not between 0 and 2^63 - 1", where="--seed")
        if self.output.suffix.lower() not in (".wav", ".flac"):
            raise UserError("the name must end in .wav or .flac", where=self.output)
        return text


def main(arguments: list[str]) -> None:
    request = tyro.cli(RestyleRequest, prog="intona restyle", args=arguments)
    text = request.check()

    from intona.systems.restyle import speak

    voice = speak.load(request.model, voice=request.voice, decoder=request.decoder)
    began = time.perf_counter()
    restyled = voice.say(
        text,
        request.style,
        guidance=request.guidance,
        steps=request.steps,
        rate=request.rate,
        seed=request.seed,
    )
    elapsed = time.perf_counter() - began
    request.output.parent.mkdir(parents=True, exist_ok=True)
    restyled.audio.write(request.output)
    seconds = restyled.audio.duration
    print(
        f"{request.output}: {seconds:.2f} s of speech in {elapsed:.2f} s (RTF {elapsed / seconds:.2f})",
        file=sys.stderr,
    )
    if request.control:
        plain = request.output.with_suffix(f".text{request.output.suffix}")
        voice.sound(restyled.z_text).write(plain)
        print(f"{plain}: without restyling", file=sys.stderr)
