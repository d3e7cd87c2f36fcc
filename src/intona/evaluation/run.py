"""`evaluate`: folders of audio and a manifest in, records and a table with intervals out.

Knows nothing of models: whoever made the wavs, they are judged alike. Every utterance of the manifest
counts for every system; one that is missing, empty, silent, unreadable or not finite gets the worst value.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona.config import write_json
from intona.errors import UserError
from intona.evaluation.asr import AsrConfig, AsrJudge, Transcriber
from intona.evaluation.f0 import F0Judge, ReferenceJudge
from intona.evaluation.judge import Judge, Score, Unavailable
from intona.evaluation.manifest import Manifest, Row, read_manifest, write_manifest
from intona.evaluation.naturalness import distillmos
from intona.evaluation.records import Record, RecordFile, digest
from intona.evaluation.table import Report, build_report, to_json, to_markdown
from intona.evaluation.wavs import Clip, file_digest, index_folder, read_clip

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What is measured.

    Args:
        asr: recognizer ("offline", a directory, a hub name), or None for no WER.
        recording: the system that is the recording itself; one that scores better is flagged.
        against: the system that the others are compared with, paired; None = `recording`, else the first.
    """

    language: str = "ru"
    asr: str | None = "offline"
    beam_size: int = 5
    compute_type: str = "int8"
    naturalness: bool = True
    f0: bool = True
    recording: str = "recording"
    against: str | None = None
    resamples: int = 10_000
    seed: int = 0


def default_judges(config: EvaluationConfig, *, reference: bool) -> list[Judge | Unavailable]:
    """The judges of a config; one whose weights are not installed stays as a column that says so.

    Raises:
        UserError: a recognizer was asked for and cannot be had.
    """
    judges: list[Judge | Unavailable] = []
    if config.asr is not None:
        asr = AsrConfig(
            model=config.asr,
            language=config.language,
            beam_size=config.beam_size,
            compute_type=config.compute_type,
        )
        judges.append(AsrJudge(Transcriber(asr)))
    else:
        judges.append(
            Unavailable(name="asr", measures=AsrJudge.measures, reason="not run", mend="name a recognizer")
        )
    if config.naturalness:
        judges.append(distillmos())
    if config.f0:
        judges.append(F0Judge())
    if reference:
        judges.append(ReferenceJudge())
    return judges


