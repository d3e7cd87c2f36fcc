"""Sentence boundaries by the rules of English, with its abbreviations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from intona.text.languages.english import abbreviations as en
from intona.text.languages.english.tables import HEADINGS, LETTERED, STARTERS, TIME_WORDS

# A run of signs is tried from its first sign alone: a long one that ends no sentence costs its length once.
_END = re.compile(r"(?<![.!?…。！？])[.!?…。！？]+[\"»”’')\]]*(?=\s|$)|[。！？]")
_TOKEN = re.compile(r"([^\W_](?:[\w.'’-]{0,24}[^\W_])?)$")
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]|Ph\.D")
_SPEECH = re.compile(
    r"\s*[A-Z][\w'’]{0,20}\s(?:said|asked|replied|answered|cried|shouted|whispered|called|exclaimed|added|muttered|"
    r"murmured|yelled|screamed|demanded|continued|thought|wondered|laughed|sighed|wrote)\b"
)
_TIME_FIRST = re.compile(r"\s*(?:At|By|From|Until|Before|After|Around|About|It's|Since)\s[\d:]{1,5}\s?")
_PLACED = frozenset(("st", "dr"))  # "Elm St. He", "Riverside Dr. The": street or drive only after a name


def split(text: str) -> Iterator[str]:
    """Sentences of one paragraph."""
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
