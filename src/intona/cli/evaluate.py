"""`intona evaluate`: folders of wavs and a manifest in, a report with intervals out."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from intona.errors import UserError

if TYPE_CHECKING:
    from intona.evaluation.plan import System


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Judge folders of wavs against a manifest, whoever made them.

    Each folder holds ID.wav (flac, ogg, mp3) files. An utterance that is missing, empty or silent counts
    at the worst value. Recording, copy synthesis, destroyed text and espeak-ng stand in the table as
    controls where they can be built. The same command again goes on where it stopped. The table is
    printed; the report directory holds table.md, table.json, records.jsonl and report.html.
    """

    wavs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME=]WAVDIR")] = ()
    """One folder a system; NAME@SEED=WAVDIR for runs of one system with several training seeds."""
    manifest: Annotated[Path | None, tyro.conf.arg(aliases=["-m"], metavar="FILE")] = None
    """id|text|speaker lines, or .jsonl: what was to be said, fixed before synthesis."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="REPORT")]
    """The report directory."""
    reference: Annotated[Path | None, tyro.conf.arg(metavar="RECDIR")] = None
    """Recordings of the same utterances, for measures that compare with one."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Recordings of the voices (ID.wav, or SPEAKER.wav), for speaker similarity."""
    speaker_model: Annotated[str, tyro.conf.arg(metavar="ge2e|DIR|HUB")] = "ge2e"
    """The embedder of speaker similarity."""
    utmos: Annotated[str | None, tyro.conf.arg(metavar="DIR|HUB")] = None
    """Weights of UTMOS22, where there are some."""
    mcd_rate: int = 16_000
    """Sample rate of the mel-cepstral distance, one for all systems."""
    name: tuple[str, ...] = ()
    """Names of the folders, in their order, instead of NAME=."""
    language: str = "ru"
    """The language of the texts."""
    asr: Annotated[str, tyro.conf.arg(metavar="offline|DIR|HUB|none")] = "offline"
    """The recognizer."""
    beam: int = 5
    """Beam of the recognizer."""
    measures: Annotated[str | None, tyro.conf.arg(metavar="A,B,…")] = None
    """Only these judges, such as asr,f0; all that the inputs allow if not given."""
    family: Annotated[str | None, tyro.conf.arg(metavar="A,B,…")] = None
    """Measures whose comparisons Holm's adjustment is over, such as wer,f0_rmse; all if not given."""
    against: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The system that the others are compared with; the recording if not given."""
    controls: bool = True
    """Build the control rows that can be built."""
    bad_files: Literal["refuse", "count"] = "refuse"
    """Files that are unreadable, hold NaN or last over ten minutes: stop, or count them as failed."""
    tried: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """How many configurations were tried on other data before this one; stands in the report."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes; one a core if not given. The figures do not depend on it."""
    shard: Annotated[str | None, tyro.conf.arg(metavar="I/N")] = None
    """Judge only part I of N, and leave the table to --merge."""
    merge: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Make the table of what the shards have judged; needs --out only."""
    html: bool = True
    """Write report.html."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Evaluate, prog="intona evaluate", args=arguments)
    # One maths thread a process, however many processes: rounding, and so every figure, stays the same.
    os.environ["OMP_NUM_THREADS"] = "1"
    part = shard_of(request.shard)
    if request.merge:
        if request.wavs or part:
            raise UserError("takes --out alone", where="--merge")
        from intona.evaluation import merge

        merge(request.out)
        _show(request, None)
        return
    if request.manifest is None:
        raise UserError("no manifest", where="--manifest", hint="give id|text lines: what was to be said")
    if not request.wavs:
        raise UserError("no folder of wavs", hint="intona evaluate NAME=WAVDIR --manifest M.csv --out REPORT")
    if request.workers is not None and not 0 <= request.workers <= 1024:
        raise UserError(f"{request.workers} is not between 0 and 1024", where="--workers")
    if request.beam < 1:
        raise UserError(f"{request.beam} is less than 1", where="--beam")

    from intona.evaluation import EvaluationConfig, evaluate, evaluate_shard, read_manifest
    from intona.evaluation.finished import remember_wavs
    from intona.evaluation.run import default_judges
    from intona.pool import default_workers
    from intona.progress import bar

    manifest = read_manifest(request.manifest)
    systems = systems_of(request.wavs, request.name)
    config = EvaluationConfig(
        language=request.language,
        asr=None if request.asr == "none" else request.asr,
        beam_size=request.beam,
        measures=names(request.measures),
        prompts=request.prompts,
        speaker_model=request.speaker_model,
        utmos_model=request.utmos,
        mcd_rate=request.mcd_rate,
        against=request.against,
        family=names(request.family),
        tried=request.tried,
    )
    _check_files(request, systems, manifest)
    # Missing weights and prompts are told before any control is made.
    judges = default_judges(config, reference=request.reference is not None, manifest=manifest)
    workers = default_workers() if request.workers is None else request.workers
    with bar("evaluate") as progress:
        notes: list[str] = []
        if request.controls:
            from intona.evaluation.controls import add_controls

            systems, notes = add_controls(
                systems,
                manifest,
                out=request.out / "controls",
                language=request.language,
                reference=request.reference,
                workers=workers,
                progress=progress,
            )
        more: dict[str, Any] = {
            "out": request.out,
            "reference": request.reference,
            "config": config,
            "judges": judges,
            "progress": progress,
            "workers": workers,
            "notes": notes,
        }
        if part:
            count = evaluate_shard(systems, manifest, shard=part, **more)
            remember_wavs(request.out, _folders(systems))
            then = f"when all are done: intona evaluate --merge -o {request.out}"
            print(f"shard {request.shard}: {count} records; {then}", file=sys.stderr)
            return
        evaluate(systems, manifest, **more)
    _show(request, systems)


