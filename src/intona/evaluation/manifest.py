"""The list of utterances that is fixed before anything is synthesized: id, text, speaker."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from intona.errors import UserError
from intona.files import write_whole
from intona.jsonl import numbered_lines, read_row

MAX_ROWS = 1_000_000
MAX_ID_BYTES = 200  # a file system holds names of 255, and an ending or a temporary name is put to it


@dataclass(frozen=True, kw_only=True)
class Row:
    """One utterance. `id` is also the name of its audio file, without the ending."""

    id: str
    text: str
    speaker: str = ""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Rows in the order declared. `sha256` covers every id, text and speaker, and nothing else."""

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not self.rows:
            raise UserError("the manifest lists no utterance")
        seen: dict[str, int] = {}
        for number, row in enumerate(self.rows, start=1):
            _check(row, number)
            # Two ids that one file name would serve (case-insensitive disks) are one id.
            folded = unicodedata.normalize("NFC", row.id).casefold()
            if folded in seen:
                raise UserError(
                    f'id "{row.id}" stands in rows {seen[folded]} and {number}',
                    where="manifest",
                    hint="give each utterance an id of its own",
                )
            seen[folded] = number

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sha256(self) -> str:
        lines = [json.dumps([r.id, r.text, r.speaker], ensure_ascii=False) for r in self.rows]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(sorted({r.speaker for r in self.rows}))


def _check(row: Row, number: int) -> None:
    where = f"manifest row {number}"
    if not row.id or row.id != row.id.strip():
        raise UserError("empty id, or blanks around it", where=where)
    if any(c in row.id for c in '/\\:*?"<>|\0') or row.id.startswith("."):
        raise UserError(f'id "{row.id}" is no plain file name', where=where)
    if not row.id.isprintable():
        raise UserError(f"id {row.id!a} holds characters that cannot be shown", where=where)
    try:
        (row.text + row.speaker).encode()
    except UnicodeEncodeError as e:
        raise UserError(f'"{row.id}" holds no valid Unicode ({e.reason})', where=where) from None
    if len(row.id.encode()) > MAX_ID_BYTES:
        raise UserError(f'id "{row.id[:20]}…" is longer than {MAX_ID_BYTES} bytes', where=where)
    if not any(c.isalnum() for c in row.text):
        raise UserError(
            f'"{row.id}" has no words to compare with', where=where, hint="give its text or leave the row out"
        )


def read_manifest(path: Path | str) -> Manifest:
    """Read `id|text|speaker` lines (.csv, .txt; the speaker may be left out) or JSON lines (.jsonl).

    A first line `id|text|…` is taken as the header and then names the columns, in any order.

    Raises:
        UserError: unreadable file, a line without text, a repeated id.
    """
    path = Path(path)
    numbered = numbered_lines(path)
    if len(numbered) > MAX_ROWS:
        raise UserError(f"more than {MAX_ROWS} rows", where=path)
    rows = tuple(_from_jsonl(numbered, path) if path.suffix == ".jsonl" else _from_csv(numbered, path))
    try:
        return Manifest(rows=rows)
    except UserError as e:
        raise UserError(str(e), where=path) from None


def _from_csv(numbered: list[tuple[int, str]], path: Path) -> Iterable[Row]:
    columns, with_speaker = ["id", "text", "speaker"], True
    if numbered:
        first = [c.strip().lower() for c in numbered[0][1].split("|")]
        if "id" in first and "text" in first:
            columns, numbered = first, numbered[1:]
        else:
            # Where most lines have no speaker, a third field is the rest of a text with a pipe in it.
            counts = Counter(line.count("|") for _, line in numbered)
            with_speaker = counts[2] >= counts[1]
    for number, line in numbered:
        cells = [c.strip() for c in line.split("|")]
        if len(cells) < 2 or len(cells) > len(columns):
            raise UserError(
                f"{len(cells)} fields, expected {'|'.join(columns)}", where=f"{path}, line {number}"
            )
        if len(cells) == 3 and cells[2] and not with_speaker:
            raise UserError(
                "3 fields where most lines have 2: a text cannot hold a pipe",
                where=f"{path}, line {number}",
                hint="write the list as .jsonl, or name the columns in a first line (id|text|speaker)",
            )
        fields = dict(zip(columns, cells, strict=False))
        yield Row(id=fields.get("id", ""), text=fields.get("text", ""), speaker=fields.get("speaker", ""))


def _from_jsonl(numbered: list[tuple[int, str]], path: Path) -> Iterable[Row]:
    for number, line in numbered:
        where = f"{path}, line {number}"
        value = read_row(line, where=where, fields="id, text and speaker")
        cells = {}
        for key in ("id", "text", "speaker"):
            cell = value.get(key, "" if key == "speaker" else None)
            if not isinstance(cell, str):
                raise UserError(f'"{key}" must be text', where=where)
            cells[key] = cell
        yield Row(**cells)


def write_manifest(path: Path | str, manifest: Manifest, *, language: str = "") -> None:
    """Write as JSON lines (`.jsonl`), with the language of all if given, or `id|text|speaker` lines."""
    path = Path(path)
    if path.suffix == ".jsonl":
        more = {"language": language} if language else {}
        lines = [
            json.dumps({"id": r.id, "text": r.text, "speaker": r.speaker} | more, ensure_ascii=False)
            for r in manifest.rows
        ]
    else:
        for r in manifest.rows:
            if set("|\r\n") & set(r.text + r.speaker):
                raise UserError(
                    f'"{r.id}" has "|" or a line break in its text', where=path, hint="use .jsonl"
                )
        lines = ["id|text|speaker", *(f"{r.id}|{r.text}|{r.speaker}" for r in manifest.rows)]
    write_whole(path, "\n".join(lines) + "\n")
