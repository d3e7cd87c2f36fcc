"""What the folder of a set says about itself: who made it and how, what failed, what it took."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from intona.config import read_json, write_json
from intona.errors import UserError
from intona.jsonl import whole_rows, write_jsonl

MADE_BY, FAILURES, TIMES = "made_by.json", "failures.jsonl", "times.jsonl"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A row that could not be spoken: it has no file, and so counts as failed where it is judged."""

    id: str
    reason: str


@contextlib.contextmanager
def timed(path: Path, ids: Sequence[str]) -> Iterator[list[float]]:
    """Append what speaking `ids` took; the caller adds the seconds of speech."""
    speech: list[float] = []
    wall, processor = time.perf_counter(), time.process_time()
    yield speech
    row = {
        "ids": list(ids),
        "speech": sum(speech),
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "threads": torch.get_num_threads(),
    }
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")


def read_times(out: Path) -> list[dict[str, Any]]:
    """Rows of `times.jsonl`, the last for each group of ids; without those of which nothing was spoken.

    Raises:
        UserError: rows of something else.
    """
    rows = whole_rows(out / TIMES)
    try:
        return [row for row in {tuple(r["ids"]): r for r in rows}.values() if row["speech"] > 0]
    except (KeyError, TypeError):
        raise UserError("not a list of times", where=out / TIMES) from None


def weights_hash(model: torch.nn.Module) -> str:
    """Hash of the weights themselves: the same for a run and its published copy only if they are equal."""
    whole = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()[:16]


def claim(out: Path, made_by: dict[str, Any]) -> None:
    """Write what will be made before anything is: N is declared here.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    mark = out / MADE_BY
    try:
        out.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            before = read_json(mark)
            changed = [k for k in made_by if not isinstance(before, dict) or before.get(k) != made_by[k]]
            if changed:
                raise UserError(
                    f"holds wavs made with another {', '.join(changed)}",
                    where=out,
                    hint="choose another --out, or remove the folder",
                )
        elif any(out.glob("*.wav")):
            raise UserError("holds wavs of unknown make", where=out, hint="choose another --out")
        else:
            write_json(mark, made_by)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    write_jsonl(path, ({"id": f.id, "reason": f.reason} for f in failures))
