"""Long text to sentences that a voice can read in one breath.

Russian boundaries are those of razdel (https://github.com/natasha/razdel) with a few corrections; other
languages follow rules of our own, with English abbreviations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from intona.text import sentences_ru
from intona.text.verbalize_en import abbreviations as en
from intona.text.verbalize_en.tables import HEADINGS, LETTERED, STARTERS, TIME_WORDS

MAX_CHARS = 240
_WRAPPED = 50  # a line this long goes on in the next one: text wrapped by hand
_LIST_ITEM = re.compile(r"(?:[-–—−•*·▪◦‣]|\d{1,3}[.)]|[^\W\d_]\))\s")
_SOFT = re.compile(r"[,;:—–)](?=\s)|\s[-—–](?=\s)")
# A run of signs is tried from its first sign alone: a long one that ends no sentence costs its length once.
_END = re.compile(r"(?<![.!?…。！？])[.!?…。！？]+[\"»”’')\]]*(?=\s|$)|[。！？]")
_WIDE_STOP = re.compile(r"(?<=[。！？])(?![。！？])")
_TOKEN = re.compile(r"([^\W_](?:[\w.'’-]{0,24}[^\W_])?)$")
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]|Ph\.D")
_SPEECH = re.compile(
    r"\s*[A-Z][\w'’]{0,20}\s(?:said|asked|replied|answered|cried|shouted|whispered|called|exclaimed|added|muttered|"
    r"murmured|yelled|screamed|demanded|continued|thought|wondered|laughed|sighed|wrote)\b"
)
_TIME_FIRST = re.compile(r"\s*(?:At|By|From|Until|Before|After|Around|About|It's|Since)\s[\d:]{1,5}\s?")
_PLACED = frozenset(("st", "dr"))  # "Elm St. He", "Riverside Dr. The": street or drive only after a name


def split_sentences(text: str, language: str, *, max_chars: int = MAX_CHARS) -> list[str]:
    """Sentences of a text in a language ("ru", "en-us", ...), in order; nothing but white space is lost.

    A blank line, a list item and a short line end a sentence; a full stop ends none after an abbreviation, an
    initial, or before a small letter. Sentences longer than `max_chars` are cut at punctuation, then at
    spaces, then anywhere. Pieces without a letter or digit are joined to the piece before. Linear in the
    length.
    """
    rules = sentences_ru.split if language.split("-")[0] == "ru" else _general
    out: list[str] = []
    for block in _blocks(text):
        for sentence in (s for part in _WIDE_STOP.split(block) if part.strip() for s in rules(part)):
            for part in _capped(sentence, max_chars):
                if out and not any(c.isalnum() for c in part) and len(out[-1]) + len(part) < max_chars:
                    out[-1] += " " + part
                else:
                    out.append(part)
    return out


def _blocks(text: str) -> Iterator[str]:
    """Lines, those of a wrapped paragraph joined by spaces."""
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


def _general(text: str) -> Iterator[str]:
    start = 0
    for m in _END.finditer(text):
        if _ends(text, m, start):
            yield text[start : m.end()].strip()
            start = m.end()
    if text[start:].strip():
        yield text[start:].strip()


def _ends(text: str, m: re.Match[str], start: int) -> bool:
    sign = m[0]
    after = text[m.end() : m.end() + 40].lstrip()
    if sign[0] in "。！？" or not after:
        return True
    if after.lstrip("\"'“‘«([")[:1].islower():
        return False
    if sign[-1] in "\"»”’'" and _SPEECH.match(text, m.end(), m.end() + 60):
        return False
    if sign[0] != "." or len(sign.rstrip("\"»”’')]")) > 1:
        return True
    before = _TOKEN.search(text, max(m.start() - 27, start), m.start())
    return before is None or _stop_ends(text, before[1], before.start(), m.end(), start)


def _stop_ends(text: str, token: str, at: int, end: int, start: int) -> bool:
    """Whether a full stop after `token` (at `at`) ends a sentence that began at `start`."""
    word, lower = en.next_word(text, end), token.lower()
    starts = word in STARTERS
    numbered = word[:1].isdigit() or text[end : end + 3].lstrip()[:1] == "#"
    if token.isdigit():
        return at - start > 5 or bool(text[start:at].strip())  # "1. First": the number of a list item
    if lower in en.COUNTED and numbered:
        return False
    if lower in en.INNER or token in en.TITLES:
        return False
    before = text[max(at - 30, start) : at].split()[-1:]
    last = before[0] if before else ""
    if lower in _PLACED:
        return starts and word != "Who" and last[:1].isalnum() and not last[:1].islower()
    if token in en.LOOSE:
        if not starts and _TIME_FIRST.fullmatch(text, start, at):
            return False
        return word not in TIME_WORDS and not numbered
    if token in en.FINAL or _ACRONYM.fullmatch(token):
        return starts
    if token in en.MONTHS:
        return not numbered and starts
    if len(token) == 1 and token.isupper():
        if re.match(r"\s?[A-Z]\.", text[end : end + 3]):
            return False  # another initial follows
        lettered = last.lower() in LETTERED or last.lower() in HEADINGS
        return starts or lettered or (token == "I" and last.islower())
    return True


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
