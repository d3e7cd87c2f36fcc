"""Layouts with one transcript file for the whole corpus."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from intona.data.corpora.columns import (
    check_normalized,
    check_speakers,
    known_speakers,
    normalized_fault,
    text_fault,
)
from intona.data.corpora.record import (
    BadLine,
    Record,
    Refused,
    Source,
    audio_stem,
    clean_id,
    first_existing,
    lines,
)
from intona.data.corpora.separated import Table, TableRow, bad_line, read_piped, read_table
from intona.errors import UserError

Rows = Iterator[Record | BadLine]
_FESTVOX = re.compile(r'^\(\s*(\S+)\s+"((?:[^"\\]|\\.)*)"\s*\)\s*$')
_FOLDERS = ("", "wavs", "wav", "audio", "clips")


def ljspeech(source: Source) -> Rows:
    """`metadata.csv` with `id|text|normalized text`, `wavs/ID.wav`; one English speaker."""
    table = read_piped(first_existing(source.root, "metadata.csv"), ("id", "text", "normalized"), optional=1)
    check_normalized(table)
    yield from _single_speaker(source, table, ("wavs", ""), "LJ", "en")


def ruslan(source: Source) -> Rows:
    """`metadata_RUSLAN_*.csv` with `id|text`, `RUSLAN/ID.wav`; one Russian speaker."""
    path = first_existing(source.root, "metadata_RUSLAN_*.csv", "metadata*.csv")
    yield from _single_speaker(
        source, read_piped(path, ("id", "text")), ("RUSLAN", "wavs", ""), "RUSLAN", "ru"
    )


def _single_speaker(
    source: Source, table: Table, folders: tuple[str, ...], speaker: str, language: str
) -> Rows:
    for row in table.rows:
        if isinstance(row, BadLine):
            yield row
            continue
        name, raw, normalized = row.cells["id"], row.cells["text"], row.cells.get("normalized", "")
        if row.number == 1 and (name.lower(), raw.lower()) == ("id", "text"):
            continue
        try:
            audio = source.find_audio(name, *folders)
        except Refused as e:
            yield _refused(row.number, name, e)
            continue
        fault = _text_fault(source, row, audio, folders) or normalized_fault(raw, normalized)
        if fault:
            yield bad_line(table.path, row.number, f"{fault}, expected {table.columns}")
            continue
        name = clean_id(audio_stem(audio.name))
        yield Record(
            id=name,
            audio=audio,
            text=normalized or raw,
            speaker=speaker,
            language=language,
            labels=source.labels_for(name, speaker),
        )


def _id(name: str) -> str:
    return clean_id(name.replace("\\", "/"))


def _refused(number: int, name: str, reason: Refused) -> BadLine:
    return BadLine(id=name, reason="refused path", detail=f"line {number}: {reason}")


def _text_fault(
    source: Source,
    row: TableRow,
    audio: Path,
    folders: tuple[str, ...],
    speakers: Counter[str] | None = None,
) -> str | None:
    """Why the text of a line cannot be its text, or None."""
    text = row.cells.get("text", "")
    speaker, speakers = row.cells.get("speaker", ""), speakers or Counter()
    fault = text_fault(text, speaker, speakers)
    if not fault and row.uneven and speakers[speaker] == 1:
        fault = f'a blank before "{speaker[:40]}", the speaker: is it part of the text?'
    if fault or audio.exists() or not text or len(text) > 200:
        return fault
    try:
        swapped = source.find_audio(text, *folders).is_file()
    except (Refused, OSError, ValueError):
        return None
    return f'the text "{text[:60]}" is the name of a file and the id is not' if swapped else None


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
            yield bad_line(table, number, f"{len(fields)} columns of {len(header)}", line)
            continue
        cells = dict(zip(header, fields, strict=True))
        name = cells["path"].strip()
        try:
            source.inside(name)
            audio = source.find_audio(name if audio_stem(name) != name else f"{name}.mp3", "clips", "")
        except Refused as e:
            yield _refused(number, name, e)
            continue
        row = TableRow(number=number, cells={"text": cells["sentence"].strip()})
        if fault := _text_fault(source, row, audio, ("clips",)):
            yield bad_line(table, number, f"{fault}, expected {' '.join(header)}", line)
            continue
        stem = clean_id(audio_stem(audio.name))
        yield Record(
            id=stem,
            audio=audio,
            text=cells["sentence"],
            speaker=cells["client_id"] or "unknown",
            language=cells.get("locale") or None,
            labels=source.labels_for(stem, cells["client_id"]),
        )


def festvox(source: Source) -> Rows:
    """`etc/txt.done.data` with `( ID "text" )`, `wav/ID.wav`, `lab/ID.lab`: Festvox voices, CMU ARCTIC."""
    table = first_existing(source.root, "etc/txt.done.data", "txt.done.data")
    speaker = clean_id(source.root.resolve().name)
    for number, line in lines(table):
        match = _FESTVOX.match(line.strip())
        if not match:
            yield bad_line(table, number, 'needs ( ID "text" )', line)
            continue
        name, text = match[1], re.sub(r"\\(.)", r"\1", match[2])
        try:
            audio = source.find_audio(name, "wav")
            default = source.inside(f"lab/{name}.lab")
        except Refused as e:
            yield _refused(number, name, e)
            continue
        if fault := text_fault(text, "", Counter()):
            yield bad_line(table, number, f'{fault}, expected ( ID "text" )', line)
            continue
        labels = source.labels_for(name) or (default if default.is_file() else None)
        yield Record(id=_id(name), audio=audio, text=text, speaker=speaker, labels=labels)


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
            yield bad_line(table, number, "needs name: text", line)
            continue
        if text[:1] in ("[", "<", "("):
            yield BadLine(id=name, reason="no text", detail=f"a description, not words: {text[:60]}")
            continue
        if fault := text_fault(text, "", Counter()):
            yield bad_line(table, number, f"{fault}, expected name: text", line)
            continue
        try:
            audio = source.find_audio(name)
        except Refused as e:
            yield _refused(number, name, e)
            continue
        yield Record(
            id=_id(name),
            audio=audio,
            text=text,
            speaker=speaker,
            language=language[1] if language else None,
            labels=source.labels_for(audio.stem),
        )


def csv(source: Source) -> Rows:
    """`metadata.csv` with `id|text|speaker` (the speaker may be left out), with any type of audio.

    A first line that names the columns (`separated.COLUMNS`) sets their order; such a table may also use
    commas, tabs or semicolons. The id is a path with or without suffix, searched beside the table and in
    `wavs/ wav/ audio/ clips/`.
    """
    root = source.root if source.root.is_dir() else source.root.parent
    path = source.transcript or (
        first_existing(root, "metadata.csv", "metadata.tsv", "*.csv", "*.tsv")
        if source.root.is_dir()
        else source.root
    )
    source = Source(root=root, labels=source.labels, allow_outside=source.allow_outside)
    table = read_table(path, ("id", "text", "speaker"), optional=1)
    check_speakers(table)
    default_speaker, speakers = clean_id(root.resolve().name), known_speakers(table)
    for row in table.rows:
        if isinstance(row, BadLine):
            yield row
            continue
        name = row.cells.get("id") or row.cells["audio"]
        try:
            audio = source.find_audio(row.cells.get("audio") or name, *_FOLDERS)
        except Refused as e:
            yield _refused(row.number, name, e)
            continue
        if fault := _text_fault(source, row, audio, _FOLDERS, speakers):
            yield bad_line(path, row.number, f"{fault}, expected {table.columns}")
            continue
        name = _id(audio_stem(name))
        speaker = row.cells.get("speaker") or default_speaker
        yield Record(
            id=name,
            audio=audio,
            text=row.cells.get("text", ""),
            speaker=speaker,
            language=row.cells.get("language") or None,
            labels=source.labels_for(Path(name).name, speaker),
        )
