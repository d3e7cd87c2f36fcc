"""`intona synthesize-set`: every row of a manifest spoken into a folder."""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from intona.cli.aliases import OUTPUT
from intona.cli.device import Device
from intona.cli.speech import parse, with_options
from intona.errors import UserError
from intona.synth.options import SpeakOptions, check_number

if TYPE_CHECKING:
    from intona.evaluation import Manifest
    from intona.synth.batch import RowInputs
    from intona.synth.capabilities import Capabilities

# Options that are not flags here: those of single rows, and those that need text that is not words.
OMITTED = ("reference", "reference_text", "length", "phonemes", "ssml")


@with_options(omit=OMITTED)
@dataclass(frozen=True, kw_only=True)
class SynthesizeSet:
    """Speak a manifest with a voice: ID.wav files for `intona evaluate`.

    The same command continues where an earlier one stopped. Rows that cannot be spoken are listed in
    failures.jsonl in the folder, and count as failed where the folder is judged.

    For voices that take a reference the manifest may have the columns prompt (a path in its folder, or the
    name of a recording in --prompts), prompt_text and length (seconds); for voices of several languages the
    column language.
    """

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|RUN")]
    """A shipped voice (`intona models`), a run directory, or hf://OWNER/NAME[@REVISION]."""
    manifest: Annotated[Path, tyro.conf.arg(aliases=["-m"], metavar="FILE")]
    """id|text|speaker lines, or .jsonl."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="WAVDIR")]
    """The folder for the wavs."""
    batch: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Sentences that are spoken at once: by default 8, and on a GPU as many as fit into its memory. Fewer
    where they do not fit."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Recordings whose voices are used: a prepared corpus, or a folder with ID.wav or SPEAKER.wav, or one
    with a manifest.jsonl. Copies are kept in WAVDIR/prompts, for `intona evaluate --prompts`."""
    length: Annotated[str | None, tyro.conf.arg(metavar="SECONDS|DIR")] = None
    """Seconds of each utterance, or a folder with ID.wav recordings of the lengths to aim at (ditto)."""
    lexicon: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """How certain words are spoken, one per line: word = spelling (Хемингу+эй), or word = [[phonemes]]."""
    vocoder: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The vocoder, for voices that make mel spectrograms; that of the voice's card if not given."""
    device: Device = "cpu"
    workers: int | None = None
    """Processes that speak; by default one, and with --cluster one for each of its cores or GPUs."""
    cluster: Annotated[str, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = "local"
    """Where the rows are spoken: this machine, or the Ray cluster that it belongs to."""
    backend: Literal["torch", "onnx"] | None = None
    """What computes; see `intona say --help`."""

    def check(self) -> None:
        """Refuse wrong input before anything slow is loaded."""
        if self.batch is not None:
            check_number(self.batch, (1, 256), where="--batch")
        if self.workers is not None and not 0 <= self.workers <= 1024:
            raise UserError(f"{self.workers} is not between 0 and 1024", where="--workers")
        if self.prompts is not None and not self.prompts.is_dir():
            raise UserError("no such folder", where=self.prompts)
        self.seconds()

    def seconds(self) -> float | Path | None:
        """The value of --length: a number, or a folder of recordings."""
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
        return SpeakOptions(length=value).length


def row_inputs(request: SynthesizeSet, manifest: Manifest, capabilities: Capabilities) -> RowInputs:
    """Prompts, lengths and languages of the rows, from the flags and from the manifest's columns.

    A column that the voice has no use for is left out with a warning: one manifest serves all voices.

    Raises:
        UserError: a flag that the voice does not take, rows without a prompt, files that are not audio.
    """
    from intona.synth import prompts as columns_of
    from intona.synth.batch import RowInputs

    if request.prompts is not None and not capabilities.takes("reference"):
        raise capabilities.refused("reference", flag="--prompts")
    if request.length is not None and not capabilities.takes("length"):
        raise capabilities.refused("length")
    columns = columns_of.read_columns(request.manifest)
    for name, option in (
        ("prompt", "reference"),
        ("reference", "reference"),
        ("length", "length"),
        ("language", "language"),
    ):
        if not capabilities.takes(option) and any(name in cells for cells in columns.values()):
            message = f'the column "{name}" is not used: {capabilities.system} voices have no such option'
            warnings.warn(message, stacklevel=2)
    rows: dict[str, Any] = {}
    if capabilities.takes("reference"):
        beside = request.manifest.parent
        rows["prompts"] = columns_of.choose(manifest, request.prompts, columns=columns, beside=beside)
    if capabilities.takes("length"):
        seconds = request.seconds()
        if isinstance(seconds, Path):
            rows["lengths"] = columns_of.durations(seconds, manifest)
        elif seconds is not None:
            rows["lengths"] = {row.id: seconds for row in manifest.rows}
        else:
            rows["lengths"] = columns_of.lengths_of(columns)
    if capabilities.takes("language"):
        rows["languages"] = columns_of.languages_of(columns)
    return RowInputs(**rows)


def main(arguments: list[str]) -> None:
    request, options = parse(SynthesizeSet, arguments, prog="intona synthesize-set", old=OUTPUT)
    request.check()
    from intona import devices, synth
    from intona.cluster import open_engine
    from intona.cluster.base import LOCAL
    from intona.evaluation import read_manifest
    from intona.progress import bar
    from intona.synth.batch import SetConfig, synthesize_set
    from intona.synth.fitting import CPU_SENTENCES, device_of
    from intona.synth.record import FAILURES

    manifest = read_manifest(request.manifest)
    local = request.cluster == LOCAL
    parts = [Path(name) for name in (request.run, request.vocoder) if name and Path(name).exists()]
    files = [request.manifest, request.output, request.prompts, request.lexicon, *parts]
    with (
        open_engine(
            request.cluster,
            workers=(request.workers or 0) if local else request.workers,
            files=files,
            device=request.device,
        ) as engine,
        bar("speak") as progress,
    ):
        backend = request.backend
        if backend is None and not local and engine.device != "cpu":
            backend = "torch"  # as the workers choose it, which have a GPU
        load = partial(
            synth.load, request.run, vocoder=request.vocoder, lexicon=request.lexicon, backend=backend
        )
        reload = partial(load, device=engine.device)
        # On a cluster this process reads the texts and speaks nothing: it may have no GPU.
        voice = reload() if local else load(device="cpu")
        voice.capabilities.require(options)
        rows = row_inputs(request, manifest, voice.capabilities)
        batch = request.batch
        if batch is None and device_of(voice) == devices.CPU:
            batch = CPU_SENTENCES
        config = SetConfig(**options.changed, batch=batch, strict=True)
        began = time.perf_counter()
        result = synthesize_set(
            voice,
            manifest,
            request.output,
            config,
            prompts=rows.prompts,
            lengths=rows.lengths,
            languages=rows.languages,
            progress=progress,
            engine=engine,
            reload=reload,
        )
        elapsed = time.perf_counter() - began
    count = f"{result.spoken} spoken in {elapsed:.1f} s, {result.kept} there before, N = {result.n}"
    print(f"{request.output}: {count}", file=sys.stderr)
    if result.failures:
        first, path = result.failures[0], request.output / FAILURES
        count = f"{len(result.failures)} of {result.n}"
        message = f"{count} could not be spoken, the first is {first.id}: {first.reason}"
        if len(result.failures) == result.n:
            raise UserError(message, where=path)
        # Not an error of the command: failures are results, and count as failed in `intona evaluate`.
        print(f"intona: warning: {path}: {message}", file=sys.stderr)
