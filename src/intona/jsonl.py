"""JSON lines: tables of users, tables that intona writes, and files that are still growing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from intona.config import read_text
from intona.errors import UserError
from intona.files import whole

MAX_BYTES = 1 << 28


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    r"""The lines of a file that are not blank, with their numbers; only "\n" ends a line.

    `str.splitlines` would also split at characters such as U+2028, which may stand inside a text.

    Raises:
        UserError: unreadable, not UTF-8, or larger than `MAX_BYTES`.
    """
    lines = read_text(path, MAX_BYTES).split("\n")
    return [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]


def read_row(line: str, *, where: str, fields: str = "") -> dict[str, Any]:
    """Parse one line.

    Args:
        where: names the line in an error. fields: names the expected fields in an error.

    Raises:
        UserError: not a JSON object.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError("not valid JSON", where=where) from None
    if not isinstance(value, dict):
        raise UserError("expected an object" + (f" with {fields}" if fields else ""), where=where)
    return value


def read_jsonl(path: Path, *, hint: str = "") -> list[dict[str, Any]]:
    """Rows of a finished file of any size.

    Raises:
        UserError: a missing file; a line that is not a JSON object, which the error names.
    """
    rows = []
    try:
        with open(path, encoding="utf-8") as f:
            for line in f:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("not a table")
                rows.append(row)
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None
    except (ValueError, RecursionError) as e:
        raise UserError(f"line {len(rows) + 1} is not valid ({e})", where=path, hint=hint) from None
    return rows


def whole_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a file that is still growing; none if it is missing. A line cut off by a kill is left out."""
    rows: list[dict[str, Any]] = []
    for _, line in numbered_lines(path) if path.is_file() else ():
        with contextlib.suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    return [row for row in rows if isinstance(row, dict)]


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one row per line; the file is written completely or not at all.

    Raises:
        ValueError: a number that is not finite.
    """
    with whole(path) as half, open(half, "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
