"""Runs the jobs of a plan, several at once, each in a separate process; continues after an interruption."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from intona.cluster import CommandProcess, Engine, LocalEngine
from intona.config import read_json
from intona.errors import UserError
from intona.studies.engine import job as jobs
from intona.studies.engine.plan import StudyJob, StudyPlan

LOG = "log.txt"
SAVING_SECONDS = 60  # time for a training run to finish its step and save
NOTE = "note.txt"  # a result of a job that the user should see before the other jobs are done
Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class StudyOutcome:
    """How a call of `run` ended.

    Args:
        failed: job -> reason. blocked: jobs that build on a failed one. left: jobs not done yet.
    """

    done: tuple[str, ...]
    failed: dict[str, str]
    blocked: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.failed or self.blocked or self.left)


def run(
    plan: StudyPlan,
    out: Path,
    *,
    workers: int = 1,
    engine: Engine | None = None,
    limit_minutes: float | None = None,
    report: Report | None = None,
) -> StudyOutcome:
    """Run the jobs of the plan that are not done yet.

    Finished jobs are not repeated. A job that was killed is called again and continues from its last
    checkpoint. A failed job stops those that build on it and no others; the next call retries it.

    Args:
        workers: jobs at once. With several, each job gets one thread: two processes of one thread do more
            than one process of two threads.
        engine: where the jobs run; None = this machine. On a cluster each job has one core, or the GPUs that
            it names.
        limit_minutes: after this time no job is started, and running jobs are asked to stop.
        report: called with one line per event.

    Raises:
        UserError: `out` cannot be written; a finished job ran with other settings.
    """
    report = report or (lambda line: None)
    engine = engine or LocalEngine()
    try:
        out.mkdir(parents=True, exist_ok=True)
        plan.save(out / jobs.PLAN)
    except OSError as e:
        raise UserError(f"cannot be written ({e.strerror})", where=out) from None
    finished = [j.name for j in plan.jobs if jobs.is_done(out, plan, j.name)]
    # A job that uses others where they are done is checked again once those are settled.
    done = [n for n in finished if not plan.job(n).wants]
    waiting = [j.name for j in plan.jobs if j.name not in done]
    if finished:
        report(f"{len(finished)} of {len(plan.jobs)} jobs are done")
    failed: dict[str, str] = {}
    stopped: list[str] = []
    running: dict[str, CommandProcess] = {}
    deadline = None if limit_minutes is None else time.monotonic() + 60 * limit_minutes

    def ready(name: str) -> bool:
        job = plan.job(name)
        settled = all(n in done or n in failed or _builds_on(plan, n, failed) for n in job.wants)
        return settled and all(n in done for n in job.needs)

    try:
        while waiting or running:
            remaining = None if deadline is None else (deadline - time.monotonic()) / 60
            late = remaining is not None and remaining <= 0
            current = [n for n in waiting if n in finished and ready(n) and jobs.is_current(out, plan, n)]
            for name in current:
                waiting.remove(name)
                done.append(name)
            for name in [n for n in waiting if ready(n)]:
                if late or len(running) >= max(1, workers):
                    break
                waiting.remove(name)
                running[name] = _start(engine, out, plan.job(name), remaining, workers)
                report(f"{name} starts")
            if not running:
                if current:
                    continue
                break  # nothing can start: time is up, or every job left builds on a failed one
            time.sleep(0.2)
            for name, code in [(n, p.poll()) for n, p in running.items()]:
                if code is None:
                    continue
                del running[name]
                if code == 0 and jobs.is_done(out, plan, name):
                    done.append(name)
                    wall, processor = jobs.spent(out, name)
                    report(f"{name} done: {wall / 60:.1f} min, {processor / 60:.1f} min of processor time")
                    note = jobs.folder(out, name) / NOTE
                    if note.is_file():
                        report(note.read_text(encoding="utf-8").strip())
                elif code == 0:
                    stopped.append(name)
                    report(f"{name} stopped at the time limit; run the same command again to continue")
                else:
                    failed[name] = _reason(out, name, code)
                    report(f"{name} failed: {failed[name]}")
    finally:
        _end(running)
    left = [n for n in waiting if not _builds_on(plan, n, failed)]
    blocked = [n for n in waiting if n not in left]
    return StudyOutcome(done=tuple(done), failed=failed, blocked=tuple(blocked), left=(*stopped, *left))


def _start(engine: Engine, out: Path, job: StudyJob, minutes: float | None, workers: int) -> CommandProcess:
    directory = jobs.folder(out, job.name)
    directory.mkdir(parents=True, exist_ok=True)
    local = isinstance(engine, LocalEngine)
    environment = {"OMP_WAIT_POLICY": "passive", jobs.WORKERS: str(workers if local else 1)}
    if workers > 1:
        environment["OMP_NUM_THREADS"] = "1"
    arguments = ["-m", "intona.studies.engine", str(out), job.name]
    if minutes is not None:
        arguments.append(f"{minutes:.4f}")
    return engine.start(arguments, log=directory / LOG, environment=environment, gpus=job.gpus)


def _reason(out: Path, name: str, code: int) -> str:
    path = jobs.folder(out, name) / jobs.FAILED
    if path.is_file():
        return str(read_json(path).get("reason"))
    died = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return f"{died}; see {jobs.folder(out, name) / LOG}"


def _builds_on(plan: StudyPlan, name: str, failed: dict[str, str]) -> bool:
    return any(n in failed or _builds_on(plan, n, failed) for n in plan.job(name).needs)


def _end(running: dict[str, CommandProcess]) -> None:
    """After Ctrl-C or an error, stop every job; training runs save first."""
    for process in running.values():
        process.stop()
    for process in running.values():
        process.end(SAVING_SECONDS)
