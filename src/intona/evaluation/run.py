"""`evaluate`: folders of audio and a manifest in, records and a table with intervals out.

Knows nothing of models: whoever made the wavs, they are judged alike. Every utterance of the manifest
counts for every system; one that is missing, empty, silent, unreadable or not finite gets the worst value.

    OUT/plan.json        what is judged and how, written before anything is: N, files, judges, family
    OUT/manifest.jsonl   the utterances
    OUT/records.jsonl    one line per system, utterance and measure, as they are found (records-I-of-N.jsonl
                         for a shard); in the order of the plan once the report is whole
    OUT/table.md, .json  written at the very end: where table.json is, the report is whole
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.config import write_json
from intona.errors import UserError, unknown
from intona.evaluation.companions import companions
from intona.evaluation.judge import Judge, Unavailable
from intona.evaluation.manifest import Manifest, read_manifest, write_manifest
from intona.evaluation.markdown import to_markdown
from intona.evaluation.normalize import Normalizer, digit_warning
from intona.evaluation.plan import (
    PLAN,
    Plan,
    PlannedJudge,
    PlannedSystem,
    System,
    default_against,
    read_plan,
)
from intona.evaluation.records import Record, RecordFile, read_records
from intona.evaluation.table import Report, build_report, to_json
from intona.evaluation.wavs import file_digest, index_folder
from intona.evaluation.work import Task, judge_units
from intona.files import write_whole

Progress = Callable[[int, int, str], None]
Systems = Mapping[str, Path | str] | Sequence[System]
WHOLE = ("table.json", "table.md", "report.html")
MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured.

    Args:
        asr: recognizer ("offline", a directory, a hub name), or None for no WER.
        naturalness, utmos_model, f0, mcd_rate, prompts, speaker_model: see `judges.all_judges`.
        measures: names of judges to run ("asr", "f0", …); None = all that the inputs allow.
        recording: the system that is the recording itself; one that scores better is flagged.
        against: the system that the others are compared with, paired; None = `recording`, else the first.
        family: measures whose differences Holm's adjustment is over; None = all with a direction.
        tried: how many configurations were tried on other data before this evaluation.
    """

    language: str = "ru"
    asr: str | None = "offline"
    beam_size: int = 5
    compute_type: str = "int8"
    naturalness: bool = True
    utmos_model: str | None = None
    f0: bool = True
    mcd_rate: int = 16_000
    prompts: Path | None = None
    speaker_model: str = "ge2e"
    measures: tuple[str, ...] | None = None
    recording: str = "recording"
    against: str | None = None
    family: tuple[str, ...] | None = None
    tried: int | None = None
    resamples: int = 10_000
    seed: int = 0


def default_judges(
    config: EvaluationConfig, *, reference: bool, manifest: Manifest | None = None
) -> list[Judge | Unavailable]:
    """The judges of a config; one whose weights are not installed stays as a column that says so.

    Raises:
        UserError: a recognizer was asked for and cannot be had, an unknown name in `measures`.
    """
    from intona.evaluation.judges import all_judges

    wanted = config.measures
    hears = wanted is None or not {"asr", "failures"}.isdisjoint(wanted)
    judges = all_judges(
        language=config.language,
        asr=config.asr if hears else None,
        beam_size=config.beam_size,
        compute_type=config.compute_type,
        naturalness=config.naturalness,
        utmos_model=config.utmos_model,
        f0=config.f0,
        reference=reference,
        mcd_rate=config.mcd_rate,
        prompts=config.prompts,
        speaker_model=config.speaker_model,
        rows=manifest.rows if manifest else None,
    )
    if wanted is None:
        return judges
    known = [j.name for j in judges]
    for name in wanted:
        if name not in known:
            unknown("measure", name, known)
    return [j for j in judges if j.name in wanted]


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
    notes: Sequence[str] = (),
) -> Report:
    """Judge each system's folder on each row of the manifest, and write the report to `out`.

    The same call continues where a killed one stopped, and repeats what depends on changed audio, text or
    settings; it takes over what shards have judged.

    Args:
        systems: name -> folder with `ID.wav` (flac, ogg, mp3) files, in the order of the table's rows; or
            `System`s, which also tell controls and training seeds apart.
        reference: folder of recordings for measures that compare with one; every id must be there.
        judges: instead of those of `config`.
        progress: called with (done, of, what) after each utterance.
        workers: processes; below 2 everything is done in this one. The figures are the same.
        notes: lines for the report, such as which control could not be built.

    Raises:
        UserError: a folder without audio, a manifest with repeated ids, a reference that is not whole.
    """
    work = _prepare(systems, manifest, Path(out), reference, config, judges, notes)
    _judge(work, Path(out) / "records.jsonl", work.tasks(), workers, progress)
    return _finish(Path(out), work.plan, work.manifest)


def evaluate_shard(
    systems: Systems,
    manifest: Manifest | Path | str,
    *,
    shard: tuple[int, int],
    out: Path | str,
    reference: Path | str | None = None,
    config: EvaluationConfig | None = None,
    judges: Sequence[Judge | Unavailable] | None = None,
    progress: Progress | None = None,
    workers: int = 0,
    notes: Sequence[str] = (),
) -> int:
    """As `evaluate`, but only part `shard` = (i, n) of the work, 1 <= i <= n, and no table: `merge` makes it.

    All shards get the same arguments and the same `out`, on one machine or on several. Returns how many
    records the shard has.
    """
    i, n = shard
    if not 1 <= i <= n:
        raise UserError(f"shard {i} of {n} does not exist", hint=f"1/{max(n, 1)} is the first")
    work = _prepare(systems, manifest, Path(out), reference, config, judges, notes)
    return _judge(work, Path(out) / f"records-{i}-of-{n}.jsonl", work.tasks()[i - 1 :: n], workers, progress)


