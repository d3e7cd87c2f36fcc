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
    """Speak a text in a style: a description ("calm, low, slow") or a recording to take it from.

    The model is a run of restyle.palette or restyle.bridge; the frozen voice it was trained on is loaded from
    where the run found it, or from --voice. Length and real-time factor are printed on stderr.
    """

    text: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
    """What to say; several words are joined by spaces."""
    model: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run directory."""
    style: Annotated[str | None, tyro.conf.arg(metavar="TEXT|WAV")] = None
    """A description, or a sound file. Left out: the model speaks without a style."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE")] = Path("out.wav")
    """Where the wav goes."""
    guidance: float = 3.0
    """How much the style counts: 0 none, 1 as trained, 3 or more exaggerates, at the cost of the words."""
    steps: int = 10
    """Evaluations of the network; guidance doubles their cost."""
    rate: float | None = None
    """Speaking rate: 1.1 is a tenth faster. The model cannot change lengths; this can. Left out: what the
    style says of it ("slow", or a recording's own rate beside those of the corpus)."""
    seed: int = 0
    """The same seed, text, style and model give the same wav."""
    voice: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The frozen VITS, where it has moved: piper, a directory, a hub id."""
    decoder: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A run of restyle.decoder: its tuned copy speaks in place of the voice's own decoder."""
    control: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Also write FILE.text.wav: the same latents without restyling."""

    def check(self) -> str:
        """Refuse wrong input before anything slow is loaded; the text."""
        text = " ".join(self.text).strip()
        if not text:
            raise UserError("no text to speak", hint='try: intona restyle "Hello." --style "calm, low"')
        if self.style is not None and not self.style.strip():
            raise UserError("an empty style", where="--style", hint='such as "calm, low, slow"')
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
    made = voice.say(
        text,
        request.style,
        guidance=request.guidance,
        steps=request.steps,
        rate=request.rate,
        seed=request.seed,
    )
    took = time.perf_counter() - began
    request.output.parent.mkdir(parents=True, exist_ok=True)
    made.audio.write(request.output)
    seconds = made.audio.duration
    print(
        f"{request.output}: {seconds:.2f} s of speech in {took:.2f} s (RTF {took / seconds:.2f})",
        file=sys.stderr,
    )
    if request.control:
        plain = request.output.with_suffix(f".text{request.output.suffix}")
        voice.sound(made.z_text).write(plain)
        print(f"{plain}: without restyling", file=sys.stderr)
