"""`intona synthesize-set`: every row of a manifest spoken into a folder."""

from __future__ import annotations

import math
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from intona.errors import UserError

if TYPE_CHECKING:
    from intona.evaluation import Manifest
    from intona.synth.prompts import Prompt


@dataclass(frozen=True, kw_only=True)
class SynthesizeSet:
    """Speak a manifest with a voice: ID.wav files for `intona evaluate`.

    The same command again goes on where it stopped. Rows that cannot be spoken are listed in
    failures.jsonl in the folder, and count as failed where they are judged.

    For voices that take a reference the manifest may have the columns prompt (a path in its folder, or the
    name of a recording in --prompts), prompt_text and length (seconds); for voices of several languages the
    column language.
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
    language: Annotated[str | None, tyro.conf.arg(metavar="CODE")] = None
    """Of the rows that do not name theirs, for voices of several languages."""
    lexicon: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """How certain words are spoken, one a line: word = spelling (Хемингу+эй), or word = [[phonemes]]."""
    rate: float = 1.0
    """Speaking rate: 1.1 is a tenth faster. 0.25 to 4."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Steps of the sampler; the voice knows a good number."""
    temperature: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """How much the sampler's noise varies the result; 0 is none."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Recordings whose voices to take: a prepared corpus, or a folder with ID.wav or SPEAKER.wav, or one with
    its own manifest.jsonl. They are kept in WAVDIR/prompts, as `intona evaluate --prompts` wants them."""
    tries: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Draw each sentence so often and keep the one that the model itself hears best (meld)."""
    guidance: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Strength of classifier-free guidance, for voices that have it (prosody.ditto)."""
    solver: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Of the sampler, for voices that have several (prosody): euler, dpm2m, ddim or ancestral."""
    length: Annotated[str | None, tyro.conf.arg(metavar="SECONDS|DIR")] = None
    """Seconds of each utterance, or a folder with ID.wav recordings to be as long as (prosody.ditto)."""

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
        if self.tries is not None and not 1 <= self.tries <= 100:
            raise UserError(f"{self.tries} is not between 1 and 100", where="--tries")
        if self.guidance is not None and not (math.isfinite(self.guidance) and 0 <= self.guidance <= 100):
            raise UserError(f"{self.guidance:g} is not between 0 and 100", where="--guidance")
        if self.prompts is not None and not self.prompts.is_dir():
            raise UserError("no such folder", where=self.prompts)
        self.seconds()
        if not 0 <= self.seed < 2**63:
            raise UserError(f"{self.seed} is not between 0 and 2^63 - 1", where="--seed")

    def seconds(self) -> float | Path | None:
        """What --length says: a number, or a folder of recordings."""
        if self.length is None:
            return None
        try:
            value = float(self.length)
        except ValueError:
            if Path(self.length).is_dir():
                return Path(self.length)
            raise UserError(
                f'"{self.length}" is neither seconds nor a folder of recordings', where="--length"
            ) from None
        if not 0 < value <= 3600:
            raise UserError(f"{value:g} is not between 0 and 3600", where="--length")
        return value


def asked(
    request: SynthesizeSet, manifest: Manifest, takes: frozenset[str]
) -> tuple[dict[str, Prompt], dict[str, float], dict[str, str]]:
    """Prompts, lengths and languages of the rows, from the flags and from the manifest's columns.

    A column that the voice can do nothing with is left out with a warning: one manifest serves all voices.

    Raises:
        UserError: a flag that the voice does not know, rows without a prompt, files that are none.
    """
    from intona.synth import prompts as given

    for flag in ("prompts", "length", "guidance", "solver", "tries", "language"):
        name = "voice" if flag == "prompts" else flag
        if getattr(request, flag) is not None and name not in takes:
            raise UserError("this kind of voice has no such option", where=f"--{flag}")
    columns = given.read_columns(request.manifest)
    for name, needed in (
        ("prompt", "voice"),
        ("reference", "voice"),
        ("length", "length"),
        ("language", "language"),
    ):
        if needed not in takes and any(name in cells for cells in columns.values()):
            warnings.warn(f'the column "{name}" is not used: this kind of voice cannot', stacklevel=2)
    prompts: dict[str, Prompt] = {}
    if "voice" in takes:
        beside = request.manifest.parent
        prompts = given.choose(manifest, request.prompts, columns=columns, beside=beside)
    lengths: dict[str, float] = {}
    if "length" in takes:
        seconds = request.seconds()
        if isinstance(seconds, Path):
            lengths = given.durations(seconds, manifest)
        elif seconds is not None:
            lengths = {row.id: seconds for row in manifest.rows}
        else:
            lengths = given.lengths_of(columns)
    return prompts, lengths, given.languages_of(columns) if "language" in takes else {}


def main(arguments: list[str]) -> None:
    request = tyro.cli(SynthesizeSet, prog="intona synthesize-set", args=arguments)
    request.check()
    from intona import synth
    from intona.evaluation import read_manifest
    from intona.progress import bar
    from intona.synth.batch import SetConfig, synthesize_set
    from intona.synth.record import FAILURES
    from intona.synth.voice import options_of

    manifest = read_manifest(request.manifest)
    voice: Any = synth.load(request.run, lexicon=request.lexicon)
    if hasattr(voice, "strict"):  # a sentence cut at the cap is a failed row
        voice.strict = True
    prompts, lengths, languages = asked(request, manifest, options_of(voice))
    config = SetConfig(
        batch=request.batch,
        steps=request.steps,
        temperature=request.temperature,
        guidance=request.guidance,
        solver=request.solver,
        tries=request.tries,
        seed=request.seed,
        rate=request.rate,
        speaker=request.speaker,
        language=request.language,
    )
    began = time.perf_counter()
    with bar("speak") as progress:
        spoken = synthesize_set(
            voice,
            manifest,
            request.out,
            config,
            prompts=prompts,
            lengths=lengths,
            languages=languages,
            progress=progress,
        )
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
