"""Corpora in tar files: WebDataset, and Emilia, which is published as such and as folders.

Nothing is unpacked. A tar is read for its headers and texts; a recording is named by its place in the file,
from which a worker reads it. Compressed tars cannot be read at a place and are refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intona.data.corpora.fields import (
    MAX_LINE,
    described,
    is_safe_name,
    line_fault,
    objects,
    parse_object,
    plain_id,
    text_in,
)
from intona.data.corpora.record import AUDIO_SUFFIXES, BadLine, Record, Refused, Source, clean_id
from intona.data.excerpt import MAX_BYTES, Excerpt
from intona.errors import UserError

Rows = Iterator[Record | BadLine]
_TEXTS = (".txt", ".text", ".normalized.txt", ".lab")


@dataclass
class Sample:
    """Members of a tar with the same name up to the first dot."""

    key: str
    audio: tuple[str, int, int] | None = None  # suffix, first byte, number of bytes
    fields: dict[str, Any] = field(default_factory=dict)
    fault: str = ""


def samples(path: Path) -> Iterator[Sample]:
    """The samples of a tar, each of adjacent members. Members of other kinds are ignored.

    Raises:
        UserError: not a plain tar, or cut off.
    """
    sample: Sample | None = None
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined] - kept for all members otherwise
                if member.isdir():
                    continue
                folder, slash, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                key = f"{folder}{slash}{stem}"
                if sample is None or sample.key != key:
                    if sample is not None:
                        yield sample
                    sample = Sample(key=key)
                _add(sample, tar, member, f".{ending.lower()}")
    except (tarfile.TarError, OSError, EOFError, ValueError) as e:
        hint = "unpack compressed tars" if path.suffix != ".tar" else ""
        raise UserError(f"cannot be read as a tar ({e})", where=path, hint=hint) from None
    if sample is not None:
        yield sample


def _add(sample: Sample, tar: tarfile.TarFile, member: tarfile.TarInfo, ending: str) -> None:
    if not is_safe_name(member.name):
        sample.fault = "its name leads out of the archive"
        return
    kind = next((s for s in AUDIO_SUFFIXES if ending.endswith(s)), "")
    is_text = ending in _TEXTS or ending == ".json"
    if not kind and not is_text:
        return
    if not member.isreg() or member.sparse is not None:
        sample.fault = "a link or a sparse file, not a plain one"
        return
    if member.size > (MAX_BYTES if kind else MAX_LINE):
        sample.fault = f"{member.size} bytes of {ending}, more than allowed"
        return
    if kind:
        sample.audio = kind, member.offset_data, member.size
        return
    file = tar.extractfile(member)
    raw = file.read(MAX_LINE) if file else b""
    try:
        if len(raw) != member.size:
            raise ValueError("cut off")
        if ending == ".json":
            sample.fields = {**parse_object(raw), **sample.fields}
        else:
            sample.fields.setdefault("text", raw.decode("utf-8-sig"))
    except ValueError as e:
        sample.fault = f"{ending} is not valid ({e})"


def _tars(source: Source) -> list[Path]:
    compressed = [p for p in sorted(source.root.rglob("*.t*gz")) if p.name.endswith((".tar.gz", ".tgz"))]
    if compressed:
        raise UserError("is compressed", where=compressed[0], hint="unpack it to a plain .tar (gunzip)")
    return sorted(source.root.rglob("*.tar"))


def webdataset(source: Source) -> Rows:
    """`*.tar` with `KEY.wav` (or another type of audio) beside `KEY.txt` or `KEY.json`.

    The JSON has the text as `text` (or `transcript` and so on) and may have `id`, `speaker` and `language`.
    Without `id` it is KEY; without `speaker` all belong to one.
    """
    tars = _tars(source)
    if not tars:
        raise UserError("holds no *.tar", where=source.root, hint="is this a folder of WebDataset tars?")
    for tar in tars:
        yield from _records(source, tar)


def emilia(source: Source) -> Rows:
    """Emilia: `*.tar` of pairs of `ID.mp3` and `ID.json`, the same pairs in folders, or `*.jsonl` with paths.

    Fields: `id`, `wav` (the path), `text`, `duration`, `speaker`, `language`, `dnsmos`.
    """
    tars, empty = _tars(source), True
    for tar in tars:
        empty = False
        yield from _records(source, tar)
    for table in sorted(source.root.rglob("*.jsonl")):
        empty = False
        for number, fields in objects(table):
            yield fields if isinstance(fields, BadLine) else _described(source, table, number, fields)
    for path in sorted(source.root.rglob("*.json")) if empty else ():
        empty = False
        yield _pair(source, path)
    if empty:
        raise UserError(
            "holds no *.tar, *.jsonl or *.json", where=source.root, hint="is this a folder of Emilia?"
        )


def _records(source: Source, tar: Path) -> Rows:
    try:
        source.inside(tar.relative_to(source.root))
    except Refused as e:
        yield BadLine(id=clean_id(tar.name), reason="refused path", detail=str(e))
        return
    for sample in samples(tar):
        name = plain_id(sample.key)
        if sample.fault:
            yield BadLine(id=name, reason="bad member", detail=f"{tar.name}: {sample.fault}"[:200])
        elif sample.audio is None:
            yield BadLine(id=name, reason="missing", detail=f"{tar.name} has no recording of it")
        elif not sample.fields:
            yield BadLine(id=name, reason="no text", detail=f"{tar.name} has no .txt or .json of it")
        else:
            suffix, first, size = sample.audio
            excerpt = Excerpt(suffix=suffix, span=(first, size))
            yield _record(source, sample.fields, name, tar, excerpt)


def _record(
    source: Source, fields: dict[str, Any], name: str, audio: Path, excerpt: Excerpt | None = None
) -> Record:
    return described(source, fields, plain_id(text_in(fields, ("id",)) or name), audio, excerpt)


def _described(source: Source, table: Path, number: int, fields: dict[str, Any]) -> Record | BadLine:
    """A line of a table of Emilia. Its path may begin below the folder that is named after the table."""
    name = text_in(fields, ("wav", "audio", "path"))
    if not name:
        return line_fault(table, number, "no path of a recording in wav")
    try:
        here = table.parent.relative_to(source.root).as_posix()
        audio = source.find_audio(name, "" if here == "." else here, "")
    except Refused as e:
        return BadLine(id=f"{table.name}:{number}", reason="refused path", detail=str(e))
    return _record(source, fields, audio.stem, audio)


def _pair(source: Source, path: Path) -> Record | BadLine:
    name = clean_id(path.stem)
    try:
        inside = source.inside(path.relative_to(source.root))
        if inside.stat().st_size > MAX_LINE:
            raise ValueError(f"more than {MAX_LINE} bytes")
        fields = parse_object(inside.read_bytes())
        audio = source.find_audio(path.relative_to(source.root).with_suffix("").as_posix())
    except Refused as e:
        return BadLine(id=name, reason="refused path", detail=str(e))
    except (OSError, ValueError) as e:
        return BadLine(id=name, reason="bad line", detail=f"{path.name}: {e}"[:200])
    return _record(source, fields, name, audio)
