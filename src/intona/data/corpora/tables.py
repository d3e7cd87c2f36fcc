"""Layouts with one transcript file for the whole corpus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from intona.data.corpora.record import (
    AUDIO_SUFFIXES,
    BadLine,
    Record,
    Refused,
    Source,
    clean_id,
    first_existing,
    lines,
)
from intona.errors import UserError

Rows = Iterator[Record | BadLine]
_FESTVOX = re.compile(r'^\(\s*(\S+)\s+"((?:[^"\\]|\\.)*)"\s*\)\s*$')


def _bad(path: Path, number: int, line: str, why: str = "") -> BadLine:
    shown = line if len(line) <= 80 else line[:77] + "..."
    return BadLine(id=f"{path.name}:{number}", reason="bad line", detail=f"{why}: {shown}" if why else shown)


def ljspeech(source: Source) -> Rows:
    """`metadata.csv` with `id|text|normalized text`, `wavs/ID.wav`; one English speaker."""
    yield from _piped(source, first_existing(source.root, "metadata.csv"), ("wavs",), "LJ", "en")


def ruslan(source: Source) -> Rows:
    """`metadata_RUSLAN_*.csv` with `id|text`, `RUSLAN/ID.wav`; one Russian speaker."""
    table = first_existing(source.root, "metadata_RUSLAN_*.csv", "metadata*.csv")
    yield from _piped(source, table, ("RUSLAN", "wavs", ""), "RUSLAN", "ru")


def _piped(source: Source, table: Path, folders: tuple[str, ...], speaker: str, language: str) -> Rows:
    for number, line in lines(table):
        fields = line.split("|")
        if len(fields) < 2 or not fields[0].strip():
            yield _bad(table, number, line, "needs id|text")
            continue
        name, text = fields[0].strip(), next((f for f in reversed(fields[1:3]) if f.strip()), "")
        try:
            audio = source.find_audio(name.removesuffix(".wav"), *folders)
        except Refused as e:
            yield BadLine(id=name, reason="refused path", detail=str(e))
            continue
        name = clean_id(audio.stem)
        yield Record(
            id=name,
            audio=audio,
            text=text,
            speaker=speaker,
            language=language,
            labels=source.labels_for(name, speaker),
        )


def commonvoice(source: Source) -> Rows:
    """`validated.tsv` (or `train.tsv`) with `client_id path sentence … locale`, `clips/PATH`."""
    table = source.transcript or first_existing(source.root, "validated.tsv", "train.tsv")
    header: list[str] | None = None
    for number, line in lines(table):
        fields = line.split("\t")
        if header is None:
            header = [f.strip() for f in fields]
            if missing := {"client_id", "path", "sentence"} - set(header):
                raise UserError(f"its first line lacks the columns {sorted(missing)}", where=table)
            continue
        if len(fields) != len(header):
            yield _bad(table, number, line, f"{len(fields)} columns of {len(header)}")
            continue
        row = dict(zip(header, fields, strict=True))
        name = row["path"] if Path(row["path"]).suffix else row["path"] + ".mp3"
        try:
            source.inside(row["path"])
            audio = source.inside(f"clips/{name}")
        except Refused as e:
            yield BadLine(id=row["path"], reason="refused path", detail=str(e))
            continue
        stem = clean_id(audio.stem)
        yield Record(
            id=stem,
            audio=audio,
            text=row["sentence"],
            speaker=row["client_id"] or "unknown",
            language=row.get("locale") or None,
            labels=source.labels_for(stem, row["client_id"]),
        )


def festvox(source: Source) -> Rows:
    """`etc/txt.done.data` with `( ID "text" )`, `wav/ID.wav`, `lab/ID.lab`: Festvox voices, CMU ARCTIC."""
    table = first_existing(source.root, "etc/txt.done.data", "txt.done.data")
    speaker = clean_id(source.root.resolve().name)
    for number, line in lines(table):
        match = _FESTVOX.match(line.strip())
        if not match:
            yield _bad(table, number, line, 'needs ( ID "text" )')
            continue
        name, text = match[1], re.sub(r"\\(.)", r"\1", match[2])
        try:
            audio = source.find_audio(name, "wav")
            own = source.inside(f"lab/{name}.lab")
        except Refused as e:
            yield BadLine(id=name, reason="refused path", detail=str(e))
            continue
        labels = source.labels_for(name) or (own if own.is_file() else None)
        yield Record(id=name, audio=audio, text=text, speaker=speaker, labels=labels)


def asterisk(source: Source) -> Rows:
    """A folder of prompts (`.g722`, `.wav`, `.gsm`) and `core-sounds-XX.txt(.gz)` with `name: text`.

    Lines in square or angle brackets describe noises and are listed as rejected.
    """
    table = source.transcript or first_existing(source.root, "core-sounds-*.txt", "core-sounds-*.txt.gz")
    language = re.match(r"core-sounds-([a-z]{2})", table.name)
    speaker = clean_id(source.root.resolve().name)
    for number, line in lines(table):
        if line.lstrip().startswith(";"):
            continue
        name, colon, text = line.partition(":")
        name, text = name.strip(), text.strip()
        if not colon or not name:
            yield _bad(table, number, line, "needs name: text")
            continue
        if text[:1] in ("[", "<", "("):
            yield BadLine(id=name, reason="no text", detail=f"a description, not words: {text[:60]}")
            continue
        try:
            audio = source.find_audio(name)
        except Refused as e:
            yield BadLine(id=name, reason="refused path", detail=str(e))
            continue
        yield Record(
            id=name,
            audio=audio,
            text=text,
            speaker=speaker,
            language=language[1] if language else None,
            labels=source.labels_for(audio.stem),
        )


def csv(source: Source) -> Rows:
    """`metadata.csv` with `id|text|speaker` (the speaker may be left out), any audio type.

    A first line that names its columns (`id`, `text`, `speaker`, `audio`, `language`) sets their order.
    The id is a path with or without suffix, looked for beside the table and in `wavs/ wav/ audio/ clips/`.
    """
    root = source.root if source.root.is_dir() else source.root.parent
    table = source.transcript or (
        first_existing(root, "metadata.csv", "*.csv") if source.root.is_dir() else source.root
    )
    source = Source(root=root, labels=source.labels, allow_outside=source.allow_outside)
    header = ["id", "text", "speaker"]
    default_speaker = clean_id(root.resolve().name)
    known = {"id", "text", "speaker", "audio", "language"}
    for index, (number, line) in enumerate(lines(table)):
        fields = line.split("|")
        if index == 0 and {"id", "text"} <= {f.strip().lower() for f in fields}:
            header = [f.strip().lower() for f in fields]
            if extra := [f for f in header if f not in known]:
                raise UserError(f"unknown columns {extra}", where=table, mend=f"known: {sorted(known)}")
            continue
        if not 2 <= len(fields) <= len(header) or not fields[0].strip():
            yield _bad(table, number, line, "needs " + "|".join(header))
            continue
        row = dict(zip(header, (f.strip() for f in fields), strict=False))
        name = row.get("id", "")
        try:
            audio = _csv_audio(source, row.get("audio") or name)
        except Refused as e:
            yield BadLine(id=name, reason="refused path", detail=str(e))
            continue
        speaker = row.get("speaker") or default_speaker
        if Path(name).suffix.lower() in AUDIO_SUFFIXES:
            name = str(Path(name).with_suffix(""))
        yield Record(
            id=name,
            audio=audio,
            text=row.get("text", ""),
            speaker=speaker,
            language=row.get("language") or None,
            labels=source.labels_for(Path(name).name, speaker),
        )


def _csv_audio(source: Source, name: str) -> Path:
    source.inside(name)
    folders = ("", "wavs", "wav", "audio", "clips")
    if Path(name).suffix.lower() in AUDIO_SUFFIXES:
        paths = [source.inside(f"{folder}/{name}" if folder else name) for folder in folders]
        return next((p for p in paths if p.exists()), paths[0])
    return source.find_audio(name, *folders)
