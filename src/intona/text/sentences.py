"""Long text to sentences that a voice can read in one breath.

Where a sentence of a paragraph ends depends on the language: Russian boundaries are those of razdel
(https://github.com/natasha/razdel) with a few corrections; others follow the rules of English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from intona.text import languages

MAX_CHARS = 240
_WRAPPED = 50  # a line this long continues in the next one: text wrapped by hand
_LIST_ITEM = re.compile(r"(?:[-–—−*•*·▪◦‣]|\d{1,3}[.)]|[^\W\d_]\))\s")
_SOFT = re.compile(r"[,;:—–)](?=\s)|\s[-—–](?=\s)")
_WIDE_STOP = re.compile(r"(?<=[。！？])(?![。！？])")


def split_sentences(text: str, language: str, *, max_chars: int = MAX_CHARS) -> list[str]:
    """Sentences of a text in a language ("ru", "en-us", ...), in order; only white space is lost.

    A blank line, a list item and a short line end a sentence. A full stop does not after an abbreviation or
    an initial, or before a small letter. Sentences longer than `max_chars` are cut at punctuation, then at
    spaces, then anywhere. Pieces without a letter or digit are joined to the piece before. Linear in the
    length.
    """
    rules = languages.get(language)
    out: list[str] = []
    for block in _blocks(text):
        parts = [part for part in _WIDE_STOP.split(block) if part.strip()]
        for sentence in (s for part in parts for s in rules.sentences(part)):
            for part in _capped(sentence, max_chars):
                if out and not any(c.isalnum() for c in part) and len(out[-1]) + len(part) < max_chars:
                    out[-1] += " " + part
                else:
                    out.append(part)
    return out


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs: lines, with those of wrapped text joined by spaces."""
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if lines and not (line and _goes_on(lines[-1], line)):
            yield " ".join(lines)
            lines = []
        if line:
            lines.append(line)
    if lines:
        yield " ".join(lines)


def _goes_on(line: str, following: str) -> bool:
    if _LIST_ITEM.match(following):
        return False
    return following[0].islower() or line[-1] in ",;—–-" or len(line) >= _WRAPPED


def _capped(piece: str, cap: int) -> list[str]:
    out: list[str] = []
    at = 0
    while len(piece) - at > cap:
        window = piece[at : at + cap]
        cuts = [m.end() for m in _SOFT.finditer(window) if m.end() >= cap // 4]
        cut = cuts[-1] if cuts else window.rfind(" ")
        if cut <= 0:
            cut = cap
        out.append(window[:cut].strip())
        at += cut
    out.append(piece[at:].strip())
    return [p for p in out if p]
