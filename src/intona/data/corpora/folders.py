"""Layouts with one transcript per folder or per recording: LibriTTS, VCTK, ESD."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from intona.data.corpora.columns import text_fault
from intona.data.corpora.record import BadLine, Record, Refused, Source, clean_id, first_existing, lines
from intona.data.corpora.separated import bad_line
from intona.errors import UserError

Rows = Iterator[Record | BadLine]
_ESD = "id, text and emotion between tabs"


def _text_of(path: Path) -> str:
    return " ".join(line.strip() for _, line in lines(path))


def _one(
    source: Source, audio: Path, text: Path, speaker: str, language: str, *, name: str = ""
) -> Record | BadLine:
    name = name or clean_id(audio.stem)
    try:
        source.inside(audio.relative_to(source.root))
        source.inside(text.relative_to(source.root))
        words = _text_of(text)
    except Refused as e:
        return BadLine(id=name, reason="refused path", detail=str(e))
    except UserError as e:
        return BadLine(id=name, reason="no text", detail=e.what)
    labels = source.labels_for(name, speaker)
    return Record(id=name, audio=audio, text=words, speaker=speaker, language=language, labels=labels)


def libritts(source: Source) -> Rows:
    """`[SUBSET/]SPEAKER/CHAPTER/SPEAKER_CHAPTER_*.wav` beside `.normalized.txt` (or `.original.txt`)."""
    empty = True
    for audio in sorted([*source.root.rglob("*_*_*_*.wav"), *source.root.rglob("*_*_*_*.flac")]):
        empty = False
        texts = [audio.with_name(f"{audio.stem}.{kind}.txt") for kind in ("normalized", "original")]
        text = next((t for t in texts if t.is_file()), texts[0])
        yield _one(source, audio, text, clean_id(audio.parent.parent.name), "en")
    if empty:
        raise UserError(
            "holds no SPEAKER/CHAPTER/*.wav", where=source.root, hint="is this the folder of LibriTTS?"
        )


def vctk(source: Source) -> Rows:
    """`txt/pNNN/pNNN_MMM.txt` and `wav48_silence_trimmed/pNNN/pNNN_MMM_mic1.flac` (0.92) or
    `wav48/pNNN/pNNN_MMM.wav` (0.80). Microphone 1 of the two."""
    texts = sorted((source.root / "txt").glob("*/*.txt"))
    if not texts:
        raise UserError("holds no txt/SPEAKER/*.txt", where=source.root, hint="is this the folder of VCTK?")
    for text in texts:
        speaker, stem = text.parent.name, text.stem
        options = [
            source.root / "wav48_silence_trimmed" / speaker / f"{stem}_mic1.flac",
            source.root / "wav48" / speaker / f"{stem}.wav",
        ]
        audio = next((a for a in options if a.exists()), options[0])
        yield _one(source, audio, text, clean_id(speaker), "en", name=clean_id(stem))


def esd(source: Source) -> Rows:
    """`SPEAKER/SPEAKER.txt` with `id<TAB>text<TAB>emotion`, `SPEAKER/EMOTION/[SET/]ID.wav`.

    Speakers 0001–0010 speak Mandarin, 0011–0020 English; some transcripts are UTF-16 or GBK.
    """
    first_existing(source.root, "[0-9]*/[0-9]*.txt")
    for table in sorted(source.root.glob("[0-9]*/[0-9]*.txt")):
        speaker = table.parent.name
        if table.stem != speaker:
            continue
        language = "zh" if speaker <= "0010" else "en"
        files = {clean_id(a.stem): a for a in sorted(table.parent.rglob("*.wav"))}
        emotions = {clean_id(f.name) for f in table.parent.iterdir() if f.is_dir()}
        for number, line in lines(table, encodings=("utf-8-sig", "gb18030", "utf-16")):
            fields = [f.strip() for f in line.rstrip("\t ").split("\t")]
            if not 2 <= len(fields) <= 3 or not fields[0]:
                why = f"{len(fields)} fields, expected {_ESD}"
                yield bad_line(table, number, why, line)
                continue
            name, words = clean_id(fields[0]), fields[1]
            emotion = clean_id(fields[2]) if len(fields) > 2 else ""
            if fault := text_fault(words, "", Counter()):
                yield bad_line(table, number, f"{fault}, expected {_ESD}", line)
                continue
            if clean_id(words) in emotions and emotion not in emotions:
                yield bad_line(table, number, f"the text is an emotion, expected {_ESD}", line)
                continue
            try:
                audio = source.inside(f"{speaker}/{emotion}/{name}.wav") if name not in files else files[name]
                source.inside(audio.relative_to(source.root))
            except (Refused, ValueError) as e:
                yield BadLine(id=name, reason="refused path", detail=str(e))
                continue
            labels = source.labels_for(name, speaker)
            yield Record(id=name, audio=audio, text=words, speaker=speaker, language=language, labels=labels)
