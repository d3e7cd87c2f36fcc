"""SSML's `<say-as>`: a text read in the way that is named, in place of the way it looks."""

from __future__ import annotations

import re

from intona.text import languages
from intona.text.numerals import ascii_digits, cardinal, ordinal

KINDS = ("characters", "spell-out", "digits", "cardinal", "number", "ordinal", "date", "telephone")
_NUMBER = re.compile(r"[-−]?\d[\d\s,.']*")
_PLUS = {"ru": "плюс", "en": "plus"}


def interpret(text: str, kind: str, language: str, *, format: str = "") -> str | None:
    """A text that is read as `kind` says.

    Args:
        kind: one of KINDS. format: of a date, such as "dmy".

    Returns:
        None if the text is nothing of this kind.
    """
    text = " ".join(ascii_digits(text).split())
    base = language.split("-")[0]
    if kind in ("characters", "spell-out"):
        rules = languages.get(language)
        return " ".join(_digit(c, base) if c.isdigit() else rules.letter(c) for c in text if not c.isspace())
    if kind == "digits":
        return " ".join(_digit(c, base) if c.isdigit() else c for c in text)
    if kind == "telephone":
        groups = ["".join(c for c in group if c.isdigit()) for group in re.split(r"[^\d+]+|(?=\+)", text)]
        spoken = ", ".join(" ".join(_digit(c, base) for c in group) for group in groups if group)
        return spoken and (_PLUS.get(base, "+") + " ") * text.startswith("+") + spoken
    if kind == "date":
        return _date(text, format)
    if base not in ("ru", "en") or not _NUMBER.fullmatch(text):
        return text if _NUMBER.fullmatch(text) else None
    digits = re.sub(r"\D", "", text)
    if kind == "ordinal":
        return ordinal(digits, base)
    return text if re.search(r"[.,]", text) else ("-" if text[0] in "-−" else "") + digits


def _digit(c: str, base: str) -> str:
    return cardinal(c, base) if base in ("ru", "en") else c


def _date(text: str, format: str) -> str | None:
    """A date as ISO 8601 writes it, which the rules of all languages read; without a format as it is."""
    order = format.lower()
    if not order:
        return text
    numbers = re.findall(r"\d+", text)
    if sorted(order) != sorted("dmy") or len(numbers) != 3:
        return None
    parts = dict(zip(order, map(int, numbers), strict=True))
    if not (1 <= parts["m"] <= 12 and 1 <= parts["d"] <= 31 and 1000 <= parts["y"] <= 9999):
        return None
    return f"{parts['y']:04d}-{parts['m']:02d}-{parts['d']:02d}"
