"""A report directory read back from disk: the finished table, the manifest and the records. Reads only."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intona import config
from intona.errors import UserError
from intona.evaluation.manifest import Row, read_manifest
from intona.evaluation.records import Record, read_records, records_digest
from intona.evaluation.table import Report

MAX_TABLE_BYTES = 1 << 26
WAVS = "wavs.json"
_OK = ("ok", "undefined")


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One finished evaluation.

    Args:
        table: `table.json` as written by `evaluate`.
        rows: utterance id -> id, text, speaker, in the order declared.
        listed: all records, in the order of their file.
        records: (system, id) -> measure -> record.
    """

    directory: Path
    table: Mapping[str, Any]
    rows: Mapping[str, Row]
    listed: Sequence[Record]
    records: Mapping[tuple[str, str], Mapping[str, Record]]

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(row["name"] for row in self.table["rows"])

    @property
    def measures(self) -> tuple[Mapping[str, Any], ...]:
        """The columns that could be measured."""
        return tuple(m for m in self.table["measures"] if m["name"] not in self.table["unavailable"])

    def failure(self, system: str, utterance: str) -> tuple[str, str] | None:
        """(status, why) of an output that counts as failed, else None."""
        for record in self.records.get((system, utterance), {}).values():
            if record.status not in _OK:
                return record.status, str((record.detail or {}).get("why", ""))
        return None

    def hypothesis(self, system: str, utterance: str) -> str | None:
        """What the recognizer heard; None where none was asked."""
        for record in self.records.get((system, utterance), {}).values():
            heard = (record.detail or {}).get("hypothesis")
            if isinstance(heard, str):
                return heard
        return None


def read_report(directory: Path | str) -> Finished:
    """Read a whole report.

    Raises:
        UserError: no such directory, a report that is not finished, files that are not of this version or
            not of one another.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise UserError("no such report directory", where=directory)
    if not (directory / "table.json").exists():
        raise UserError(
            "not a finished report (no table.json)",
            where=directory,
            hint="run the same `intona evaluate` again: it goes on where it stopped",
        )
    table = config.read_json(directory / "table.json", max_bytes=MAX_TABLE_BYTES)
    _rename_hints(table)
    _check(table, directory / "table.json")
    manifest = read_manifest(directory / "manifest.jsonl")
    listed = read_records(directory / "records.jsonl")
    if records_digest(listed) != table.get("records_sha256"):
        raise UserError(
            "its records are not those of its table",
            where=directory,
            hint="run the same `intona evaluate` again",
        )
    records: dict[tuple[str, str], dict[str, Record]] = {}
    for record in listed:
        records.setdefault((record.system, record.id), {})[record.measure] = record
    return Finished(
        directory=directory,
        table=table,
        rows={row.id: row for row in manifest.rows},
        listed=listed,
        records=records,
    )


def _rename_hints(table: Any) -> None:
    """Rename in place: earlier versions called a hint "mend"."""
    unavailable = table.get("unavailable") if isinstance(table, dict) else None
    for value in unavailable.values() if isinstance(unavailable, dict) else ():
        if isinstance(value, dict) and "mend" in value:
            value["hint"] = value.pop("mend")


def _check(table: Any, path: Path) -> None:
    """Everything that is compared or drawn is there and of its kind, and speaks of known measures."""
    try:
        # In the file each column that could not be measured has its two words by name.
        unavailable = {k: (v["reason"], v["hint"]) for k, v in table["unavailable"].items()}
        fields = {k: v for k, v in table.items() if k != "version"}
    except (AttributeError, KeyError, TypeError):
        raise UserError("not a table of this version", where=path) from None
    report = config.from_dict(Report, {**fields, "unavailable": unavailable}, where=str(path))
    known = {m.name for m in report.measures}
    used = {d.measure for d in report.differences} | {s.measure for s in report.seeds}
    names = [row.name for row in report.rows]
    whole = all(known - set(unavailable) <= set(row.cells) for row in report.rows)
    if not names or len(set(names)) != len(names) or not used <= known or not whole:
        raise UserError("not a table of this version", where=path)


def remember_wavs(directory: Path | str, wavs: Mapping[str, Path]) -> None:
    """Write where each system's audio lies, relative to the report where that is possible."""
    directory = Path(directory)
    places = {}
    for name, folder in wavs.items():
        try:
            places[name] = Path(os.path.relpath(folder, directory)).as_posix()
        except ValueError:  # another drive
            places[name] = str(Path(folder).resolve())
    config.write_json(directory / WAVS, {"version": 1, "systems": places})


def recall_wavs(directory: Path | str) -> dict[str, Path]:
    """What `remember_wavs` wrote; empty when there is nothing."""
    path = Path(directory) / WAVS
    if not path.exists():
        return {}
    value = config.read_json(path)
    systems = value.get("systems") if isinstance(value, dict) else None
    if not isinstance(systems, dict) or not all(isinstance(v, str) for v in systems.values()):
        raise UserError('expected {"systems": {NAME: FOLDER}}', where=path)
    return {name: Path(directory) / folder for name, folder in systems.items()}


def find_audio(folder: Path, utterances: Sequence[str]) -> dict[str, Path]:
    """Audio files of a folder by utterance id; those that are not there are left out."""
    from intona.evaluation.wavs import ENDINGS

    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        files.setdefault((unicodedata.normalize("NFC", path.stem), path.suffix.lower()), path)
    found = {}
    for utterance in utterances:
        name = unicodedata.normalize("NFC", utterance)
        for ending in ENDINGS:
            if (path := files.get((name, ending))) is not None and path.is_file():
                found[utterance] = path
                break
    return found
