"""`evaluate`: folders of audio and a manifest in, records and a table with intervals out.

Knows nothing of models: all wavs are judged alike, whatever produced them. Every utterance of the manifest
counts for every system; one that is missing, empty, silent, unreadable or not finite gets the worst value.

    OUT/plan.json        what is judged and how, written first: N, files, judges, family
    OUT/manifest.jsonl   the utterances
    OUT/records.jsonl    one line per system, utterance and measure, written as they are computed; in the
                         order of the plan once it is complete
    OUT/table.md, .json  written last: a report with a table.json is complete
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intona.cluster import Engine, LocalEngine
from intona.config import write_json
from intona.errors import UserError
from intona.evaluation.companions import companions
from intona.evaluation.judges import build_judges
from intona.evaluation.judges.base import Inputs, Judge, Unavailable
from intona.evaluation.manifest import Manifest, read_manifest, write_manifest
from intona.evaluation.markdown import to_markdown
from intona.evaluation.plan import (
    PLAN,
    Plan,
    PlannedJudge,
    PlannedSystem,
    System,
    default_against,
)
from intona.evaluation.records import RecordFile, ScoreRecord, read_records
from intona.evaluation.report import Report, build_report, to_json
from intona.evaluation.wavs import file_digest, index_folder
from intona.evaluation.work import JudgeTask, judge_units
from intona.files import write_whole

Progress = Callable[[int, int, str], None]
Systems = Mapping[str, Path | str] | Sequence[System]
WHOLE = ("table.json", "table.md", "report.html")
MANIFEST, RECORDS = "manifest.jsonl", "records.jsonl"


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured.

    Args:
        asr: recognizer ("offline", a directory, a hub name), or None for no WER and no failure rates.
        beam_size, compute_type: of the recognizer.
        utmos_model: directory, file or hub id of UTMOS22.
        mcd_rate: sample rate of the mel-cepstral distortion, one for all systems.
        prompts: folder with `ID.wav` or `SPEAKER.wav`, and in `resynthesized/` the same for SIM-r.
        speaker_model: "ge2e", or a WavLM directory or hub id.
        judges: names of judges to run ("asr", "f0", …), "default" for all built-in ones that the inputs
            allow; None = those.
        settings: judge -> its settings, for judges without a field here.
        recording: the system that is the recording; what scores better than it is flagged.
        against: the system that the others are compared with, paired; None = `recording`, else the first.
        family: measures whose differences are adjusted together (Holm); None = all with a direction.
        tried: how many configurations were tried on other data before this evaluation.
        device: where the networks of the judges run. Figures of two kinds of device differ by rounding, and
            their reports cannot be compared.
    """

    language: str = "ru"
    asr: str | None = "offline"
    beam_size: int = 5
    compute_type: str = "int8"
    utmos_model: str | None = None
    mcd_rate: int = 16_000
    prompts: Path | None = None
    speaker_model: str = "ge2e"
    judges: tuple[str, ...] | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    recording: str = "recording"
    against: str | None = None
    family: tuple[str, ...] | None = None
    tried: int | None = None
    resamples: int = 10_000
    seed: int = 0
    device: str = "cpu"

    def inputs(self, *, reference: bool, manifest: Manifest | None = None) -> Inputs:
        """What the judges are built from."""
        fields: dict[str, dict[str, Any]] = {
            "asr": {"beam_size": self.beam_size, "compute_type": self.compute_type},
            "utmos": {"model": self.utmos_model},
            "mcd": {"sample_rate": self.mcd_rate},
            "speaker": {"model": self.speaker_model},
        }
        return Inputs(
            language=self.language,
            rows=manifest.rows if manifest else (),
            recognizer=self.asr,
            reference=reference,
            prompts=self.prompts,
            device=self.device,
            settings=fields | {name: fields.get(name, {}) | dict(s) for name, s in self.settings.items()},
        )


