"""`intona synthesize-set`: every row of a manifest spoken into a folder."""

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
class SynthesizeSet:
    """Speak a manifest with a voice: ID.wav files for `intona evaluate`.

    The same command again goes on where it stopped. Rows that cannot be spoken are listed in
    failures.jsonl in the folder, and count as failed where they are judged.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|RUN")]
    """A shipped voice (`intona models`) or a run directory."""
    manifest: Annotated[Path, tyro.conf.arg(aliases=["-m"], metavar="FILE")]
    """id|text|speaker lines, or .jsonl."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="WAVDIR")]
    """The folder for the wavs."""
    batch: int = 8
    """Sentences at once."""
    seed: int = 0
    """With an utterance's id, decides its noise."""
    speaker: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """For all rows; if not given the row's own, where the voice has it."""
    rate: float = 1.0
    """Speaking rate: 1.1 is a tenth faster. 0.25 to 4."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Steps of the sampler; the voice knows a good number."""
    temperature: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """How much the sampler's noise varies the result; 0 is none."""

    def check(self) -> None:
        """Refuse wrong numbers before anything slow is loaded."""
        if not 1 <= self.batch <= 256:
            raise UserError(f"{self.batch} is not between 1 and 256", where="--batch")
        if not 0.25 <= self.rate <= 4:
            raise UserError(f"{self.rate:g} is not between 0.25 and 4", where="--rate")
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise UserError(f"{self.steps} is not between 1 and 1000", where="--steps")
        temperature = self.temperature
        if temperature is not None and not (math.isfinite(temperature) and 0 <= temperature <= 10):
            raise UserError(f"{temperature:g} is not between 0 and 10", where="--temperature")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"{self.seed} is not between 0 and 2^63 - 1", where="--seed")


def main(arguments: list[str]) -> None:
    request = tyro.cli(SynthesizeSet, prog="intona synthesize-set", args=arguments)
    request.check()
    from intona import checkpoint, models, synth, synth_lm
    from intona.cli.progress import bar
    from intona.evaluation import read_manifest
    from intona.synthesis_set import FAILURES, SetConfig, synthesize_set

    manifest = read_manifest(request.manifest)
    path = checkpoint.resolve(models.find(request.run))
    voice = synth_lm.load(path) if synth_lm.is_language_voice(path) else synth.load(path)
    config = SetConfig(
        batch=request.batch,
        steps=request.steps,
        temperature=request.temperature,
        seed=request.seed,
        rate=request.rate,
        speaker=request.speaker,
    )
    began = time.perf_counter()
    with bar("speak") as progress:
        spoken = synthesize_set(voice, manifest, request.out, config, progress=progress)
    took = time.perf_counter() - began
    line = f"{request.out}: {spoken.made} spoken in {took:.1f} s, {spoken.kept} there before, N = {spoken.n}"
    print(line, file=sys.stderr)
    if spoken.failures:
        first, path = spoken.failures[0], request.out / FAILURES
        count = f"{len(spoken.failures)} of {spoken.n}"
        what = f"{count} could not be spoken, the first is {first.id}: {first.reason}"
        if len(spoken.failures) == spoken.n:
            raise UserError(what, where=path)
        # Not an error of the command: they are results, and count as failed in `intona evaluate`.
        print(f"intona: warning: {path}: {what}", file=sys.stderr)
