"""A finished report read back from its directory: figures, manifest and records. Reads only."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from intona import config
from intona.errors import UserError
from intona.evaluation.judges.base import Measure
from intona.evaluation.manifest import Row, read_manifest
from intona.evaluation.plan import rename_hint
from intona.evaluation.records import ScoreRecord, read_records, records_digest
from intona.evaluation.report import Report, to_json
from intona.evaluation.wavs import ENDINGS

MAX_TABLE_BYTES = 1 << 26
WAVS = "wavs.json"
_OK = ("ok", "undefined")
_HEADLINE = ("wer", "cer", "distillmos", "ar_failure")  # before a measure could declare it


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One finished evaluation.

    Args:
        report: its figures.
        rows: utterance id -> row of the manifest, in the order declared.
        listed: all records, in the order of their file.
        records: (system, id) -> measure -> record.
    """

    directory: Path
    report: Report
    rows: Mapping[str, Row]
    listed: Sequence[ScoreRecord]
    records: Mapping[tuple[str, str], Mapping[str, ScoreRecord]]

    @cached_property
    def table(self) -> Mapping[str, Any]:
        """The figures as plain JSON types, for pages that also read other JSON; prefer `report`."""
        return to_json(self.report)

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.report.rows)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures that could be taken."""
        return self.report.measured

    def failure(self, system: str, utterance: str) -> tuple[str, str] | None:
        """(status, reason) of an output that counts as failed; None if it does not."""
        for record in self.records.get((system, utterance), {}).values():
            if record.status not in _OK:
                return record.status, str((record.detail or {}).get("why", ""))
        return None

    def hypothesis(self, system: str, utterance: str) -> str | None:
        """The transcript of the recognizer; None if there was no recognizer."""
        for record in self.records.get((system, utterance), {}).values():
            hypothesis = (record.detail or {}).get("hypothesis")
            if isinstance(hypothesis, str):
                return hypothesis
        return None

    @property
    def language(self) -> str | None:
        """The language of the recognizer; None if there was no recognizer."""
        languages = (settings.get("language") for settings in self.report.judges.values())
        return next((language for language in languages if isinstance(language, str)), None)


def read_report(directory: Path | str) -> Finished:
    """Read a finished report.

    Raises:
        UserError: no such directory, a report that is not finished, files of another version or of another
            evaluation.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError("no such report directory", where=directory)
    if not (directory / "table.json").exists():
        raise UserError(
            "not a finished report (no table.json)",
            where=directory,
            hint="run the same `intona evaluate` again: it continues where it stopped",
        )
    report = _read_table(directory / "table.json")
    manifest = read_manifest(directory / "manifest.jsonl")
    listed = read_records(directory / "records.jsonl")
    if records_digest(listed) != report.records_sha256:
        raise UserError(
            "its records are not those of its table",
            where=directory,
            hint="run the same `intona evaluate` again",
        )
    records: dict[tuple[str, str], dict[str, ScoreRecord]] = {}
    for record in listed:
        records.setdefault((record.system, record.id), {})[record.measure] = record
    return Finished(
        directory=directory,
        report=report,
        rows={row.id: row for row in manifest.rows},
        listed=listed,
        records=records,
    )


def _read_table(path: Path) -> Report:
    """`table.json`: typed, complete, and about measures that it declares."""
    table = config.read_json(path, max_bytes=MAX_TABLE_BYTES)
    wrong = UserError("not a table of this version", where=path)
    if not isinstance(table, dict) or not isinstance(table.get("unavailable"), dict):
        raise wrong
    if not isinstance(table.get("measures"), list):
        raise wrong
    for reason in table["unavailable"].values():
        rename_hint(reason)
    for measure in table["measures"]:
        if isinstance(measure, dict):
            measure.setdefault("headline", measure.get("name") in _HEADLINE)
    fields = {k: v for k, v in table.items() if k != "version"}
    report = config.from_dict(Report, fields, where=str(path))
    known, measured = {m.name for m in report.measures}, {m.name for m in report.measured}
    used = {d.measure for d in report.differences} | {s.measure for s in report.seeds}
    names = [row.name for row in report.rows]
    complete = all(measured <= set(row.cells) for row in report.rows)
    if not names or len(set(names)) != len(names) or not used <= known or not complete:
        raise wrong
    return report


def remember_wavs(directory: Path | str, wavs: Mapping[str, Path]) -> None:
    """Write where the audio of each system is, as paths relative to the report if possible."""
    directory = Path(directory)
    places = {}
    for name, folder in wavs.items():
        try:
            places[name] = Path(os.path.relpath(folder, directory)).as_posix()
        except ValueError:  # another drive
            places[name] = str(Path(folder).resolve())
    config.write_json(directory / WAVS, {"version": 1, "systems": places})


def recall_wavs(directory: Path | str) -> dict[str, Path]:
    """What `remember_wavs` wrote; empty if it wrote nothing."""
    path = Path(directory) / WAVS
    if not path.exists():
        return {}
    value = config.read_json(path)
    systems = value.get("systems") if isinstance(value, dict) else None
    if not isinstance(systems, dict) or not all(isinstance(v, str) for v in systems.values()):
        raise UserError('expected {"systems": {NAME: FOLDER}}', where=path)
    return {name: Path(directory) / folder for name, folder in systems.items()}


def find_audio(folder: Path, utterances: Sequence[str]) -> dict[str, Path]:
    """Audio files of a folder by utterance id; missing ones are left out."""
    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        files.setdefault((unicodedata.normalize("NFC", path.stem), path.suffix.lower()), path)
    by_id = {}
    for utterance in utterances:
        name = unicodedata.normalize("NFC", utterance)
        for ending in ENDINGS:
            if (path := files.get((name, ending))) is not None and path.is_file():
                by_id[utterance] = path
                break
    return by_id
