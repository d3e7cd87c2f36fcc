"""`prepare`: from a published corpus to a directory that training reads. Resumable after a kill.

The parent reads the transcript, one record at a time, and phonemizes in batches; workers clean the audio.
Results come in order: each mel is appended to the files of mels, then its row to `journal.jsonl`. After a
kill both are cut to the last complete row and the work continues; the finished directory is the same, byte
for byte.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from intona.cluster import Engine, LocalEngine
from intona.data.corpora import BadLine, Record, read_corpus
from intona.data.finish import Contents, finish
from intona.data.jobs import PrepareConfig, PrepareJob, PrepareResult
from intona.data.journal import CORPUS_DURATIONS, Journal, reopen, too_many_dropped
from intona.data.prepared import MARK, read_mark
from intona.data.report import PrepareReport
from intona.data.script import LABELS_LEFT_OUT, Script
from intona.data.selection import RecordSelection, of_kept, stand_ins
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
    # The transcript is read several times, so that its records need not be held.
    read = partial(
        read_corpus,
        layout,
        src,
        transcript=Path(config.transcript) if config.transcript else None,
        labels=Path(config.labels) if config.labels else None,
        allow_outside=config.allow_outside,
    )
    selection = RecordSelection(read, config.limit, config.dev, config.test, hold_out=config.hold_out)
    identity = _identity(layout, selection, src, config)
    if (out / MARK).is_file():
        origin = read_mark(out).get("origin")
        repaired = _is_repaired(out, origin, identity, selection) and reopen(out, {e.id for e in selection})
        if origin == identity and not repaired:
            return PrepareReport.load(out)
        if not repaired:
            raise UserError(
                "holds a corpus that was prepared otherwise",
                where=out,
                hint="remove it or choose another OUT",
            )
    try:
        shards = {"max_dropped": config.max_dropped, "shard_bytes": config.shard_mib << 20}
        with Journal(out, identity, config.spec.n_mels, **shards) as journal:
            script = Script(config, layout)
            jobs = script.jobs(selection, out, done=journal.done, reject=journal.reject)
            results = run_jobs(jobs, config.clean, config.spec, engine or LocalEngine(config.workers))
            cleaned = 0.0
            for outcome in progress(results, total=identity["records"], done=len(journal.done)):
                cleaned += _take(journal, outcome, config)
        return _complete(out, journal, config, layout, script, identity, began, cleaned, selection.splits)
    except OSError as e:
        if e.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EPERM):
            hint = "make room or choose another OUT, then run the same command again"
            raise UserError(f"cannot be written ({e.strerror})", where=out, hint=hint) from None
        raise


def _is_repaired(
    out: Path, origin: Any, identity: dict[str, Any], entries: Iterable[Record | BadLine]
) -> bool:
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
    layout: str, entries: Iterable[Record | BadLine], src: Path, config: PrepareConfig
) -> dict[str, Any]:
    """What makes two preparations equal: the records and the settings, but not the place of the corpus.

    Raises:
        UserError: no line can be used; names the first bad line and its fault.
    """
    fields = dataclasses.asdict(config)
    for name in ("workers", "transcript", "labels", "max_dropped"):
        fields.pop(name)
    for name in ("hold_out", "shard_mib"):  # options that earlier versions lacked
        if fields[name] == getattr(PrepareConfig(), name):
            fields.pop(name)
    digest, count, bad = hashlib.sha256(), 0, 0
    first: BadLine | None = None
    for entry in entries:
        count += 1
        parts = [entry.id, getattr(entry, "text", ""), getattr(entry, "speaker", "")]
        if isinstance(entry, Record):
            parts += [os.path.relpath(entry.audio, src), entry.labels.name if entry.labels else ""]
            if entry.excerpt is not None:
                parts.append(repr(entry.excerpt))
        else:
            bad, first = bad + 1, first or entry
        digest.update(repr(parts).encode("utf-8", "backslashreplace"))
    if first is not None and bad == count:
        raise UserError(
            f"none of {bad} lines can be used; {first.id}: {first.reason}, {first.detail}",
            where=src,
            hint="is it the right layout? docs/guide/data.md describes each",
        )
    return {"layout": layout, "config": fields, "records": count, "sha256": digest.hexdigest()}


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
    whole, splits = splits, of_kept(splits, kept)
    if not splits["train"]:
        journal.refuse()
        held = len(splits["dev"]) + len(splits["test"])
        raise UserError(
            f"what is left of the corpus, {held} recordings, is all of dev and test: {common}",
            where=out,
            hint="lower --dev, --test, or see rejected.jsonl there",
        )
    journal.mels.flush_to_disk()
    elapsed = time.monotonic() - began
    speakers = sorted(journal.speakers)
    number = {name: i for i, name in enumerate(speakers)}
    contents = Contents(
        rows=lambda: ({**row, "speaker": number[row["speaker"]]} for row in journal.rows()),
        splits=splits,
        spec=config.spec,
        speakers=speakers,
        languages=journal.languages,
        symbols=journal.symbols,
        shards=journal.mels.sizes(),
        frontends=script.describe(journal.languages),
        durations_source=CORPUS_DURATIONS,
    )
    report = finish(
        out,
        contents,
        dropped=dropped,
        origin=identity,
        layout=layout,
        elapsed_seconds=round(elapsed, 2),
        speed=round(cleaned / elapsed, 1) if elapsed > 0 else 0.0,
        warnings=script.warnings + stand_ins(whole, splits),
    )
    journal.close_for_good()
    return report
