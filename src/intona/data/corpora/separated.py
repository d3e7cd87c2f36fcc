"""Tables of a corpus as rows of named cells: separated by pipes, or with a header by others too."""

from __future__ import annotations

import csv
import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.data.corpora.record import BadLine, lines
from intona.errors import UserError

#: Column -> the names that a header may give it.
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "audio": ("audio", "path", "file", "filename", "file_name", "audio_file", "audio_path", "wav"),
    "text": ("text", "sentence", "transcript", "transcription"),
    "speaker": ("speaker", "speaker_id", "speaker_name", "client_id"),
    "language": ("language", "lang", "locale"),
}
_NAMES = {name: column for column, names in COLUMNS.items() for name in names}
_SEPARATORS = {"|": "pipes", "\t": "tabs", ",": "commas", ";": "semicolons"}
_LONGEST_QUOTE = 20  # maximum lines of a quoted field: a stray quote must not swallow the table

Numbered = list[tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One line of a table: column -> stripped cell.

    uneven: there is a space after the separator that follows the text, but none after the one before it, as
        in a text that contains a separator ("a|left | right").
    """

    number: int
    cells: dict[str, str]
    uneven: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a table. `columns` describes its columns for errors ("id|text|speaker")."""

    path: Path
    columns: str
    rows: list[TableRow | BadLine]
    has_header: bool = False

    @property
    def good(self) -> list[TableRow]:
        return [row for row in self.rows if isinstance(row, TableRow)]


def bad_line(path: Path, number: int, why: str, line: str = "") -> BadLine:
    shown = line if len(line) <= 80 else line[:77] + "..."
    return BadLine(id=f"{path.name}:{number}", reason="bad line", detail=f"{why}: {shown}" if shown else why)


def read_piped(path: Path, columns: Sequence[str], *, optional: int = 0) -> Table:
    """A table without a header, with pipes as separators; quotes are part of the text.

    Args:
        optional: how many of the last columns a line may leave out. If most lines do, a line with more fields
            is rejected: its text probably contains a pipe and would be cut there.
    """
    return _piped(path, list(lines(path)), columns, optional)


def read_table(path: Path, columns: Sequence[str], *, optional: int = 0) -> Table:
    """A table with a header, separated by pipes, tabs, commas or semicolons; without a header, `read_piped`.

    In tables with tabs, commas or semicolons a field may be quoted (RFC 4180) and then contain separators and
    line breaks. Columns with unknown names are ignored, unless the name is close to a known one.

    Raises:
        UserError: a header without a text or an id, a repeated column, or a table with neither pipes nor a
            header.
    """
    numbered = list(lines(path))
    if not numbered:
        return _piped(path, numbered, columns, optional)
    number, first = numbered[0]
    for separator in _SEPARATORS:
        header = [cell.strip().lower() for cell in _split(first, separator) or ()]
        known = {_NAMES[cell] for cell in header if cell in _NAMES}
        names_text = separator != "|" and "text" in known and len(header) > 1
        if ("|" in first and separator != "|") or not (len(known) >= 2 or names_text):
            continue
        _check_header(header, separator, f"{path}, line {number}")
        names = [_NAMES.get(cell, "") for cell in header]
        rows = [
            _row(path, n, cells, names, separator.join(header))
            for n, cells in _cells(path, numbered[1:], separator, len(header))
        ]
        return Table(path=path, columns=separator.join(header), rows=rows, has_header=True)
    if not any("|" in line for _, line in numbered):
        raise UserError(
            f"has no fields: expected {'|'.join(columns)}",
            where=f"{path}, line {number}",
            hint='or name the columns in a first line, such as "id,text,speaker", with commas or tabs',
        )
    return _piped(path, numbered, columns, optional)


def _piped(path: Path, numbered: Numbered, columns: Sequence[str], optional: int) -> Table:
    expected = "|".join(columns)
    fields = [_without_empty_end(line.split("|"), len(columns)) for _, line in numbered]
    counts = Counter(len(cells) for cells in fields)
    least, most = len(columns) - optional, len(columns)
    usual = counts[least] > sum(counts[n] for n in range(least + 1, most + 1))
    rows: list[TableRow | BadLine] = []
    for (number, line), cells in zip(numbered, fields, strict=True):
        if not least <= len(cells) <= most or not cells[0].strip():
            why = f"{len(cells)} fields, expected {expected}" if cells[0].strip() else "no id"
            if len(cells) > most:
                why += ' (a text cannot hold "|")'
            rows.append(bad_line(path, number, why, line))
        elif usual and len(cells) > least:
            why = f"{len(cells)} fields where most lines have {least}, expected {'|'.join(columns[:least])}"
            rows.append(bad_line(path, number, why + ' (a text cannot hold "|")', line))
        else:
            named = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
            rows.append(TableRow(number=number, cells=named, uneven=_uneven(cells, columns)))
    return Table(path=path, columns=expected, rows=rows)


def _uneven(cells: Sequence[str], columns: Sequence[str]) -> bool:
    behind = columns.index("text") + 1
    if behind >= len(cells) or not cells[behind].strip():
        return False
    return cells[behind][0].isspace() and not cells[behind - 1][:1].isspace()


def _without_empty_end(cells: list[str], most: int) -> list[str]:
    while len(cells) > most and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _check_header(header: Sequence[str], separator: str, where: str) -> None:
    columns = [_NAMES[cell] for cell in header if cell in _NAMES]
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise UserError(f"two columns for the {twice[0]}", where=where, hint="rename one of them")
    for cell in header:
        if cell in _NAMES or len(cell) < 3:
            continue
        for name in difflib.get_close_matches(cell, _NAMES, n=1, cutoff=0.8):
            if _NAMES[name] not in columns:
                raise UserError(f'unknown column "{cell}"', where=where, hint=f'did you mean "{name}"?')
    if "text" not in columns:
        raise UserError(
            "names no column for the text", where=where, hint=f"one of {', '.join(COLUMNS['text'])}"
        )
    if not {"id", "audio"} & set(columns):
        raise UserError(
            "names no column for the id or the audio", where=where, hint='call it "id" or "audio"'
        )


def _row(
    path: Path, number: int, cells: list[str] | str, names: Sequence[str], expected: str
) -> TableRow | BadLine:
    if isinstance(cells, str):
        return bad_line(path, number, cells)
    if len(cells) != len(names):
        why = f"{len(cells)} fields, expected {len(names)}: {expected}"
        return bad_line(path, number, why, " … ".join(cells))
    row = {name: " ".join(cell.split()) for name, cell in zip(names, cells, strict=True) if name}
    if not (row.get("id") or row.get("audio")):
        return bad_line(path, number, f"no id, expected {expected}")
    return TableRow(number=number, cells=row, uneven=_uneven(cells, names))


def _cells(
    path: Path, numbered: Numbered, separator: str, width: int
) -> Iterator[tuple[int, list[str] | str]]:
    """Yields (number, cells) of each line, or (number, problem)."""
    at = 0
    while at < len(numbered):
        number, line = numbered[at]
        cells = _split(line, separator)
        used = 1
        while cells is None and separator != "|" and used < min(_LONGEST_QUOTE, len(numbered) - at):
            # A quoted field may continue in the next lines.
            used += 1
            joined = "\n".join(part for _, part in numbered[at : at + used])
            cells = _split(joined, separator)
            if cells is not None and len(cells) != width:
                cells = None
        if cells is None:
            used = 1
            plain = line.split(separator)
            # Tables with tabs are often written without any quoting.
            fits = separator == "\t" and len(plain) == width
            cells = plain if fits else None
        if cells is not None:
            cells = _without_empty_end(cells, width)
        at += used
        wrong = f'a quote (") that does not enclose a field: {line[:60]}'
        yield number, wrong if cells is None else cells


def _split(line: str, separator: str) -> list[str] | None:
    """The cells of a line; None if its quotes do not enclose whole fields."""
    if separator == "|":
        return line.split("|")
    try:
        physical = [part + "\n" for part in line.split("\n")]
        records = list(csv.reader(physical, delimiter=separator, strict=True))
    except csv.Error:
        return None
    return records[0] if len(records) == 1 else None
