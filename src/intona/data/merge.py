"""Several prepared corpora as one: union of speakers and symbols, the same splits.

Mels and recordings are linked, not copied: the new directory needs no space for them, and stays whole when a
source is removed, unless it is on another file system (then the links are symbolic).
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from intona.audio import require_same
from intona.data.contours import link_pitch
from intona.data.finish import Contents, finish
from intona.data.prepared import MARK, SPLITS, Prepared, read_mark, shards_of
from intona.data.report import PrepareReport
from intona.data.script import file_name
from intona.data.shards import link, link_all, shard_name
from intona.errors import UserError
from intona.jsonl import read_jsonl, write_jsonl
from intona.text import compatible
from intona.text.tokenizer import PAD, UNK


def merge(sources: Sequence[Path | str], out: Path | str) -> PrepareReport:
    """Combine prepared directories into a new one.

    Ids become `DIRECTORY/ID`. Speakers of the same name become one speaker. Each utterance keeps its
    split, so that nothing of a test set is trained on. Alignments and labels are copied; mels, recordings
    and F0 are linked.

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
    named = list(zip(corpora, names, strict=True))
    speakers = sorted({s for c in corpora for s in c.speakers})
    rejected: list[dict[str, Any]] = []
    splits: dict[str, list[str]] = {name: [] for name in SPLITS}
    dropped: Counter[str] = Counter()
    sums: dict[str, str] = {}
    files: list[tuple[Path, int]] = []
    for corpus, name in named:
        mark = read_mark(corpus.root)
        for shard, frames in shards_of(mark):
            if shard in mark["sha256"]:
                sums[shard_name(len(files))] = mark["sha256"][shard]
            files.append((corpus.root / shard, frames))
        for item in corpus:
            link(corpus.audio_path(item), work / "audio" / file_name(f"{name}/{item.id}"))
        for split in SPLITS:
            splits[split] += [f"{name}/{corpus.index.id(row)}" for row in corpus.rows(split).tolist()]
        dropped.update(PrepareReport.load(corpus.root).dropped)
        if (corpus.root / "rejected.jsonl").is_file():
            bad = read_jsonl(corpus.root / "rejected.jsonl")
            rejected += [{**row, "id": f"{name}/{row.get('id', '')}"} for row in bad]
    write_jsonl(work / "rejected.jsonl", rejected)
    aligned_by = sorted({c.durations_source for c in corpora if c.durations_source})
    contents = Contents(
        rows=lambda: _rows(named, speakers),
        splits={name: sorted(ids) for name, ids in splits.items()},
        spec=corpora[0].spec,
        speakers=speakers,
        languages=sorted({language for c in corpora for language in c.languages}),
        symbols={s for c in corpora for s in c.tokenizer.symbols if s not in (PAD, UNK)},
        shards=link_all(files, work),
        frontends=frontends,
        durations_source=", ".join(aligned_by),
        sums=sums,
    )
    report = finish(
        work,
        contents,
        dropped=dropped,
        origin={"merged": {n: c.fingerprint for n, c in zip(names, corpora, strict=True)}},
        layout="merged",
    )
    assert (work / MARK).is_file()
    link_pitch(Prepared.open(work), corpora)
    return report


def _rows(named: Sequence[tuple[Prepared, str]], speakers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of all corpora under their new ids, ordered by id."""
    number = {name: i for i, name in enumerate(speakers)}
    sizes = [len(corpus.mels) for corpus, _ in named]
    bases = {name: sum(sizes[:i]) for i, (_, name) in enumerate(named)}
    # No name holds a slash, so the ids of a corpus stand together.
    for corpus, name in sorted(named, key=lambda pair: f"{pair[1]}/"):
        for item in corpus:
            id = f"{name}/{item.id}"
            durations = corpus.durations(item)
            yield {
                **vars(item),
                "id": id,
                "phonemes": list(item.phonemes),
                "words": [[w.text, w.start, w.end] for w in item.words],
                "speaker": number[corpus.speakers[item.speaker]],
                "offset": bases[name] + item.offset,
                "file": file_name(id),
                "durations": [] if durations is None else durations.tolist(),
                "labels": [list(x) for x in corpus.labels(item) or []],
            }
