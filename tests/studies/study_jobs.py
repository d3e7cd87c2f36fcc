"""Jobs for the tests of the engine: each appends a line to its own file, so that repeats show."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from intona.errors import UserError
from intona.pool import pooled


def write(*, out: Path, needs: dict[str, Path], limit_minutes: float | None, text: str) -> None:
    before = "".join(needs[n].joinpath("made.txt").read_text() for n in sorted(needs))
    with open(out / "made.txt", "a", encoding="utf-8") as f:
        f.write(before + text)


def in_parts(*, out: Path, needs: dict[str, Path], limit_minutes: float | None, parts: int) -> bool:
    path = out / "made.txt"
    with open(path, "a", encoding="utf-8") as f:
        f.write("x")
    return len(path.read_text()) >= parts


def die(*, out: Path, needs: dict[str, Path], limit_minutes: float | None, times: int) -> None:
    with open(out / "made.txt", "a", encoding="utf-8") as f:
        f.write("x")
    if len((out / "made.txt").read_text()) <= times:
        os.kill(os.getpid(), signal.SIGKILL)


def refuse(*, out: Path, needs: dict[str, Path], limit_minutes: float | None) -> None:
    raise UserError("no good", hint="none")


def warn(*, out: Path, needs: dict[str, Path], limit_minutes: float | None, text: str) -> None:
    (out / "note.txt").write_text(text)
    (out / "made.txt").write_text("a")


def threads(*, out: Path, needs: dict[str, Path], limit_minutes: float | None) -> None:
    (out / "made.txt").write_text(os.environ.get("OMP_NUM_THREADS", ""))


def wait(*, out: Path, needs: dict[str, Path], limit_minutes: float | None) -> None:
    (out / "pid").write_text(str(os.getpid()))
    for _ in range(10_000):  # a signal just before one long sleep would be seen at its end
        time.sleep(0.1)


def collect(*, out: Path, needs: dict[str, Path], limit_minutes: float | None) -> None:
    with open(out / "made.txt", "a", encoding="utf-8") as f:
        f.write("+".join(sorted(needs)) + ";")


def in_a_pool(*, out: Path, needs: dict[str, Path], limit_minutes: float | None) -> None:
    before = time.process_time()
    assert list(pooled(spin, [0.6, 0.6], workers=1)) == [0.6, 0.6]
    (out / "made.txt").write_text(str(time.process_time() - before))


def spin(seconds: float) -> float:
    while time.process_time() < seconds:
        pass
    return seconds