def names(text: str | None) -> tuple[str, ...] | None:
    """ "a,b" -> ("a", "b")."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def shard_of(text: str | None) -> tuple[int, int] | None:
    """ "2/8" -> (2, 8).

    Raises:
        UserError: anything else.
    """
    if text is None:
        return None
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and 1 <= int(i) <= int(n) <= 100_000):
        raise UserError(f'"{text}" is no I/N with 1 <= I <= N', where="--shard", hint="such as 2/8")
    return int(i), int(n)


def systems_of(folders: tuple[str, ...], given: tuple[str, ...] = ()) -> list[System]:
    """`[NAME[@SEED]=]DIR` -> systems; without a name the folder's own.

    Raises:
        UserError: more names than folders without one, an empty name.
    """
    from intona.evaluation.plan import System

    waiting, systems = list(given), []
    for text in folders:
        label, equals, folder = text.partition("=")
        if not equals or Path(text).is_dir():
            folder = text
            label = waiting.pop(0) if waiting else (Path(text).name or Path(text).resolve().name)
        name, at, seed = label.partition("@")
        if not name or not folder or (at and not seed):
            raise UserError(f'"{text}" is no NAME=DIR or NAME@SEED=DIR')
        systems.append(System(name=name, folder=Path(folder), seed=seed))
    if waiting:
        raise UserError(f'"{waiting[0]}" is a name too many', where="--name")
    return systems


def _check_files(request: Evaluate, systems: list[System], manifest: Any) -> None:
    """Broken files are told before the hours of judging, and never counted unless somebody says so."""
    from intona.evaluation.wavs import bad_files, index_folder

    count = "or give --bad-files count: it is a failed output then"
    folders = [(s.folder, f"fix or remove it, {count}") for s in systems if request.bad_files == "refuse"]
    if request.reference is not None:
        folders.append((request.reference, "recordings must be whole: fix it, or leave its row out"))
    for folder, hint in folders:
        files, _ = index_folder(folder, manifest)
        if bad := bad_files(files.values()):
            path, why = bad[0]
            more = f" (and {len(bad) - 1} more files)" if len(bad) > 1 else ""
            raise UserError(f"{why}{more}", where=path, hint=hint)


def _folders(systems: list[System]) -> dict[str, Path]:
    """Where each row's audio lies; the destroyed row has none of its own."""
    return {s.label: s.folder for s in systems if s.borrow is None}


def _show(request: Evaluate, systems: list[System] | None) -> None:
    """The table on stdout, the page beside it."""
    if request.html:
        from intona.evaluation.html import write_html
        from intona.progress import bar

        wavs = None if systems is None else _folders(systems)
        with bar("page") as progress:
            write_html(request.out, wavs=wavs, progress=progress)
    print((request.out / "table.md").read_text(encoding="utf-8"), end="")
    print(f"report: {request.out}", file=sys.stderr)
