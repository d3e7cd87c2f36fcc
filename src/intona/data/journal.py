"""The journal of a preparation: what is done, in order, so that an interrupted one can be continued."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from intona.data.jobs import PrepareJob, PrepareResult
from intona.data.prepared import MARK, SEALED, Prepared
from intona.data.shards import DEFAULT_MIB, FOLDER, ShardWriter
from intona.errors import UserError
from intona.files import STRAYS, write_whole
from intona.jsonl import write_jsonl

if os.name == "posix":
    import fcntl

JOURNAL = "journal.jsonl"
OLD_MELS = ("mels.bin", "mels.part.bin")  # of format 1
REFUSED = "refused"
CORPUS_DURATIONS = "corpus phone labels"
# The tables of a finished preparation.
TABLES = (
    "labels.jsonl",
    "durations.jsonl",
    "durations.arrow",
    "pitch.bin",
    "pitch.json",
    "pitch.part.bin",
    "rejected.jsonl",
    "report.json",
    "dev.jsonl",
    "test.jsonl",
    *dict.fromkeys(name for tables in SEALED.values() for name in tables),
)
# Folders of a finished preparation.
FOLDERS = ("audio", FOLDER, "pitch")


class Journal:
    """Appends mels and rows to one output directory. A context manager that locks the directory.

    What is held per utterance is its id and the place of its row.

    Args:
        out: the output directory, created if missing.
        identity: what is being prepared. A journal of another preparation is an error, unless it holds no
            utterance yet or was rejected.
        max_dropped: share of recordings that may be dropped. A journal that was rejected because of it starts
            again, since the recordings may have been repaired.
        shard_bytes: most bytes of a file of mels.

    Attributes:
        kept: id -> place of its row. rejected: rows of rejected.jsonl. done: ids of both.
        speakers, languages, symbols: those of the kept utterances.

    Raises:
        UserError: the directory holds other files or another preparation, or is being written right now.
    """

    def __init__(
        self,
        out: Path,
        identity: dict[str, Any],
        n_mels: int,
        *,
        max_dropped: float = 1.0,
        shard_bytes: int = DEFAULT_MIB << 20,
    ) -> None:
        self.out, self.identity = out, identity
        self.max_dropped = max_dropped
        self._row_bytes, self._shard_bytes = n_mels * 2, shard_bytes
        self._log: IO[bytes] | None = None
        self._clear()

    def _clear(self) -> None:
        self.kept: dict[str, int] = {}
        self.rejected: list[dict[str, str]] = []
        self.done: set[str] = set()
        self.speakers: set[str] = set()
        self.languages: set[str] = set()
        self.symbols: set[str] = set()
        self.labelled = 0
        self.frames = 0
        self.mels = ShardWriter(self.out, row_bytes=self._row_bytes, limit=self._shard_bytes)

    def __enter__(self) -> Journal:
        path = self.out / JOURNAL
        if self.out.exists() and not self.out.is_dir():
            raise UserError("is a file", where=self.out, hint="choose another OUT")
        if self.out.is_dir() and not path.exists() and any(self.out.iterdir()):
            raise UserError(
                "is not empty and was not begun by prepare", where=self.out, hint="choose another OUT"
            )
        (self.out / "audio").mkdir(parents=True, exist_ok=True)
        self._log = open(path, "r+b" if path.exists() else "w+b")
        if os.name == "posix":
            try:
                fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    "another prepare is writing there", where=self.out, hint="wait for it"
                ) from None
        self._recover()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mels.close()
        if self._log and kind is not None:
            self._log.close()

    def keep(self, job: PrepareJob, outcome: PrepareResult) -> None:
        """Append one utterance: first the mel, so that every row has one."""
        assert outcome.mel is not None
        self.mels.append(outcome.mel)
        row = {
            "id": job.id,
            "text": job.text,
            "normalized": job.normalized,
            "phonemes": list(outcome.symbols),
            "words": [list(w) for w in job.words],
            "speaker": job.speaker,
            "language": job.language,
            "n_frames": outcome.n_frames,
            "offset": self.frames,
            "seconds": round(outcome.seconds, 6),
            "file": job.target.name,
            "labels": [list(x) for x in outcome.labels],
            "durations": list(outcome.durations),
        }
        self._append(row)

    def reject(self, id: str, reason: str, detail: str = "") -> None:
        safe = [s.encode("utf-8", "backslashreplace").decode() for s in (id, reason, detail)]
        self._append({"id": safe[0], "reason": safe[1], "detail": safe[2]})

    def refuse(self) -> None:
        """Record that too little is left of the corpus, and release the directory."""
        assert self._log is not None
        self._log.write(json.dumps({REFUSED: True}).encode() + b"\n")
        self._log.close()

    def write_rejected(self) -> None:
        write_jsonl(self.out / "rejected.jsonl", self.rejected)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows of the kept utterances, ordered by id, read one at a time."""
        with open(self.out / JOURNAL, "rb") as log:
            for id in sorted(self.kept):
                log.seek(self.kept[id])
                yield json.loads(log.readline())

    def close_for_good(self) -> None:
        """The directory is sealed: the journal is no longer needed."""
        if self._log:
            self._log.close()
        (self.out / JOURNAL).unlink(missing_ok=True)
        for stray in (self.out / "audio").glob(STRAYS):
            with contextlib.suppress(OSError):
                stray.unlink()

    def _append(self, row: dict[str, Any]) -> None:
        assert self._log is not None
        place = self._log.tell()
        self._log.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        self._log.flush()
        self._book(row, place)

    def _book(self, row: dict[str, Any], place: int) -> None:
        self.done.add(row["id"])
        if "reason" in row:
            self.rejected.append(row)
            return
        self.kept[row["id"]] = place
        self.frames += row["n_frames"]
        self.labelled += bool(row["labels"])
        self.speakers.add(row["speaker"])
        self.languages.add(row["language"])
        self.symbols.update(row["phonemes"])

    def _recover(self) -> None:
        """Read the complete rows; cut off an incomplete one, and mels without a row."""
        assert self._log is not None
        good, refused = 0, False
        for number, line in enumerate(self._log):
            row = _parse(line)
            if row is None:
                break
            if number == 0:
                if row.get("identity") != self.identity:
                    if _worth_keeping(self._log):
                        what = "holds an unfinished preparation of another corpus or with other settings"
                        raise UserError(what, where=self.out, hint="remove it, or repeat its first command")
                    break
            elif REFUSED in row:
                refused = True
                break
            else:
                if "reason" not in row and not self._is_whole(row):
                    break
                self._book(row, good)
            good += len(line)
        if refused and too_many_dropped(len(self.kept), len(self.rejected), self.max_dropped):
            self._clear()
            good = 0
        self._log.seek(good)
        self._log.truncate()
        self.mels.start()
        for name in OLD_MELS:
            (self.out / name).unlink(missing_ok=True)
        if good == 0:
            for name in TABLES:
                (self.out / name).unlink(missing_ok=True)
            for name in ("audio", "pitch"):
                shutil.rmtree(self.out / name, ignore_errors=True)
            (self.out / "audio").mkdir(exist_ok=True)
            self._log.write((json.dumps({"identity": self.identity}, ensure_ascii=False) + "\n").encode())
            self._log.flush()

    def _is_whole(self, row: dict[str, Any]) -> bool:
        """Whether the audio and the mel of a row are there, where the rows before it end."""
        at_end = row["offset"] == self.frames and (self.out / "audio" / row["file"]).is_file()
        return at_end and self.mels.recall(row["n_frames"])


