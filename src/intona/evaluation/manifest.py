"""The list of utterances that is fixed before anything is synthesized: id, text, speaker.

A manifest may have further columns (`OPTIONAL`), which state how a row is synthesized. They are not part
of what is judged: the hash does not cover them, and `write_manifest` leaves them out.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from intona.errors import UserError
from intona.files import write_whole
from intona.jsonl import numbered_lines, read_row

MAX_ROWS = 1_000_000
MAX_ID_BYTES = 200  # file systems allow names of 255 bytes; the rest is for an ending or a temporary name
OPTIONAL = ("prompt", "reference", "prompt_text", "length", "language")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One utterance.

    Args:
        id: also the name of its audio file, without the ending.
        more: those of the `OPTIONAL` columns that are not empty.
    """

    id: str
    text: str
    speaker: str = ""
    more: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Rows in the order declared. `sha256` covers every id, text and speaker, and nothing else."""

    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not self.rows:
            raise UserError("the manifest lists no utterances")
        seen: dict[str, int] = {}
        for number, row in enumerate(self.rows, start=1):
            _check(row, number)
            # Ids that could share a file name on a case-insensitive disk are the same id.
            folded = unicodedata.normalize("NFC", row.id).casefold()
            if folded in seen:
                raise UserError(
                    f'id "{row.id}" is in rows {seen[folded]} and {number}',
                    where="manifest",
                    hint="give each utterance a unique id",
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
        raise UserError(f'id "{row.id}" is not a plain file name', where=where)
    if not row.id.isprintable():
        raise UserError(f"id {row.id!a} contains characters that cannot be printed", where=where)
    try:
        (row.text + row.speaker).encode()
    except UnicodeEncodeError as e:
        raise UserError(f'"{row.id}" is not valid Unicode ({e.reason})', where=where) from None
    if len(row.id.encode()) > MAX_ID_BYTES:
        raise UserError(f'id "{row.id[:20]}…" is longer than {MAX_ID_BYTES} bytes', where=where)
    if not any(c.isalnum() for c in row.text):
        raise UserError(
            f'"{row.id}" has no words to compare with', where=where, hint="add its text or remove the row"
        )


def read_manifest(path: Path | str) -> Manifest:
    """Read `id|text|speaker` lines (.csv, .txt; the speaker is optional) or JSON lines (.jsonl).

    A first line with the columns `id` and `text` is a header: it names all columns, in any order.

    Raises:
        UserError: unreadable file, a line without text, a repeated id, a column of another type.
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
            # If most lines have no speaker, a third field is the rest of a text that contains a pipe.
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
                "3 fields where most lines have 2: a text cannot contain a pipe",
                where=f"{path}, line {number}",
                hint="write the list as .jsonl, or name the columns in a first line (id|text|speaker)",
            )
        fields = dict(zip(columns, cells, strict=False))
        yield Row(
            id=fields.get("id", ""),
            text=fields.get("text", ""),
            speaker=fields.get("speaker", ""),
            more={name: fields[name] for name in OPTIONAL if fields.get(name)},
        )


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
        more = {}
        for name in OPTIONAL:
            cell = value.get(name)
            if isinstance(cell, bool) or not isinstance(cell, str | int | float | None):
                raise UserError(f'"{name}" of "{cells["id"]}" is neither text nor a number', where=where)
            if cell is not None and str(cell).strip():
                more[name] = str(cell).strip()
        yield Row(**cells, more=more)


def write_manifest(path: Path | str, manifest: Manifest, *, language: str = "") -> None:
    """Write JSON lines (`.jsonl`), each with `language` if there is one, or `id|text|speaker` lines."""
    path = Path(path)
    if path.suffix == ".jsonl":
        constant = {"language": language} if language else {}
        lines = [
            json.dumps({"id": r.id, "text": r.text, "speaker": r.speaker} | constant, ensure_ascii=False)
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