def evaluate(
    systems: Mapping[str, Path | str],
    manifest: Manifest | Path | str,
    *,
    out: Path | str,
    reference: Path | str | None = None,
    config: EvaluationConfig | None = None,
    judges: Sequence[Judge | Unavailable] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Judge each system's folder on each row of the manifest, and write the report to `out`.

    Writes `manifest.jsonl`, `records.jsonl` (as it goes; the same call continues where a killed one
    stopped, and repeats what depends on changed audio, text or settings), and at the very end `table.json`
    and `table.md`: where these are, the report is whole.

    Args:
        systems: name -> folder with `ID.wav` (flac, ogg, mp3) files, in the order of the table's rows.
        reference: folder of recordings for measures that compare with one; every id must be there.
        judges: instead of those of `config`.
        progress: called with (done, of, what) after each utterance.

    Raises:
        UserError: a folder without audio, a manifest with repeated ids, a reference that is not whole.
    """
    config = config or EvaluationConfig()
    manifest = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    if not systems:
        raise UserError("no system to evaluate")
    folders = {name: index_folder(folder, manifest) for name, folder in systems.items()}
    references = _references(reference, manifest)
    if judges is None:
        judges = default_judges(config, reference=reference is not None)
    active = [j for j in judges if not isinstance(j, Unavailable)]
    _check_judges(judges, references)
    out = Path(out)
    _open_report(out, manifest)
    store = RecordFile(out / "records.jsonl")
    try:
        records = _collect(manifest, folders, references, active, store, progress)
    finally:
        store.close()
    store.replace(records)
    report = build_report(
        manifest,
        records,
        list(systems),
        judges,
        extra={name: extra for name, (_, extra) in folders.items()},
        recording=config.recording,
        against=config.against,
        resamples=config.resamples,
        seed=config.seed,
    )
    write_json(out / "table.json", to_json(report))
    temporary = out / ".table.md.tmp"
    temporary.write_text(to_markdown(report), encoding="utf-8")
    temporary.replace(out / "table.md")
    return report


def _collect(
    manifest: Manifest,
    folders: Mapping[str, tuple[dict[str, Path], list[str]]],
    references: Mapping[str, Path],
    judges: Sequence[Judge],
    store: RecordFile,
    progress: Progress | None,
) -> list[Record]:
    """A record for every (system, row, measure), in that order; old ones with the same key are kept."""
    known: dict[str, list[Record]] = {}
    for record in store.read():
        known.setdefault(record.key, []).append(record)
    hashes = {path: file_digest(path) for files, _ in folders.values() for path in files.values()}
    reference_hashes = {row_id: file_digest(path) for row_id, path in references.items()}
    total = len(judges) * len(folders) * len(manifest)
    done, found = 0, {}
    for judge in judges:
        settings = digest([judge.name, judge.describe()])
        for system, (files, _) in folders.items():
            for row in manifest.rows:
                path = files.get(row.id)
                reference = references.get(row.id) if judge.needs_reference else None
                key = digest(
                    [
                        settings,
                        system,
                        [row.id, row.text, row.speaker],
                        hashes[path] if path else "",
                        reference_hashes[row.id] if reference else "",
                    ]
                )
                mine = known.get(key, [])
                if {r.measure for r in mine} != {m.name for m in judge.measures}:
                    mine = _judge_one(judge, system, row, path, reference, settings, key)
                    store.append(mine)
                found[judge.name, system, row.id] = mine
                done += 1
                if progress:
                    progress(done, total, f"{judge.name} {system}")
    return [
        record
        for system in folders
        for row in manifest.rows
        for judge in judges
        for record in found[judge.name, system, row.id]
    ]


def _judge_one(
    judge: Judge, system: str, row: Row, path: Path | None, reference: Path | None, settings: str, key: str
) -> list[Record]:
    clip = read_clip(path)
    status: str = clip.status
    detail = clip.detail
    if clip.audio is None:
        scores = judge.failed(row)
    else:
        scores = judge.judge(clip.audio, row, _reference_audio(reference, row))
        if any(s.value is not None and not math.isfinite(s.value) for s in scores.values()):
            # A judge that answers NaN has not scored the utterance: it counts as failed, never as left out.
            status, scores = "score not finite", judge.failed(row)
    return [
        _record(judge, m.name, scores[m.name], system, row, status, detail, settings, key)
        for m in judge.measures
    ]


def _record(
    judge: Judge,
    measure: str,
    score: Score,
    system: str,
    row: Row,
    status: str,
    why: str,
    settings: str,
    key: str,
) -> Record:
    detail: dict[str, Any] = dict(score.detail or {})
    if why:
        detail["why"] = why
    numerator = score.value if score.numerator is None else score.numerator
    return Record(
        system=system,
        id=row.id,
        speaker=row.speaker,
        text=row.text,
        measure=measure,
        status="undefined" if status == "ok" and score.value is None else status,
        value=score.value,
        numerator=numerator,
        denominator=None if score.value is None else (score.denominator or 1.0),
        detail=detail or None,
        judge=f"{judge.name}:{settings}",
        key=key,
    )


def _references(folder: Path | str | None, manifest: Manifest) -> dict[str, Path]:
    if folder is None:
        return {}
    found, _ = index_folder(folder, manifest)
    missing = [row.id for row in manifest.rows if row.id not in found]
    if missing:
        raise UserError(
            f"no recording of {len(missing)} of {len(manifest)} utterances ({', '.join(missing[:3])})",
            where=folder,
            mend="add them, or leave these rows out of the manifest for all systems",
        )
    return found


def _reference_audio(path: Path | None, row: Row) -> Any:
    if path is None:
        return None
    clip: Clip = read_clip(path)
    if clip.audio is None:
        # A bad recording is an error of the input, not of the system that is judged.
        raise UserError(f"the recording is {clip.status} {clip.detail}".strip(), where=path)
    return clip.audio


def _check_judges(judges: Sequence[Judge | Unavailable], references: Mapping[str, Path]) -> None:
    names = [m.name for j in judges for m in j.measures]
    if len(set(names)) != len(names):
        raise UserError("two judges give the same measure")
    for judge in judges:
        if not isinstance(judge, Unavailable) and judge.needs_reference and not references:
            raise UserError(f'"{judge.name}" compares with recordings', mend="give the reference folder")


def _open_report(out: Path, manifest: Manifest) -> None:
    """Make `out` ready: what an earlier, finished call wrote is no table of this one."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("table.json", "table.md"):
            (out / name).unlink(missing_ok=True)
        write_manifest(out / "manifest.jsonl", manifest)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None
    if shutil.disk_usage(out).free < 1 << 20:
        raise UserError("less than 1 MiB is free", where=out)
