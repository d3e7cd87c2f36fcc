"""`intona evaluate`: folders of wavs and a manifest in, a report with intervals out."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from intona.cli.aliases import OUTPUT, renamed
from intona.cli.device import METAVAR
from intona.errors import UserError

if TYPE_CHECKING:
    from intona.evaluation.plan import System


GPU_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Judge folders of wavs against a manifest, whatever produced them.

    Each folder holds ID.wav (flac, ogg, mp3) files. An utterance that is missing, empty or silent counts at
    the worst value. Recording, copy synthesis, destroyed text and espeak-ng are added to the table as
    controls if they can be built. The same command continues where an earlier one stopped. The table is
    printed; the report directory holds table.md, table.json, records.jsonl and report.html.
    """

    wavs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[NAME=]WAVDIR")] = ()
    """One folder per system; NAME@SEED=WAVDIR for runs of one system with several training seeds."""
    manifest: Annotated[Path | None, tyro.conf.arg(aliases=["-m"], metavar="FILE")] = None
    """The utterances, fixed before synthesis: id|text|speaker lines, or .jsonl."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="REPORT")]
    """The report directory."""
    reference: Annotated[Path | None, tyro.conf.arg(metavar="RECDIR")] = None
    """Recordings of the same utterances, for measures that compare with one."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Recordings of the voices (ID.wav, or SPEAKER.wav), for speaker similarity."""
    speaker_model: Annotated[str, tyro.conf.arg(metavar="ge2e|DIR|HUB")] = "ge2e"
    """The speaker encoder of speaker similarity."""
    utmos: Annotated[str | None, tyro.conf.arg(metavar="DIR|HUB")] = None
    """Weights of UTMOS22."""
    mcd_rate: int = 16_000
    """Sample rate of the mel-cepstral distortion, one for all systems."""
    name: tuple[str, ...] = ()
    """Names of the folders in their order, instead of NAME=."""
    language: str = "ru"
    """The language of the texts."""
    asr: Annotated[str, tyro.conf.arg(metavar="offline|DIR|HUB|none")] = "offline"
    """The recognizer."""
    beam: int = 5
    """Beam size of the recognizer."""
    judges: Annotated[str | None, tyro.conf.arg(metavar="A,B,…")] = None
    """Only these judges, such as asr,f0. Without it, all built-in ones that the inputs allow ("default")."""
    judge_settings: Annotated[tuple[str, ...], tyro.conf.arg(metavar="JUDGE.KEY=VALUE")] = ()
    """Settings of judges, such as mcd.sample_rate=24000."""
    family: Annotated[str | None, tyro.conf.arg(metavar="A,B,…")] = None
    """Measures that are adjusted together (Holm), such as wer,f0_rmse. Without it, all with a direction."""
    against: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The system that the others are compared with; by default the recording."""
    controls: bool = True
    """Build the control rows that can be built."""
    bad_files: Literal["refuse", "count"] = "refuse"
    """Files that are unreadable, contain NaN or are longer than ten minutes: stop, or count as failed."""
    tried: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """How many configurations were tried on other data before this one; shown in the report."""
    device: Annotated[str, tyro.conf.arg(metavar=METAVAR)] = "cpu"
    """Where the networks of the judges run: cpu, cuda, cuda:1, or auto: a GPU where there is one."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes; by default one per core, and at most 4 with a GPU, where each holds the judges' networks.
    The figures do not depend on it."""
    cluster: Annotated[str, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = "local"
    """Where the files are judged: this machine, or the Ray cluster that it belongs to. The figures do not
    depend on it."""
    html: bool = True
    """Write report.html."""


def main(arguments: list[str]) -> None:
    arguments = renamed(arguments, {**OUTPUT, "--measures": "--judges"})
    request = tyro.cli(Evaluate, prog="intona evaluate", args=arguments)
    # One computing thread per process, however many processes: rounding, and so the figures, stay equal.
    os.environ["OMP_NUM_THREADS"] = "1"
    if request.manifest is None:
        raise UserError("no manifest", where="--manifest", hint="give the utterances as id|text lines")
    if not request.wavs:
        raise UserError(
            "no folder of wavs", hint="intona evaluate NAME=WAVDIR --manifest M.csv --output REPORT"
        )
    if request.workers is not None and not 0 <= request.workers <= 1024:
        raise UserError(f"{request.workers} is not between 0 and 1024", where="--workers")
    if request.beam < 1:
        raise UserError(f"{request.beam} is less than 1", where="--beam")

    from intona.cluster import open_engine
    from intona.cluster.base import LOCAL
    from intona.devices import device_name
    from intona.evaluation import EvaluationConfig, evaluate, read_manifest
    from intona.evaluation.run import default_judges
    from intona.pool import default_workers
    from intona.progress import bar

    manifest = read_manifest(request.manifest)
    systems = systems_of(request.wavs, request.name)
    config = EvaluationConfig(
        language=request.language,
        asr=None if request.asr == "none" else request.asr,
        beam_size=request.beam,
        judges=names(request.judges),
        settings=settings_of(request.judge_settings),
        prompts=request.prompts,
        speaker_model=request.speaker_model,
        utmos_model=request.utmos,
        mcd_rate=request.mcd_rate,
        against=request.against,
        family=names(request.family),
        tried=request.tried,
        device=device_name(request.device),
    )
    _check_files(request, systems, manifest)
    # Missing weights and prompts are reported before any control is built.
    judges = default_judges(config, reference=request.reference is not None, manifest=manifest)
    workers = request.workers
    if workers is None and request.cluster == LOCAL and config.device != "cpu":
        workers = min(default_workers(), GPU_WORKERS)
    files = [request.manifest, request.output, request.reference, request.prompts]
    with (
        open_engine(
            request.cluster,
            workers=workers,
            files=[*files, *(s.folder for s in systems)],
            device=request.device,
        ) as engine,
        bar("evaluate") as progress,
    ):
        notes: list[str] = []
        if request.controls:
            from intona.evaluation.controls import add_controls

            systems, notes = add_controls(
                systems,
                manifest,
                out=request.output / "controls",
                language=request.language,
                reference=request.reference,
                engine=engine,
                progress=progress,
            )
        evaluate(
            systems,
            manifest,
            out=request.output,
            reference=request.reference,
            config=config,
            judges=judges,
            progress=progress,
            engine=engine,
            notes=notes,
        )
    _show(request, systems)


def names(text: str | None) -> tuple[str, ...] | None:
    """ "a,b" -> ("a", "b")."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def settings_of(assignments: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """("mcd.sample_rate=24000",) -> {"mcd": {"sample_rate": 24000}}; values are JSON, otherwise text.

    Raises:
        UserError: not JUDGE.KEY=VALUE, or an unknown judge.
    """
    from intona.errors import unknown
    from intona.evaluation.judges import names as known

    settings: dict[str, dict[str, Any]] = {}
    for text in assignments:
        place, equals, value = text.partition("=")
        judge, dot, key = place.partition(".")
        if not (equals and dot and judge and key):
            raise UserError(f'"{text}" is not JUDGE.KEY=VALUE', where="--judge-settings")
        if judge not in known():
            unknown("judge", judge, known(), where="--judge-settings")
        try:
            settings.setdefault(judge, {})[key] = json.loads(value)
        except ValueError:
            settings.setdefault(judge, {})[key] = value
    return settings


def systems_of(folders: tuple[str, ...], labels: tuple[str, ...] = ()) -> list[System]:
    """`[NAME[@SEED]=]DIR` -> systems. One without a name is called as in `labels`, then as its folder.

    Raises:
        UserError: more labels than folders without a name, an empty name.
    """
    from intona.evaluation.plan import System

    waiting, systems = list(labels), []
    for text in folders:
        label, equals, folder = text.partition("=")
        if not equals or Path(text).is_dir():
            folder = text
            label = waiting.pop(0) if waiting else (Path(text).name or Path(text).resolve().name)
        name, at, seed = label.partition("@")
        if not name or not folder or (at and not seed):
            raise UserError(f'"{text}" is not NAME=DIR or NAME@SEED=DIR')
        systems.append(System(name=name, folder=Path(folder), seed=seed))
    if waiting:
        raise UserError(f'no folder is left for the name "{waiting[0]}"', where="--name")
    return systems


def _check_files(request: Evaluate, systems: list[System], manifest: Any) -> None:
    """Report broken files before hours of judging; they count as failed only if the user says so."""
    from intona.evaluation.wavs import bad_files, index_folder

    count = "or give --bad-files count to count it as a failed output"
    folders = [(s.folder, f"fix or remove it, {count}") for s in systems if request.bad_files == "refuse"]
    if request.reference is not None:
        folders.append((request.reference, "recordings must be intact: fix it, or remove its row"))
    for folder, hint in folders:
        files, _ = index_folder(folder, manifest)
        if bad := bad_files(files.values()):
            path, why = bad[0]
            more = f" (and {len(bad) - 1} more files)" if len(bad) > 1 else ""
            raise UserError(f"{why}{more}", where=path, hint=hint)


def _folders(systems: list[System]) -> dict[str, Path]:
    """The folder of each row; the destroyed row has no audio of itself."""
    return {s.label: s.folder for s in systems if s.borrow is None}


def _show(request: Evaluate, systems: list[System]) -> None:
    """Print the table and write the page."""
    if request.html:
        from intona.evaluation.html import write_html
        from intona.progress import bar

        with bar("page") as progress:
            write_html(request.output, wavs=_folders(systems), progress=progress)
    print((request.output / "table.md").read_text(encoding="utf-8"), end="")
    print(f"report: {request.output}", file=sys.stderr)
