"""One job in this process: `python -m intona.studies.engine OUT NAME [MINUTES]`, started by the engine."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from intona.config import read_json, write_json
from intona.errors import UserError
from intona.jsonl import whole_rows
from intona.studies.engine.plan import Plan

PLAN, DONE, FAILED, SPENT = "plan.json", "done.json", "failed.json", "spent.jsonl"
WORKERS = "INTONA_STUDY_WORKERS"  # to a job that runs when all others are done: processes it may have itself


def folder(out: Path, name: str) -> Path:
    """Where a job keeps what it makes."""
    return out / "jobs" / name


def is_done(out: Path, plan: Plan, name: str) -> bool:
    """Whether the job is finished, as this plan declares it.

    Raises:
        UserError: it was finished as another plan declared it.
    """
    path = folder(out, name) / DONE
    if not path.is_file():
        return False
    if read_json(path).get("fingerprint") != plan.fingerprints[name]:
        raise UserError(
            f'"{name}" was made with other settings or from other data',
            where=path.parent,
            hint="take another --out, or remove that folder to make it again",
        )
    return True


def is_current(out: Path, plan: Plan, name: str) -> bool:
    """Whether a finished job has seen all the jobs it wants that are done by now, as they are now."""
    seen = read_json(folder(out, name) / DONE).get("wants", {})
    return seen == wanted(out, plan, name)


def wanted(out: Path, plan: Plan, name: str) -> dict[str, float]:
    """Those of the jobs it wants that are done -> when they were."""
    done = [n for n in plan.job(name).wants if is_done(out, plan, n)]
    return {n: read_json(folder(out, n) / DONE)["made"] for n in done}


def spent(out: Path, name: str) -> tuple[float, float]:
    """(wall, processor) seconds that the job has taken so far, over all its attempts."""
    rows = whole_rows(folder(out, name) / SPENT)
    return sum(r["wall"] for r in rows), sum(r["processor"] for r in rows)


def perform(out: Path, name: str, limit_minutes: float | None = None) -> bool:
    """Run the job here; True when it is finished."""
    plan = Plan.load(out / PLAN)
    job = plan.job(name)
    own = folder(out, name)
    own.mkdir(parents=True, exist_ok=True)
    for mark in (FAILED, DONE):
        (own / mark).unlink(missing_ok=True)
    wants = wanted(out, plan, name)
    module, function = job.call.split(":")
    started, before = time.monotonic(), _processor()
    finished = False
    try:
        call = getattr(importlib.import_module(module), function)
        needs = {n: folder(out, n) for n in (*job.needs, *wants)}
        finished = call(out=own, needs=needs, limit_minutes=limit_minutes, **job.arguments) is not False
    finally:
        row = {"wall": time.monotonic() - started, "processor": _processor() - before, "finished": finished}
        with open(own / SPENT, "a", encoding="utf-8") as f:
            f.write(json.dumps(row) + "\n")
    if finished:
        wall, processor = spent(out, name)
        write_json(
            own / DONE,
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
    own, children = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def end_with(parent: int) -> None:
    """End this process and its own when the engine is gone: two must never work in one folder."""
    # A signal that this thread took would leave the main one asleep in whatever it waits for.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    while os.getppid() == parent:
        time.sleep(1)
    while True:  # a training takes the first for a wish to save, the next as it is: nobody waits for it here
        os.killpg(0, signal.SIGTERM)
        time.sleep(1)


def exit_on_sigterm() -> None:
    """SIGTERM unwinds as Ctrl-C does, so that what is around a job or an engine ends in order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def main() -> int:
    # The engine gave this job a session, so the group is its own.
    if os.getpgrp() == os.getpid():
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    out, name = Path(sys.argv[1]), sys.argv[2]
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else None
    exit_on_sigterm()  # what an interrupted attempt took counts too: `perform` writes it down
    try:
        perform(out, name, limit)
    except UserError as e:
        write_json(folder(out, name) / FAILED, {"reason": str(e)})
        print(f"error: {e}", file=sys.stderr)
        return 1
    except Exception as e:
        # The engine goes on with the other arms; the log of the job keeps the whole trace.
        write_json(folder(out, name) / FAILED, {"reason": f"{type(e).__name__}: {e}"})
        raise
    return 0
