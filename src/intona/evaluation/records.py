"""One JSON line per system, utterance and measure: written once computed, read again on resume."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from intona.errors import UserError
from intona.files import write_whole


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """One value.

    Args:
        status: "ok", or why the audio counts as failed ("missing", "silent", …), or "undefined" when the
            audio is fine and the measure has no value for it.
        value: what counts in the *counted* column: the worst value of the measure for failed audio.
        numerator, denominator: what a pooled measure sums; for a mean, the value and 1.
        judge: name and hash of the judge's whole description. key: hash of all that the value depends on.
    """

    system: str
    id: str
    speaker: str
    text: str
    measure: str
    status: str
    value: float | None
    numerator: float | None
    denominator: float | None
    detail: dict[str, Any] | None
    judge: str
    key: str


def digest(value: Any) -> str:
    """Short hash of any JSON value."""
    raw = json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return hashlib.sha256(raw.encode()).hexdigest()[:20]


def check(value: dict[str, Any]) -> None:
    """Raises ValueError if a field is not of its type in `ScoreRecord`, or is a number that is not finite."""
    for name, field in value.items():
        if name in ("value", "numerator", "denominator"):
            least = 0.0 if name == "denominator" else -sys.float_info.max
            fits = field is None or (
                isinstance(field, int | float)
                and not isinstance(field, bool)
                and least <= field <= sys.float_info.max
            )
        else:
            fits = isinstance(field, str) or (name == "detail" and (field is None or isinstance(field, dict)))
        if not fits:
            raise ValueError(name)


def read_records(path: Path) -> list[ScoreRecord]:
    """All complete records of a file; a last line cut off by a kill is ignored.

    Raises:
        UserError: a complete line is not a record.
    """
    if not path.exists():
        return []
    raw = path.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    names = {f.name for f in dataclasses.fields(ScoreRecord)}
    records = []
    for number, line in enumerate(whole.decode("utf-8", errors="replace").split("\n")[:-1], start=1):
        try:
            value = json.loads(line)
            if set(value) != names:
                raise ValueError
            check(value)
            records.append(ScoreRecord(**value))
        except (ValueError, TypeError, RecursionError):
            raise UserError(
                "not a record of this version",
                where=f"{path}, line {number}",
                hint="remove the file to start again",
            ) from None
    return records


def records_digest(records: Iterable[ScoreRecord]) -> str:
    """sha256 of the records as written to their file."""
    whole = hashlib.sha256()
    for record in records:
        whole.update(_line(record).encode())
    return whole.hexdigest()


class RecordFile:
    """Append-only JSON lines with one writer; a line cut off by a kill is removed before the next write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def append(self, records: Iterable[ScoreRecord]) -> None:
        """All records of one utterance are written at once, so a kill never leaves half of them."""
        self.open()
        assert self._file is not None
        self._file.write("".join(_line(r) for r in records))
        self._file.flush()

    def open(self) -> None:
        """Lock the file for this process.

        Raises:
            UserError: another process writes to it.
        """
        if self._file is not None:
            return
        file = open(self.path, "a+b")  # noqa: SIM115
        try:
            _lock(file, self.path)
            file.seek(0)
            raw = file.read()
            file.truncate(raw.rfind(b"\n") + 1)
        except BaseException:
            file.close()
            raise
        self._file = io.TextIOWrapper(file, encoding="utf-8", newline="\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def replace(self, records: Iterable[ScoreRecord]) -> None:
        """Write exactly these records; the file is replaced as a whole or not at all."""
        self.close()
        write_whole(self.path, "".join(map(_line, records)))


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not on every system; there, repeated records would reveal two writers
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            "another process is writing to it", where=path, hint="wait for it, or stop it"
        ) from None
    except OSError:  # a file system without locks
        return


def _line(record: ScoreRecord) -> str:
    return json.dumps(dataclasses.asdict(record), ensure_ascii=False, allow_nan=False) + "\n"
