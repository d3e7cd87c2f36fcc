"""The records in the folder of a set: the voice and its settings, the failures, the times."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intona.config import read_json, write_json
from intona.errors import UserError
from intona.jsonl import whole_rows, write_jsonl
from intona.runtime import session

if TYPE_CHECKING:
    import torch

ORIGIN, FAILURES, TIMES = "made_by.json", "failures.jsonl", "times.jsonl"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A row that could not be spoken. It has no file, and so counts as failed where the set is judged."""

    id: str
    reason: str


@contextlib.contextmanager
def timed(ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The row of `times.jsonl` for speaking `ids`, complete after the block, which adds seconds of speech."""
    row: dict[str, Any] = {"ids": list(ids), "speech": 0.0}
    wall, processor = time.perf_counter(), time.process_time()
    yield row
    row["wall"] = time.perf_counter() - wall
    row["processor"] = time.process_time() - processor
    row["threads"] = _threads()


def append_time(path: Path, row: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")


def _threads() -> int:
    """Threads that compute: torch's where it is loaded, else those of the runtime without it."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch is not None else session.threads()


def read_times(out: Path) -> list[dict[str, Any]]:
    """Rows of `times.jsonl`, the last for each group of ids, without those where nothing was spoken.

    Raises:
        UserError: rows of something else.
    """
    rows = whole_rows(out / TIMES)
    try:
        return [row for row in {tuple(r["ids"]): r for r in rows}.values() if row["speech"] > 0]
    except (KeyError, TypeError):
        raise UserError("not a list of times", where=out / TIMES) from None


def weights_hash(model: torch.nn.Module) -> str:
    """Hash of the weights. A run and its published copy have the same only if their weights are equal."""
    import torch

    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


def claim(out: Path, record: dict[str, Any]) -> None:
    """Write what the folder will hold before anything else, so that the number of rows is fixed.

    Args:
        record: all that decides the content. A key that one side lacks is None.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    mark = out / ORIGIN
    try:
        out.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            before = read_json(mark)
            if not isinstance(before, dict):
                raise UserError("not the record of a set", where=mark)
            changed = [k for k in {**record, **before} if before.get(k) != record.get(k)]
            if changed:
                raise UserError(
                    f"holds wavs made with another {', '.join(changed)}",
                    where=out,
                    hint="choose another --output, or remove the folder",
                )
        elif any(out.glob("*.wav")):
            raise UserError("holds wavs of unknown origin", where=out, hint="choose another --output")
        else:
            write_json(mark, record)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    write_jsonl(path, ({"id": f.id, "reason": f.reason} for f in failures))
