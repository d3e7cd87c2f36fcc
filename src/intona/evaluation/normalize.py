"""One text normalizer for both sides of a WER, with a name and version in every report.

English: OpenAI's `EnglishTextNormalizer` as published, so that figures of texts without digits can be
compared with the literature.
Other languages: OpenAI's `BasicTextNormalizer` *without* removing diacritics (that would turn Russian
"й" into "и"), after three steps that the published one lacks:

- stress marks are removed: "+" directly before a letter and U+0301 / U+0300 after one ("д+ома", "до́ма");
- round and square brackets become blanks, so that words in brackets, which are spoken, remain;
- Russian only: "ё" becomes "е", because texts and recognizers write them interchangeably.

If the language has a front end (`FRONT_ENDS`), words with a digit are first expanded as the front end reads
them: "с 25 км" is compared as "с двадцати пяти километров". The rest of the text remains as written. In any
other language "25" counts as an error: write such texts in words. The recognizer (`judges/recognizer.py`)
cannot output digits. `digit_warning` names the texts that contain some, because the speaker may have read
them differently.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from intona.errors import UserError
from intona.evaluation.manifest import Row

VERSION = "2"  # 1: numbers were not expanded
FRONT_ENDS = ("en", "ru")


@dataclass(frozen=True)
class Normalizer:
    """Callable text -> normalized text."""

    language: str
    _published: Any = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # The published classes hold lambdas, which cannot be pickled: a worker process builds them again.
        return normalizer, (self.language,)

    @property
    def id(self) -> str:
        kind = "english" if self.language == "en" else "basic"
        parts = [f"whisper-normalizer {importlib.metadata.version('whisper-normalizer')}"]
        if has_front_end(self.language):
            from intona.text import normalize

            parts.append(f"numbers by intona.text {normalize.VERSION}")
        return f"intona-{kind}-{VERSION}/{self.language} ({', '.join(parts)})"

    def in_words(self, text: str) -> str:
        """The text with its numbers in words, if the language has a front end."""
        readable = has_front_end(self.language) and has_digits(text)
        return spoken_numbers(text, self.language) if readable else text

    def __call__(self, text: str) -> str:
        text = strip_stress(self.in_words(text))
        if self.language != "en":
            text = re.sub(r"[()\[\]<>{}]", " ", text)
        if self.language == "ru":
            text = text.replace("ё", "е").replace("Ё", "Е")
        return " ".join(self._published(text).split())


def has_front_end(language: str) -> bool:
    return language.split("-")[0] in FRONT_ENDS


def has_digits(text: str) -> bool:
    """Digits of any script, superscripts and vulgar fractions."""
    return any(unicodedata.category(c) in ("Nd", "No") for c in text)


@lru_cache(maxsize=4096)
def spoken_numbers(text: str, language: str) -> str:
    """The text with the words around each digit as the front end reads them; unchanged if it cannot.

    What the front end does to words without a digit (names in Latin letters, say) is left out, so that texts
    with and without a number are treated alike.
    """
    from intona.text import normalize

    try:
        read = [
            t
            for t in normalize.normalize(text, language.split("-")[0]).tokens
            if t[0].isalnum() or t[0] == "+"
        ]
    except UserError:
        return text
    written = text.split()
    plain = difflib.SequenceMatcher(
        None, [_bare(w) for w in written], [_bare(w) for w in read], autojunk=False
    )
    out: list[str] = []
    for _, a, b, c, d in plain.get_opcodes():
        out += read[c:d] if has_digits("".join(written[a:b])) else written[a:b]
    return " ".join(out)


def _bare(word: str) -> str:
    return "".join(c for c in strip_stress(word).lower() if c.isalnum())


def digit_warning(rows: Sequence[Row], language: str) -> str | None:
    """A warning about texts that contain digits; None if there are none."""
    with_digits = [row for row in rows if has_digits(row.text)]
    if not with_digits:
        return None
    shown = ", ".join(row.id for row in with_digits[:3]) + (", …" if len(with_digits) > 3 else "")
    what = f"{len(with_digits)} of {len(rows)} texts contain digits ({shown})"
    if not has_front_end(language):
        return (
            f'{what}: "{language}" has no front end to expand them, so each is an error; write them in words'
        )
    unread = sum(has_digits(spoken_numbers(row.text, language)) for row in with_digits)
    rest = f", {unread} of them cannot be expanded" if unread else ""
    return f"{what}: compared as the front end reads them{rest}; texts in words are safer"


def strip_stress(text: str) -> str:
    """Remove "+" before a letter, and acute or grave accents on a Cyrillic letter; "й" and "ё" are kept.

    Works on the decomposed text, so that letters written as one code point lose their accent too. This is
    right for Russian stress and would be wrong for Spanish, hence only on Cyrillic letters.
    """
    out: list[str] = []
    base = ""
    for c in unicodedata.normalize("NFD", text):
        if c in "\u0300\u0301" and "\u0400" <= base <= "\u04ff":
            continue
        if not unicodedata.combining(c):
            base = c
        out.append(c)
    return re.sub(r"\+(?=[^\W\d_])", "", unicodedata.normalize("NFC", "".join(out)))


def normalizer(language: str) -> Normalizer:
    """The normalizer of a language code.

    Raises:
        UserError: whisper-normalizer is not installed.
    """
    try:
        if language == "en":
            from whisper_normalizer.english import EnglishTextNormalizer as Published
        else:
            from whisper_normalizer.basic import BasicTextNormalizer as Published
    except ImportError:
        raise UserError("whisper-normalizer is not installed", hint='pip install "intona[eval]"') from None
    return Normalizer(language, Published())
