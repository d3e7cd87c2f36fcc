"""Manifests of lhotse: recordings and supervisions, cuts, and Shar folders, without the package."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from intona.data.corpora.fields import is_safe_name, language_code, line_fault, objects, plain_id, text_in
from intona.data.corpora.record import BadLine, Record, Refused, Source, clean_id
from intona.data.excerpt import MAX_BYTES, Excerpt
from intona.errors import UserError

Rows = Iterator[Record | BadLine]
_SHAR = re.compile(r"cuts\.(\d+)\.jsonl(\.gz)?")
_WHOLE = 0.01  # seconds by which an utterance may be shorter than its recording and still be all of it


def lhotse(source: Source) -> Rows:
    """`*supervisions*.jsonl(.gz)` beside `*recordings*.jsonl(.gz)` of the same name, or `*cuts*.jsonl(.gz)`.

    Paths of recordings that do not exist are searched in SRC by their last parts. Recordings that are a
    command, an address or that lhotse would transform are refused.
    """
    manifests = sorted([*source.root.rglob("*.jsonl"), *source.root.rglob("*.jsonl.gz")])
    empty = True
    for path in manifests:
        if "supervisions" in path.name:
            empty = False
            yield from _supervisions(source, path)
        elif "cuts" in path.name:
            empty = False
            yield from _cuts(source, path)
    if empty:
        raise UserError(
            "holds no *supervisions*.jsonl and no *cuts*.jsonl", where=source.root, hint="give their folder"
        )


def lhotse_shar(source: Source) -> Rows:
    """`cuts.000000.jsonl(.gz)` beside `recording.000000.tar`, which has the recordings in the same order."""
    shards = [p for p in sorted(source.root.rglob("cuts.*")) if _SHAR.fullmatch(p.name)]
    if not shards:
        raise UserError(
            "holds no cuts.000000.jsonl", where=source.root, hint="is this a folder in lhotse's Shar format?"
        )
    for path in shards:
        number = _SHAR.fullmatch(path.name)[1]  # type: ignore[index]
        tar = path.with_name(f"recording.{number}.tar")
        if not tar.is_file():
            yield line_fault(path, 1, f"{tar.name} is missing")
            continue
        for (line, cut), member in zip_longest(objects(path), _members(tar), fillvalue=(0, None)):
            if cut is None:
                yield line_fault(path, 0, f"{tar.name} has more recordings than there are cuts")
                break
            if isinstance(cut, BadLine):
                yield cut
                continue
            yield from _shar_cut(source, path, line, cut, tar, member)


def _shar_cut(source: Source, path: Path, line: int, cut: dict[str, Any], tar: Path, member: Any) -> Rows:
    key, suffix, place = member if len(member) == 3 else ("", "", None)
    if key != cut.get("id"):
        yield line_fault(path, line, f'"{str(cut.get("id"))[:60]}" has no recording in {tar.name}')
    elif place is None:
        yield BadLine(id=plain_id(key), reason="missing", detail=f"{tar.name} has no usable recording of it")
    else:
        excerpt = Excerpt(suffix=suffix, span=place)
        yield from _supervised(source, path, line, cut, tar, excerpt, 0.0)


def _members(path: Path) -> Iterator[tuple[str, str, tuple[int, int] | None]]:
    """Name, suffix and place of each recording of a tar; no place for one that is left out."""
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] - kept for all members otherwise
                key, dot, ending = member.name.rpartition(".")
                if ending in ("json", "nometa") or not dot:
                    continue
                good = member.isreg() and member.sparse is None and 0 < member.size <= MAX_BYTES
                good = good and ending != "nodata" and is_safe_name(member.name)
                yield key, f".{ending}", (member.offset_data, member.size) if good else None
    except (tarfile.TarError, OSError, EOFError, ValueError) as e:
        raise UserError(f"cannot be read as a tar ({e})", where=path) from None


def _supervisions(source: Source, path: Path) -> Rows:
    name = path.name.replace("supervisions", "recordings")
    other = {name, name.removesuffix(".gz"), f"{name.removesuffix('.gz')}.gz"}
    table = next((p for n in sorted(other) if (p := path.with_name(n)).is_file()), None)
    if table is None:
        raise UserError(f"needs {name} beside it", where=path)
    recordings = {
        r["id"]: r for _, r in objects(table) if isinstance(r, dict) and isinstance(r.get("id"), str)
    }
    for line, row in objects(path):
        if isinstance(row, BadLine):
            yield row
            continue
        recording = recordings.get(row.get("recording_id"))  # type: ignore[arg-type]
        if recording is None:
            yield line_fault(path, line, f'no recording "{str(row.get("recording_id"))[:60]}"')
            continue
        yield from _with_recording(source, path, line, {"supervisions": [row]}, recording)


def _cuts(source: Source, path: Path) -> Rows:
    for line, cut in objects(path):
        if isinstance(cut, BadLine):
            yield cut
        elif cut.get("type", "MonoCut") not in ("MonoCut", "MultiCut") or not isinstance(
            cut.get("recording"), dict
        ):
            yield line_fault(path, line, "not a cut of one recording")
        else:
            yield from _with_recording(source, path, line, cut, cut["recording"])


def _with_recording(
    source: Source, path: Path, line: int, cut: dict[str, Any], recording: dict[str, Any]
) -> Rows:
    sources = recording.get("sources")
    first = sources[0] if isinstance(sources, list) and len(sources) == 1 else None
    if not isinstance(first, dict) or first.get("type") != "file" or not isinstance(first.get("source"), str):
        yield line_fault(path, line, "its recording is not one file")
        return
    if recording.get("transforms"):
        yield line_fault(path, line, "its recording is to be transformed, which is not done here")
        return
    try:
        audio = _path_of(source, first["source"])
        start = _number(cut.get("start", 0.0))
    except Refused as e:
        yield BadLine(id=f"{path.name}:{line}", reason="refused path", detail=str(e))
        return
    except ValueError as e:
        yield line_fault(path, line, str(e))
        return
    several = isinstance(channels := first.get("channels"), list) and len(channels) > 1
    cut = {"duration": recording.get("duration"), **cut, "whole": recording.get("duration")}
    yield from _supervised(source, path, line, cut, audio, Excerpt(), start, several=several)


def _supervised(
    source: Source,
    path: Path,
    line: int,
    cut: dict[str, Any],
    audio: Path,
    excerpt: Excerpt,
    offset: float,
    *,
    several: bool = False,
) -> Rows:
    """One record per supervision of a cut, whose audio begins at `offset` of the recording."""
    rows = cut.get("supervisions")
    if not isinstance(rows, list) or not rows:
        yield line_fault(path, line, "no supervision")
        return
    for row in rows:
        try:
            if not isinstance(row, dict) or not isinstance(row.get("id"), str):
                raise ValueError("a supervision without id")
            start, seconds = offset + _number(row.get("start", 0.0)), _number(row["duration"])
            whole = _number(cut.get("whole", cut.get("duration")))
        except (KeyError, ValueError) as e:
            yield line_fault(path, line, str(e))
            continue
        is_whole = start <= _WHOLE and abs(start + seconds - whole) <= _WHOLE
        channel = row.get("channel") if several else None
        part = Excerpt(
            suffix=excerpt.suffix,
            span=excerpt.span,
            seconds=None if is_whole else (max(start, 0.0), seconds),
            channel=channel if isinstance(channel, int) else None,
        )
        speaker = text_in(row, ("speaker",)) or clean_id(source.root.resolve().name)
        id = plain_id(row["id"])
        yield Record(
            id=id,
            audio=audio,
            text=text_in(row, ("text",)),
            speaker=speaker,
            language=language_code(row.get("language")),
            labels=source.labels_for(id.rpartition("/")[2], speaker),
            excerpt=None if part == Excerpt() else part,
        )


def _path_of(source: Source, name: str) -> Path:
    """A recording by its path, or by the last parts of it in SRC: manifests often come from elsewhere."""
    refused: Refused | None = None
    try:
        if (path := source.inside(name)).exists():
            return path
    except Refused as e:
        refused = e
    parts = [p for p in name.replace("\\", "/").split("/") if p and p != "."]
    if ".." not in parts and (refused is None or Path(name).is_absolute()):
        for k in range(len(parts)):
            candidate = "/".join(parts[k:])
            if (source.root / candidate).is_file():
                return source.inside(candidate)
    if refused is not None:
        raise refused
    return source.inside(name)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e7:
        raise ValueError(f"{str(value)[:40]} is not a time")
    return float(value)
