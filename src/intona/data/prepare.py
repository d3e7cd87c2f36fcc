"""`prepare`: from a published corpus to a directory that training reads. Resumable after a kill.

The parent reads the transcript and phonemizes in batches; workers clean the audio. Results come in order:
each mel is appended to `mels.part.bin`, then its row to `journal.jsonl`. After a kill both are cut to the
last complete row and the work continues; the finished directory is the same, byte for byte.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from intona.cluster import Engine, LocalEngine
from intona.data.corpora import BadLine, Record, read_corpus
from intona.data.finish import finish
from intona.data.jobs import PrepareConfig, PrepareJob, PrepareResult
from intona.data.journal import CORPUS_DURATIONS, Journal, reopen, too_many_dropped
from intona.data.prepared import MARK, read_mark, write_durations
from intona.data.report import PrepareReport
from intona.data.script import LABELS_LEFT_OUT, Script
from intona.data.selection import of_kept, select, stand_ins
from intona.data.workers import progress, run_jobs
from intona.errors import UserError


def prepare(
    layout: str,
    src: Path | str,
    out: Path | str,
    config: PrepareConfig | None = None,
    *,
    engine: Engine | None = None,
) -> PrepareReport:
    """Prepare a corpus.

    The same call continues an interrupted preparation and returns the report of a finished one. A preparation
    that was rejected at its end (nothing kept, too much dropped) starts again, as the corpus may have been
    corrected; if only `max_dropped` was raised, it is finished. A finished preparation starts again if it
    dropped something and its transcript has changed, or if it left out labels that have changed, as long as
    nothing was added to the directory.

    Args:
        layout: a name that is registered as a layout.
        src: the published corpus.
        out: a new or empty directory, or one of the same preparation.
        engine: where recordings are cleaned; None = `workers` processes of this machine.

    Raises:
        UserError: unknown layout, no corpus there, nothing kept, more dropped than `max_dropped`, a directory
            that holds something else, a full disk.
    """
    config, src, out = config or PrepareConfig(), Path(src), Path(out)
    began = time.monotonic()
    if config.speaker and not config.speaker.isprintable():
        raise UserError(f"{config.speaker!a} cannot be shown", where="speaker", hint="give a plain name")
    source = read_corpus(
        layout,
        src,
        transcript=Path(config.transcript) if config.transcript else None,
        labels=Path(config.labels) if config.labels else None,
        allow_outside=config.allow_outside,
    )
    entries, splits = select(list(source), config.limit, config.dev, config.test)
    _refuse_useless(entries, src)
    identity = _identity(layout, entries, src, config)
    if (out / MARK).is_file():
        origin = read_mark(out).get("origin")
        repaired = _is_repaired(out, origin, identity, entries) and reopen(out, {e.id for e in entries})
        if origin == identity and not repaired:
            return PrepareReport.load(out)
        if not repaired:
            raise UserError(
                "holds a corpus that was prepared otherwise",
                where=out,
                hint="remove it or choose another OUT",
            )
    try:
        with Journal(out, identity, config.spec.n_mels, max_dropped=config.max_dropped) as journal:
            script = Script(config, layout)
            jobs = script.jobs(entries, out, done=journal.done, reject=journal.reject)
            results = run_jobs(jobs, config.clean, config.spec, engine or LocalEngine(config.workers))
            cleaned = 0.0
            for outcome in progress(results, total=len(entries), done=len(journal.done)):
                cleaned += _take(journal, outcome, config)
        return _complete(out, journal, config, layout, script, identity, began, cleaned, splits)
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EPERM):
            hint = "make room or choose another OUT, then run the same command again"
            raise UserError(f"cannot be written ({e.strerror})", where=out, hint=hint) from None
        raise


def _refuse_useless(entries: list[Record | BadLine], src: Path) -> None:
    """Reject a transcript without a usable line before anything is written.

    Raises:
        UserError: names the first bad line and its fault.
    """
    bad = [entry for entry in entries if isinstance(entry, BadLine)]
    if bad and len(bad) == len(entries):
        raise UserError(
            f"none of {len(bad)} lines can be used; {bad[0].id}: {bad[0].reason}, {bad[0].detail}",
            where=src,
            hint="is it the right layout? docs/guide/data.md describes each",
        )


def _is_repaired(out: Path, origin: Any, identity: dict[str, Any], entries: list[Record | BadLine]) -> bool:
    """Whether the corpus may have been corrected since it was prepared with the same settings."""
    report = PrepareReport.load(out)
    if origin != identity:
        lines = {key: identity[key] for key in ("records", "sha256")}
        return isinstance(origin, dict) and {**origin, **lines} == identity and bool(report.dropped)
    if "bad labels" not in report.dropped and not any(LABELS_LEFT_OUT in w for w in report.warnings):
        return False
    sealed = (out / MARK).stat().st_mtime_ns
    files = (entry.labels for entry in entries if isinstance(entry, Record) and entry.labels)
    return any(path.stat().st_mtime_ns > sealed for path in files)


def _identity(
    layout: str, entries: list[Record | BadLine], src: Path, config: PrepareConfig
) -> dict[str, Any]:
    """What makes two preparations equal: the records and the settings, but not the place of the corpus."""
    fields = dataclasses.asdict(config)
    for name in ("workers", "transcript", "labels", "max_dropped"):
        fields.pop(name)
    digest = hashlib.sha256()
    for entry in entries:
        parts = [entry.id, getattr(entry, "text", ""), getattr(entry, "speaker", "")]
        if isinstance(entry, Record):
            parts += [os.path.relpath(entry.audio, src), entry.labels.name if entry.labels else ""]
        digest.update(repr(parts).encode("utf-8", "backslashreplace"))
    return {"layout": layout, "config": fields, "records": len(entries), "sha256": digest.hexdigest()}


def _take(journal: Journal, outcome: PrepareResult, config: PrepareConfig) -> float:
    """Record one finished job. Returns its seconds of audio, 0 if it was dropped."""
    job: PrepareJob = outcome.job
    if outcome.reason is None:
        rate = job.n_phones / outcome.seconds
        low, high = config.min_phonemes_per_second, config.max_phonemes_per_second
        # A tolerance of one phone: a spelled letter is one long phone.
        if job.n_phones + 1 < low * outcome.seconds or job.n_phones - 1 > high * outcome.seconds:
            detail = f"{rate:.1f} phones per second, not in {low:g}..{high:g}"
            outcome = dataclasses.replace(outcome, reason="text/duration", detail=detail)
        elif job.corpus_symbols and len(outcome.symbols) > outcome.n_frames:
            outcome = dataclasses.replace(outcome, reason="bad labels", detail="more labels than frames")
    if outcome.reason is not None:
        (job.target).unlink(missing_ok=True)
        journal.reject(job.id, outcome.reason, outcome.detail)
        return 0.0
    journal.keep(job, outcome)
    return outcome.seconds


def _complete(
    out: Path,
    journal: Journal,
    config: PrepareConfig,
    layout: str,
    script: Script,
    identity: dict[str, Any],
    began: float,
    cleaned: float,
    splits: dict[str, list[str]],
) -> PrepareReport:
    kept, rejected = journal.kept, journal.rejected
    journal.write_rejected()
    dropped = Counter(row["reason"] for row in rejected)
    common = ", ".join(f"{reason} ({count})" for reason, count in dropped.most_common(3)) or "no records"
    if rejected:
        usual = dropped.most_common(1)[0][0]
        first = next(row for row in rejected if row["reason"] == usual)
        common += f"; first {first['id']}: {first['detail'] or usual}"
    if not kept:
        journal.refuse()
        raise UserError(
            f"nothing is left of the corpus: {common}", where=out, hint="see rejected.jsonl there"
        )
    if too_many_dropped(len(kept), len(rejected), config.max_dropped):
        journal.refuse()
        raise UserError(
            f"{len(rejected)} of {len(kept) + len(rejected)} recordings would be dropped: {common}",
            where=out,
            hint=f"see rejected.jsonl there, or raise max_dropped (now {config.max_dropped:g})",
        )
    speakers = sorted({row["speaker"] for row in kept})
    number = {name: i for i, name in enumerate(speakers)}
    labels = [{"id": r["id"], "labels": r["labels"]} for r in kept if r["labels"]]
    durations = {r["id"]: r["durations"] for r in kept if r["durations"]}
    rows = [{**r, "speaker": number[r["speaker"]]} for r in kept]
    for row in rows:
        del row["labels"], row["durations"]
    whole, splits = splits, of_kept(splits, {r["id"] for r in rows})
    if not splits["train"]:
        journal.refuse()
        held = len(splits["dev"]) + len(splits["test"])
        raise UserError(
            f"what is left of the corpus, {held} recordings, is all of dev and test: {common}",
            where=out,
            hint="lower --dev, --test, or see rejected.jsonl there",
        )
    journal.finish_mels(labels)
    elapsed = time.monotonic() - began
    report = finish(
        out,
        rows,
        spec=config.spec,
        speakers=speakers,
        splits=splits,
        dropped=dropped,
        frontends=script.describe({r["language"] for r in rows}),
        origin=identity,
        layout=layout,
        aligned=len(labels),
        elapsed_seconds=round(elapsed, 2),
        speed=round(cleaned / elapsed, 1) if elapsed > 0 else 0.0,
        warnings=script.warnings + stand_ins(whole, splits),
    )
    if durations:
        write_durations(out, durations, CORPUS_DURATIONS)
    journal.close_for_good()
    return report