def default_judges(
    config: EvaluationConfig, *, reference: bool, manifest: Manifest | None = None
) -> list[Judge | Unavailable]:
    """The judges of a config; one that is not installed remains as a column that states so.

    Raises:
        UserError: as `build_judges`.
    """
    return build_judges(config.inputs(reference=reference, manifest=manifest), config.judges)


def evaluate(
    systems: Systems,
    manifest: Manifest | Path | str,
    *,
    out: Path | str,
    reference: Path | str | None = None,
    config: EvaluationConfig | None = None,
    judges: Sequence[Judge | Unavailable] | None = None,
    progress: Progress | None = None,
    workers: int = 0,
    engine: Engine | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Judge each system's folder on each row of the manifest, and write the report to `out`.

    The same call continues where an interrupted one stopped, and repeats what depends on changed audio, text
    or settings.

    Args:
        systems: name -> folder with `ID.wav` (flac, ogg, mp3) files, in the order of the table's rows; or
            `System`s, which can also be controls or runs with several training seeds.
        reference: folder of recordings for measures that compare with one; no id may be missing.
        judges: used instead of those of `config`.
        progress: called with (done, of, what) after each utterance.
        workers: processes; below 2 everything runs in this one. The figures are the same.
        engine: where the files are judged; None = `workers` processes of this machine.
        notes: lines for the report, for example which control could not be built.

    Raises:
        UserError: a folder without audio, a manifest with repeated ids, a missing recording.
    """
    work = _prepare(systems, manifest, Path(out), reference, config, judges, notes)
    _judge(work, Path(out) / RECORDS, engine or LocalEngine(workers), progress)
    return _finish(Path(out), work.plan, work.manifest)


@dataclass(frozen=True, kw_only=True)
class _Work:
    plan: Plan
    manifest: Manifest
    judges: dict[str, Judge]
    files: dict[str, dict[str, Path]]  # label -> id -> file
    references: dict[str, Path]

    def tasks(self) -> list[list[JudgeTask]]:
        """Units of rows that are judged in place of one another, each with all systems and judges."""
        systems = [(s, self.files[s.label]) for s in self.plan.systems]
        return [
            [
                JudgeTask(
                    judge=judge.name,
                    system=system.label,
                    row=row,
                    path=files.get(row.id),
                    reference=self.references[row.id] if judge.needs_reference else None,
                    settings=judge.hash,
                    key=self.plan.key(judge, system, row),
                )
                for judge in self.plan.active
                for system, files in systems
                for row in rows
            ]
            for rows in companions(self.manifest)
        ]


def _prepare(
    systems: Systems,
    manifest: Manifest | Path | str,
    out: Path,
    reference: Path | str | None,
    config: EvaluationConfig | None,
    judges: Sequence[Judge | Unavailable] | None,
    notes: Sequence[str],
) -> _Work:
    """Check all inputs, then write the plan to `out`; a table of an earlier run is removed."""
    config = config or EvaluationConfig()
    manifest = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    if isinstance(systems, Mapping):
        systems = [System(name=name, folder=Path(folder)) for name, folder in systems.items()]
    files, extra = {}, {}
    for system in systems:
        audio, extra[system.label] = index_folder(system.folder, manifest)
        if system.borrow is not None:
            audio = {i: audio[j] for i, j in system.borrow.items() if j in audio}
            extra[system.label] = []
        files[system.label] = audio
    references = _references(reference, manifest)
    if judges is None:
        judges = default_judges(config, reference=reference is not None, manifest=manifest)
    active = {j.name: j for j in judges if not isinstance(j, Unavailable)}
    messages = dict.fromkeys(m for judge in active.values() for m in judge.warnings(manifest.rows))
    for message in messages:
        warnings.warn(message, stacklevel=3)
    notes = [*notes, *messages]
    plan = Plan(
        n=len(manifest),
        manifest_sha256=manifest.sha256,
        systems=tuple(
            PlannedSystem(
                label=s.label,
                name=s.name,
                seed=s.seed,
                role=s.role,
                files={i: file_digest(p) for i, p in files[s.label].items()},
                extra_files=len(extra[s.label]),
            )
            for s in systems
        ),
        reference={i: file_digest(p) for i, p in references.items()},
        judges=tuple(PlannedJudge.of(j) for j in judges),
        recording=config.recording,
        against=config.against or default_against(systems, config.recording),
        family=config.family,
        tried=config.tried,
        notes=tuple(notes),
        resamples=config.resamples,
        seed=config.seed,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / PLAN).exists():
            foreign = [n for n in (*WHOLE, MANIFEST) if (out / n).exists()]
            if foreign:
                raise UserError(
                    f"already holds {', '.join(foreign)}, which are not of this evaluation",
                    where=out,
                    hint="name a new folder",
                )
        for name in WHOLE:
            (out / name).unlink(missing_ok=True)
        if shutil.disk_usage(out).free < 1 << 20:
            raise UserError("less than 1 MiB of disk space is free", where=out)
        write_manifest(out / MANIFEST, manifest)
        write_json(out / PLAN, plan.to_json())
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None
    return _Work(plan=plan, manifest=manifest, judges=active, files=files, references=references)


def _judge(work: _Work, path: Path, engine: Engine, progress: Progress | None) -> None:
    """Judge what has no record yet."""
    known, units = _known(path.parent), work.tasks()
    sizes = {j.name: len(j.measures) for j in work.plan.active}
    total = sum(map(len, units))
    left = [[t for t in unit if len(known.get(t.key, ())) < sizes[t.judge]] for unit in units]
    done = total - sum(map(len, left))
    store = RecordFile(path)
    try:
        store.open()
        if progress and done:
            progress(done, total, "already judged")
        for task, records in judge_units([u for u in left if u], work.judges, engine):
            store.append(records)
            done += 1
            if progress:
                progress(done, total, f"{task.judge} {task.system}")
    finally:
        store.close()


def _known(out: Path) -> dict[str, dict[str, ScoreRecord]]:
    """key -> measure -> record, over all files of records: earlier versions wrote one per shard."""
    known: dict[str, dict[str, ScoreRecord]] = {}
    for path in sorted(out.glob("records*.jsonl")):
        for record in read_records(path):
            known.setdefault(record.key, {})[record.measure] = record
    return known


def _finish(out: Path, plan: Plan, manifest: Manifest) -> Report:
    """Write the records in the order of the plan and the table; neither if a record is missing."""
    known = _known(out)
    records: list[ScoreRecord] = []
    missing: dict[str, int] = {}
    for system, row, judge in plan.places(manifest):
        scores = known.get(plan.key(judge, system, row), {})
        for m in judge.measures:
            if m.name in scores:
                records.append(scores[m.name])
            else:
                missing[system.label] = missing.get(system.label, 0) + 1
    if missing:
        shown = ", ".join(f"{count} of {label}" for label, count in missing.items())
        raise UserError(
            f"{(lost := sum(missing.values()))} of {lost + len(records)} records are missing ({shown})",
            where=out,
            hint="run the same evaluation again",
        )
    RecordFile(out / RECORDS).replace(records)
    report = build_report(manifest, plan, records)
    write_whole(out / "table.md", to_markdown(report))
    write_json(out / "table.json", to_json(report))
    for part in out.glob("records-*-of-*.jsonl"):
        part.unlink()
    return report


def _references(folder: Path | str | None, manifest: Manifest) -> dict[str, Path]:
    if folder is None:
        return {}
    files, _ = index_folder(folder, manifest)
    missing = [row.id for row in manifest.rows if row.id not in files]
    if missing:
        raise UserError(
            f"no recording for {len(missing)} of {len(manifest)} utterances ({', '.join(missing[:3])})",
            where=folder,
            hint="add them, or remove these rows from the manifest for all systems",
        )
    return files
