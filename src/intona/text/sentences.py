"""Long text to sentences that a voice can read in one breath."""

from __future__ import annotations

import re

MAX_CHARS = 240
# A run of signs is tried from its first sign alone: a long one that ends no sentence costs its length once.
_END = re.compile(r"(?<![.!?…。！？])[.!?…。！？]+[\"»”’')\]]*(?=\s|$)|\n\s*\n|[。！？]")
_NO_END = frozenset(
    [
        "г",
        "гг",
        "ул",
        "им",
        "др",
        "пр",
        "см",
        "т",
        "е",
        "к",
        "д",
        "п",
        "н",
        "стр",
        "рис",
        "гл",
        "проф",
        "акад",
        "тел",
        "руб",
        "коп",
        "тыс",
        "напр",
        "св",
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "vs",
        "etc",
        "no",
        "co",
        "gen",
        "col",
        "capt",
        "mt",
        "fig",
        "vol",
    ]
)
_SOFT = re.compile(r"[,;:—–)](?=\s)|\s[-—–](?=\s)")


def split_sentences(text: str, language: str, *, max_chars: int = MAX_CHARS) -> list[str]:
    """Sentences of a text in a language ("ru", "en-us", ...), in order; nothing but white space is lost.

    A full stop ends no sentence after an abbreviation, an initial, or before a small letter. Sentences
    longer than `max_chars` are cut at punctuation, then at spaces, then anywhere. Pieces without a letter
    or digit are joined to the piece before. Linear in the length.
    """
    pieces: list[str] = []
    start = 0
    for m in _END.finditer(text):
        if not _ends(text, m):
            continue
        pieces.append(text[start : m.end()].strip())
        start = m.end()
    pieces.append(text[start:].strip())
    out: list[str] = []
    for piece in pieces:
        if not piece:
            continue
        for part in _capped(piece, max_chars):
            if out and not any(c.isalnum() for c in part) and len(out[-1]) + len(part) < max_chars:
                out[-1] += " " + part
            else:
                out.append(part)
    return out


def _ends(text: str, m: re.Match[str]) -> bool:
    sign = m[0]
    after = text[m.end() : m.end() + 4].lstrip()
    if sign[0] in "。！？\n" or not after:
        return True
    if sign == ".":
        before = re.search(r"([^\W_]+)$", text[max(m.start() - 12, 0) : m.start()])
        if before and (before[1].lower() in _NO_END or (len(before[1]) == 1 and before[1].isupper())):
            # "в 1941 г. Он": an abbreviation may still end a sentence; years do it most.
            return before[1].lower() in ("г", "гг", "руб", "коп") and after[:1].isupper()
    return not after[:1].islower()


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