def reopen(out: Path, ids: Collection[str]) -> bool:
    """Reopen a finished directory for a new preparation of the same corpus. Returns whether it could.

    It can if the directory holds only what `prepare` wrote and all its ids are among `ids`.
    """
    known = {*TABLES, *FOLDERS, *OLD_MELS, MARK}
    if any(entry.name not in known for entry in out.iterdir()):
        return False
    prepared = Prepared.open(out)
    if not {prepared.index.id(row) for row in range(len(prepared))} <= set(ids):
        return False
    if prepared.durations_source not in (None, CORPUS_DURATIONS):
        return False  # they come from `intona align`, which took a while
    write_whole(out / JOURNAL, json.dumps({"identity": None}) + "\n")
    (out / MARK).unlink()
    return True


def too_many_dropped(kept: int, dropped: int, most: float) -> bool:
    """Whether nothing is left, or more than the share `most` was dropped."""
    return kept == 0 or dropped > most * (kept + dropped)


def _worth_keeping(rows: Iterable[bytes]) -> bool:
    """Whether the rows of a journal hold an utterance and do not end with a rejection."""
    parsed = list(itertools.takewhile(lambda row: row is not None, map(_parse, rows)))
    kept = any("reason" not in row and REFUSED not in row for row in parsed if row is not None)
    return kept and not any(REFUSED in row for row in parsed if row is not None)


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
