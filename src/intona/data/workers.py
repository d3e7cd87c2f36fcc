"""Cleaning in worker processes, results in order, and the progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from intona.audio import MelSpec, encode_audio
from intona.cluster import Engine
from intona.data.clean import CleanConfig, Rejected, clean
from intona.data.excerpt import extracted
from intona.data.jobs import PrepareJob, PrepareResult
from intona.data.labels import frames, shift, symbols
from intona.errors import UserError
from intona.files import write_whole
from intona.pool import DeadWorker
from intona.progress import ProgressMessages, bar_is_shown

IN_FLIGHT = 4  # jobs per worker: enough to keep it busy, few enough to limit the mels in memory
SMALL = 48  # for fewer jobs a pool costs more than it saves


def work(settings: tuple[CleanConfig, MelSpec], job: PrepareJob) -> PrepareResult:
    """Clean one recording and write its trimmed audio."""
    config, spec = settings
    try:
        with extracted(job.audio, job.excerpt) as recording:
            cleaned = clean(recording, config, spec)
    except Rejected as e:
        return PrepareResult(job=job, reason=e.reason, detail=e.detail)
    except UserError as e:
        return PrepareResult(job=job, reason="unreadable", detail=e.what)
    labels = shift(job.labels, cleaned.start, cleaned.end)
    phones, durations = job.phonemes, ()
    if job.corpus_symbols:
        named = symbols(labels)
        phones = tuple(x.label for x in named)
        if not 0 < len(named) <= len(cleaned.mel):
            return PrepareResult(
                job=job, reason="bad labels", detail=f"{len(named)} labels, {len(cleaned.mel)} frames"
            )
        frame_seconds = spec.hop_length / spec.sample_rate
        durations = tuple(int(d) for d in frames(named, len(cleaned.mel), frame_seconds))
    if len(cleaned.mel) == 0:
        return PrepareResult(job=job, reason="too short", detail="less than one frame")
    # After a power cut the whole preparation is checked against its journal anyway.
    write_whole(job.target, encode_audio(cleaned.audio, format="FLAC"), durable=False)
    return PrepareResult(
        job=job,
        seconds=cleaned.audio.duration,
        mel=cleaned.mel,
        labels=tuple(labels),
        symbols=phones,
        durations=durations,
    )


def run_jobs(
    jobs: Iterable[PrepareJob], config: CleanConfig, spec: MelSpec, engine: Engine
) -> Iterator[PrepareResult]:
    """Results in the order of the jobs.

    Raises:
        UserError: a worker died (out of memory, or a crash inside an audio library).
    """
    try:
        yield from engine.map(work, jobs, state=(config, spec), in_flight=IN_FLIGHT, least=SMALL)
    except DeadWorker:
        raise UserError(
            "a worker process died while reading a recording (out of memory?)",
            hint="run the same command again to go on; --workers 0 shows at which file",
        ) from None


def progress(outcomes: Iterable[PrepareResult], *, total: int, done: int) -> Iterator[PrepareResult]:
    """The results, with a progress bar on a terminal, elsewhere with a message every half minute."""
    if not bar_is_shown():
        show = ProgressMessages("prepare")
        for number, outcome in enumerate(outcomes, done):
            show(number, total)
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
