"""One job in this process: `python -m intona.studies.engine OUT NAME [MINUTES]`, started by the runner."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from intona import logs
from intona.config import read_json, write_json
from intona.errors import UserError
from intona.jsonl import whole_rows
from intona.studies.engine.plan import StudyPlan

PLAN, DONE, FAILED, SPENT = "plan.json", "done.json", "failed.json", "spent.jsonl"
LOCK = ".lock"
WORKERS = "INTONA_STUDY_WORKERS"  # how many processes a job may start that runs after all others


def folder(out: Path, name: str) -> Path:
    """The folder of a job's results."""
    return out / "jobs" / name


def is_done(out: Path, plan: StudyPlan, name: str) -> bool:
    """Whether the job is finished as this plan declares it.

    Raises:
        UserError: it was finished with other arguments or on other data.
    """
    path = folder(out, name) / DONE
    if not path.is_file():
        return False
    if read_json(path).get("fingerprint") != plan.fingerprints[name]:
        raise UserError(
            f'"{name}" ran with other settings or on other data',
            where=path.parent,
            hint="choose another --output, or remove that folder to run the job again",
        )
    return True


def is_current(out: Path, plan: StudyPlan, name: str) -> bool:
    """Whether a finished job used the present results of all optional jobs that are done by now."""
    seen = read_json(folder(out, name) / DONE).get("wants", {})
    return seen == finished_wants(out, plan, name)


def finished_wants(out: Path, plan: StudyPlan, name: str) -> dict[str, float]:
    """The finished ones among the jobs that it uses where they are done, with the time each finished."""
    done = [n for n in plan.job(name).wants if is_done(out, plan, n)]
    return {n: read_json(folder(out, n) / DONE)["made"] for n in done}


def spent(out: Path, name: str) -> tuple[float, float]:
    """(wall, processor) seconds that the job has used so far, over all attempts."""
    rows = whole_rows(folder(out, name) / SPENT)
    return sum(r["wall"] for r in rows), sum(r["processor"] for r in rows)


def perform(out: Path, name: str, limit_minutes: float | None = None) -> bool:
    """Run the job in this process; True when it is finished."""
    plan = StudyPlan.load(out / PLAN)
    job = plan.job(name)
    directory = folder(out, name)
    directory.mkdir(parents=True, exist_ok=True)
    for mark in (FAILED, DONE):
        (directory / mark).unlink(missing_ok=True)
    wants = finished_wants(out, plan, name)
    module, function = job.call.split(":")
    started, before = time.monotonic(), _processor()
    finished = False
    try:
        call = getattr(importlib.import_module(module), function)
        needs = {n: folder(out, n) for n in (*job.needs, *wants)}
        finished = call(out=directory, needs=needs, limit_minutes=limit_minutes, **job.arguments) is not False
    finally:
        row = {"wall": time.monotonic() - started, "processor": _processor() - before, "finished": finished}
        with open(directory / SPENT, "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
    if finished:
        wall, processor = spent(out, name)
        write_json(
            directory / DONE,
            {
                "fingerprint": plan.fingerprints[name],
                "made": time.time(),
                "wants": wants,
                "wall_seconds": wall,
                "processor_seconds": processor,
            },
        )
    return finished


def _processor() -> float:
    this_process, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return this_process.ru_utime + this_process.ru_stime + children.ru_utime + children.ru_stime


def end_with(parent: int) -> None:
    """End this process and its children when the runner is gone: two must never work in one folder."""
    # If this thread received the signal, the main thread would stay asleep in whatever it waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    while os.getppid() == parent:
        time.sleep(1)
    while True:  # a training run saves on the first signal and ends on the second
        os.killpg(0, signal.SIGTERM)
        time.sleep(1)


def exit_on_sigterm() -> None:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that `finally` blocks run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Wait until no other process works in the folder of the job.

    A cluster may start a job on another node before the one on a lost node has noticed that it is alone.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / LOCK, "ab") as file:
        with contextlib.suppress(ImportError, OSError):  # a system or a file system without locks
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("waiting: another process works in this folder", file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    # The runner starts each job in a new session, whose process group has no other processes.
    if os.getpgrp() == os.getpid():
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    out, name = Path(sys.argv[1]), sys.argv[2]
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else None
    exit_on_sigterm()  # `perform` also records the time of an interrupted attempt
    try:
        with logs.on_stderr(), alone_in(folder(out, name)):
            perform(out, name, limit)
    except UserError as e:
        write_json(folder(out, name) / FAILED, {"reason": str(e)})
        print(f"error: {e}", file=sys.stderr)
        return 1
    except Exception as e:
        # The runner continues with the other arms; the log of the job has the traceback.
        write_json(folder(out, name) / FAILED, {"reason": f"{type(e).__name__}: {e}"})
        raise
    return 0