def merge(out: Path | str) -> Report:
    """The whole report from what the shards have written; needs no judge and no audio.

    Raises:
        UserError: some records are missing; says how many and of which systems.
    """
    out = Path(out)
    plan = read_plan(out / PLAN)
    manifest = read_manifest(out / MANIFEST)
    if manifest.sha256 != plan.manifest_sha256:
        raise UserError("is not the manifest of the plan", where=out / MANIFEST, hint="run the shards again")
    return _finish(out, plan, manifest)


@dataclass(frozen=True, kw_only=True)
class _Work:
    plan: Plan
    manifest: Manifest
    judges: dict[str, Judge]
    files: dict[str, dict[str, Path]]  # label -> id -> file
    references: dict[str, Path]

    def tasks(self) -> list[list[Task]]:
        """Units of rows that stand in for one another, each with all systems and judges."""
        systems = [(s, self.files[s.label]) for s in self.plan.systems]
        return [
            [
                Task(
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
    """Check all inputs, then declare the plan in `out`; what stood there as a table is one no more."""
    config = config or EvaluationConfig()
    manifest = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    if isinstance(systems, Mapping):
        systems = [System(name=name, folder=Path(folder)) for name, folder in systems.items()]
    files, extra = {}, {}
    for system in systems:
        found, extra[system.label] = index_folder(system.folder, manifest)
        if system.borrow is not None:
            found = {i: found[j] for i, j in system.borrow.items() if j in found}
            extra[system.label] = []
        files[system.label] = found
    references = _references(reference, manifest)
    if judges is None:
        judges = default_judges(config, reference=reference is not None, manifest=manifest)
    normalizers = (getattr(j, "normalize", None) for j in judges)
    language = next((n.language for n in normalizers if isinstance(n, Normalizer)), None)
    if language and (warning := digit_warning(manifest.rows, language)):
        warnings.warn(warning, stacklevel=3)
        notes = [*notes, warning]
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
    active = {j.name: j for j in judges if not isinstance(j, Unavailable)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / PLAN).exists():
            foreign = [n for n in (*WHOLE, MANIFEST) if (out / n).exists()]
            if foreign:
                raise UserError(
                    f"holds {', '.join(foreign)} of something else", where=out, hint="name a new folder"
                )
        for name in WHOLE:
            (out / name).unlink(missing_ok=True)
        if shutil.disk_usage(out).free < 1 << 20:
            raise UserError("less than 1 MiB is free", where=out)
        write_manifest(out / MANIFEST, manifest)
        write_json(out / PLAN, plan.to_json())
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None
    return _Work(plan=plan, manifest=manifest, judges=active, files=files, references=references)


def _judge(work: _Work, path: Path, units: list[list[Task]], workers: int, progress: Progress | None) -> int:
    """Judge what no record stands for yet; returns how many records the units have."""
    known = _known(path.parent)
    sizes = {j.name: len(j.measures) for j in work.plan.active}
    total = sum(map(len, units))
    left = [[t for t in unit if len(known.get(t.key, ())) < sizes[t.judge]] for unit in units]
    done = total - sum(map(len, left))
    store = RecordFile(path)
    try:
        store.open()
        if progress and done:
            progress(done, total, "judged before")
        for task, records in judge_units([u for u in left if u], work.judges, workers=workers):
            store.append(records)
            done += 1
            if progress:
                progress(done, total, f"{task.judge} {task.system}")
    finally:
        store.close()
    return sum(sizes[t.judge] for unit in units for t in unit)


def _known(out: Path) -> dict[str, dict[str, Record]]:
    """key -> measure -> record, over all files of records."""
    known: dict[str, dict[str, Record]] = {}
    for path in sorted(out.glob("records*.jsonl")):
        for record in read_records(path):
            known.setdefault(record.key, {})[record.measure] = record
    return known


def _finish(out: Path, plan: Plan, manifest: Manifest) -> Report:
    """Records in the order of the plan, the table from them, and nothing if one is missing."""
    known = _known(out)
    records: list[Record] = []
    missing: dict[str, int] = {}
    for system, row, judge in plan.places(manifest):
        mine = known.get(plan.key(judge, system, row), {})
        for m in judge.measures:
            if m.name in mine:
                records.append(mine[m.name])
            else:
                missing[system.label] = missing.get(system.label, 0) + 1
    if missing:
        shown = ", ".join(f"{count} of {label}" for label, count in missing.items())
        raise UserError(
            f"{(lost := sum(missing.values()))} of {lost + len(records)} records are missing ({shown})",
            where=out,
            hint="run the shards that are not done; the same arguments for each",
        )
    RecordFile(out / "records.jsonl").replace(records)
    report = build_report(manifest, plan, records)
    write_whole(out / "table.md", to_markdown(report))
    write_json(out / "table.json", to_json(report))
    for part in out.glob("records-*-of-*.jsonl"):
        part.unlink()
    return report


def _references(folder: Path | str | None, manifest: Manifest) -> dict[str, Path]:
    if folder is None:
        return {}
    found, _ = index_folder(folder, manifest)
    missing = [row.id for row in manifest.rows if row.id not in found]
    if missing:
        raise UserError(
            f"no recording of {len(missing)} of {len(manifest)} utterances ({', '.join(missing[:3])})",
            where=folder,
            hint="add them, or leave these rows out of the manifest for all systems",
        )
    return found
