"""Cleaning in worker processes, results in order, and the progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from intona.audio import MelSpec, encode_audio
from intona.data.clean import CleanConfig, Rejected, clean
from intona.data.jobs import PrepareJob, PrepareResult
from intona.data.labels import frames, shift, symbols
from intona.errors import UserError
from intona.files import write_whole
from intona.pool import DeadWorker, default_workers, pooled
from intona.progress import Lines

IN_FLIGHT = 4  # jobs a worker: enough to keep it busy, few enough to keep mels out of memory
SMALL = 48  # below this many jobs a pool costs more than it brings


def work(job: PrepareJob, config: CleanConfig, spec: MelSpec) -> PrepareResult:
    """Clean one recording and write its trimmed audio."""
    try:
        made = clean(job.audio, config, spec)
    except Rejected as e:
        return PrepareResult(job=job, reason=e.reason, detail=e.detail)
    labels = shift(job.labels, made.start, made.end)
    phones, durations = job.phonemes, ()
    if job.corpus_symbols:
        named = symbols(labels)
        phones = tuple(x.label for x in named)
        if not 0 < len(named) <= len(made.mel):
            return PrepareResult(
                job=job, reason="bad labels", detail=f"{len(named)} labels, {len(made.mel)} frames"
            )
        frame_seconds = spec.hop_length / spec.sample_rate
        durations = tuple(int(d) for d in frames(named, len(made.mel), frame_seconds))
    if len(made.mel) == 0:
        return PrepareResult(job=job, reason="too short", detail="less than one frame")
    # After a power cut the whole preparation is checked against its journal anyway.
    write_whole(job.target, encode_audio(made.audio, format="FLAC"), durable=False)
    return PrepareResult(
        job=job,
        seconds=made.audio.duration,
        mel=made.mel,
        labels=tuple(labels),
        symbols=phones,
        durations=durations,
    )


def run_jobs(
    jobs: Iterable[PrepareJob], config: CleanConfig, spec: MelSpec, workers: int | None
) -> Iterator[PrepareResult]:
    """Outcomes in the order of the jobs.

    Raises:
        UserError: a worker died (out of memory, or a crash inside an audio library).
    """
    workers = default_workers() if workers is None else workers
    iterator = iter(jobs)
    head: list[PrepareJob] = []
    for job in iterator:
        head.append(job)
        if len(head) >= SMALL:
            break
    if workers <= 1 or len(head) < SMALL:
        for job in head:
            yield work(job, config, spec)
        for job in iterator:
            yield work(job, config, spec)
        return
    try:
        yield from pooled(
            partial(work, config=config, spec=spec),
            chain(head, iterator),
            workers=workers,
            in_flight=IN_FLIGHT,
        )
    except DeadWorker:
        raise UserError(
            "a worker process died while reading a recording (out of memory?)",
            hint="run the same command again to go on; --workers 0 shows at which file",
        ) from None


def progress(outcomes: Iterable[PrepareResult], *, total: int, done: int) -> Iterator[PrepareResult]:
    """The outcomes, with a bar on stderr when that is a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        lines = Lines("prepare")
        for number, outcome in enumerate(outcomes, done):
            lines(number, total)
            yield outcome
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("prepare"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=done, speed="")
        seconds = 0.0
        for outcome in outcomes:
            seconds += outcome.seconds
            elapsed = bar.tasks[0].elapsed or 0.0
            speed = f"{seconds / elapsed:.0f} x real time" if elapsed > 1 else ""
            bar.update(task, advance=1, speed=speed)
            yield outcome
