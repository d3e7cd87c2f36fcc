"""Several prepared corpora as one: union of speakers and symbols, the same splits, concatenated mels."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from intona.audio import require_same
from intona.data.finish import finish
from intona.data.prepared import MARK, PREPARE, SPLITS, Prepared, write_durations
from intona.data.report import PrepareReport
from intona.data.script import file_name
from intona.errors import UserError
from intona.jsonl import read_jsonl, write_jsonl
from intona.text import compatible


def merge(sources: Sequence[Path | str], out: Path | str) -> PrepareReport:
    """Combine prepared directories into a new one.

    Ids become `DIRECTORY/ID`. Speakers of the same name become one speaker. Each utterance keeps its
    split, so that nothing of a test set is trained on. Alignments and labels are copied.

    Raises:
        UserError: fewer than two sources, two of the same name, different mels, phonemes of one language
            from different settings, an `out` that is not empty, a full disk.
    """
    roots, out = [Path(s) for s in sources], Path(out)
    if len(roots) < 2:
        raise UserError("a merge needs two or more prepared directories")
    names = [r.resolve().name for r in roots]
    if len(set(names)) != len(names):
        raise UserError(f"two sources have the same name: {names}", hint="rename one: the ids contain it")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("is not empty", where=out, hint="choose another OUT")
    corpora = [Prepared.open(r) for r in roots]
    frontends = _check(corpora)
    work = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        (work / "audio").mkdir(parents=True)
        report = _write(work, corpora, names, frontends)
        if out.is_dir():
            out.rmdir()
        os.replace(work, out)
    except OSError as e:
        raise UserError(
            f"cannot be written ({e.strerror})", where=out, hint="make room or choose another OUT"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return report


def _check(corpora: Sequence[Prepared]) -> dict[str, Any]:
    frontends: dict[str, Any] = {}
    for corpus in corpora:
        require_same(corpora[0].spec, corpus.spec, where=corpus.root)
        for language, description in corpus.frontends.items():
            known = frontends.setdefault(language, description)
            if lines := compatible(known, description):
                raise UserError(
                    f'phonemes of "{language}" were made differently: {"; ".join(lines)}',
                    where=corpus.root,
                    hint="prepare both with the same version and --phonemes",
                )
    return frontends


def _write(
    work: Path, corpora: Sequence[Prepared], names: Sequence[str], frontends: dict[str, Any]
) -> PrepareReport:
    speakers = sorted({s for c in corpora for s in c.speakers})
    number = {name: i for i, name in enumerate(speakers)}
    rows: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    durations: dict[str, Any] = {}
    splits: dict[str, list[str]] = {name: [] for name in SPLITS}
    dropped: Counter[str] = Counter()
    sources: set[str] = set()
    base = 0
    with open(work / "mels.bin", "wb") as mels:
        for corpus, name in zip(corpora, names, strict=True):
            with open(corpus.root / "mels.bin", "rb") as f:
                shutil.copyfileobj(f, mels, 1 << 22)
            for row in read_jsonl(corpus.root / "manifest.jsonl", hint=PREPARE):
                item = corpus[row["id"]]
                id = f"{name}/{item.id}"
                speaker = number[corpus.speakers[item.speaker]]
                row |= {"id": id, "speaker": speaker, "offset": base + item.offset, "file": file_name(id)}
                shutil.copyfile(corpus.audio_path(item), work / "audio" / row["file"])
                rows.append(row)
                if (known := corpus.durations(item)) is not None:
                    durations[id] = known
                if phones := corpus.labels(item):
                    labels.append({"id": id, "labels": [list(x) for x in phones]})
            for split in SPLITS:
                splits[split] += [f"{name}/{item.id}" for item in corpus.items(split)]
            if corpus.durations_source:
                sources.add(corpus.durations_source)
            report = PrepareReport.load(corpus.root)
            dropped.update(report.dropped)
            if (corpus.root / "rejected.jsonl").is_file():
                bad = read_jsonl(corpus.root / "rejected.jsonl")
                rejected += [{**row, "id": f"{name}/{row.get('id', '')}"} for row in bad]
            base += sum(item.n_frames for item in corpus)
    write_jsonl(work / "rejected.jsonl", rejected)
    if labels:
        write_jsonl(work / "labels.jsonl", labels)
    report = finish(
        work,
        rows,
        spec=corpora[0].spec,
        speakers=speakers,
        splits={name: sorted(ids) for name, ids in splits.items()},
        dropped=dropped,
        frontends=frontends,
        origin={"merged": {n: c.fingerprint for n, c in zip(names, corpora, strict=True)}},
        layout="merged",
        aligned=len(labels),
    )
    if durations:
        write_durations(work, durations, ", ".join(sorted(sources)))
    assert (work / MARK).is_file()
    return report
