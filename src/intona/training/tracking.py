"""Where the figures go: metrics.jsonl, TensorBoard if installed, a progress bar on a terminal."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from intona.jsonl import whole_rows, write_jsonl


class Tracker:
    """Rank 0 writes; the others are silent.

    Args:
        run: run directory.
        total: steps of the whole run.
        active: False on other ranks.
    """

    def __init__(self, run: Path, total: int, *, start: int, active: bool = True) -> None:
        self.active, self.total = active, total
        self._board: Any = None
        self._bar: Any = None
        if not active:
            return
        run.mkdir(parents=True, exist_ok=True)
        _drop_after(run / "metrics.jsonl", start)
        self._file = open(run / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115 closed in close()
        try:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=start)
        except ImportError:
            pass
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._id = self._bar.add_task("train", total=total, completed=start, note="")
        self._last_print = 0.0

    def log(self, step: int, kind: str, values: dict[str, float]) -> None:
        """A line of metrics.jsonl: {"step", "kind", "time", …}. Non-finite values become text, not 0."""
        if not self.active:
            return
        safe = {k: (v if v == v and abs(v) != float("inf") else str(v)) for k, v in values.items()}
        self._file.write(
            json.dumps({"step": step, "kind": kind, "time": round(time.time(), 1), **safe}) + "\n"
        )
        self._file.flush()
        if self._board is not None:
            for k, v in values.items():
                self._board.add_scalar(f"{kind}/{k}", v, step)
        note = " ".join(f"{k} {v:.4g}" for k, v in values.items())
        if self._bar is not None:
            self._bar.update(self._id, completed=step, note=note if kind == "train" else "")
        if self._bar is None or kind != "train":
            # A log file gets a line now and then, not a bar.
            print(f"step {step}/{self.total} {kind}: {note}", file=sys.stderr, flush=True)

    def message(self, text: str) -> None:
        if self.active:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            self._board.close()
        if self.active:
            self._file.close()


def _drop_after(path: Path, step: int) -> None:
    """A resume continues at `step`: lines that a killed run wrote after it would be told twice."""
    if not path.is_file():
        return
    write_jsonl(path, [row for row in whole_rows(path) if row.get("step", step + 1) <= step])
