"""Utterances described by JSON objects or table rows: which field is the text, the speaker and so on."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from intona.data.corpora.record import BadLine, Record, Source, clean_id
from intona.data.excerpt import Excerpt
from intona.errors import UserError

MAX_LINE = 4 << 20  # bytes of one object
TEXT = (
    *("text_normalized", "normalized_text", "text", "sentence", "transcript", "transcription"),
    *("text_original", "original_text", "txt"),
)
SPEAKER = ("speaker", "speaker_id", "speaker_name", "client_id")
LANGUAGE = ("language", "lang", "locale")
ID = ("id", "utt_id", "utterance_id", "segment_id", "key")
# Manifests name languages in words as well.
_NAMES = {
    "arabic": "ar", "chinese": "zh", "czech": "cs", "dutch": "nl", "english": "en", "finnish": "fi",
    "french": "fr", "german": "de", "greek": "el", "hindi": "hi", "hungarian": "hu", "italian": "it",
    "japanese": "ja", "korean": "ko", "mandarin": "zh", "polish": "pl", "portuguese": "pt", "romanian": "ro",
    "russian": "ru", "spanish": "es", "swedish": "sv", "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi",
}  # fmt: skip


def text_in(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of the named fields that holds a text or a number, or ""."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
    return ""


def language_code(name: object) -> str | None:
    """ "en" of "en", "EN", "en-US" or "English"; None for anything else."""
    if not isinstance(name, str):
        return None
    code = name.strip().lower().replace("_", "-")
    first = code.partition("-")[0]
    return _NAMES.get(code) or (
        first if 2 <= len(first) <= 3 and first.isascii() and first.isalpha() else None
    )


def described(
    source: Source, fields: Mapping[str, Any], id: str, audio: Path, excerpt: Excerpt | None = None
) -> Record:
    """The record of an utterance with these fields. Without a speaker among them it is that of the folder."""
    speaker = text_in(fields, SPEAKER) or clean_id(source.root.resolve().name)
    return Record(
        id=id,
        audio=audio,
        text=text_in(fields, TEXT),
        speaker=speaker,
        language=language_code(text_in(fields, LANGUAGE)),
        labels=source.labels_for(id.rpartition("/")[2], speaker),
        excerpt=excerpt,
    )


def parse_object(raw: bytes) -> dict[str, Any]:
    """One JSON object.

    Raises:
        ValueError: not UTF-8, not JSON, or not an object.
    """
    try:
        value = json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | BadLine]]:
    """Numbered objects of a (gzipped) file of JSON lines, one line in memory at a time.

    Raises:
        UserError: the file cannot be read.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as f:
            while line := f.readline(MAX_LINE + 1):
                number += 1
                if not line.strip():
                    continue
                try:
                    if len(line) > MAX_LINE:
                        while not line.endswith(b"\n") and (line := f.readline(MAX_LINE)):
                            pass
                        raise ValueError(f"more than {MAX_LINE} bytes")
                    yield number, parse_object(line)
                except ValueError as e:
                    yield number, line_fault(path, number, f"not a JSON object ({e})")
    except (OSError, EOFError, zlib.error) as e:
        raise UserError(f"cannot be read after line {number} ({e})", where=path) from None


def line_fault(path: Path, number: int, why: str) -> BadLine:
    return BadLine(id=f"{path.name}:{number}", reason="bad line", detail=why[:200])


def plain_id(name: str) -> str:
    return clean_id(name.replace("\\", "/").removeprefix("./"))


def is_safe_name(name: str) -> bool:
    """Whether the name of a member of an archive stays inside it."""
    parts = name.replace("\\", "/").split("/")
    return not name.startswith(("/", "\\")) and ".." not in parts and "\0" not in name
