"""One text normalizer for both sides of a WER, with a name and version that every record carries.

English: OpenAI's `EnglishTextNormalizer` as published, so that figures compare with the literature.
Other languages: OpenAI's `BasicTextNormalizer` *without* removing diacritics (that would turn Russian
"й" into "и"), after three steps that the published one lacks:

- stress marks go: "+" right before a letter and U+0301 / U+0300 after one ("д+ома", "до́ма");
- round and square brackets become blanks, so that bracketed words, which are spoken, stay;
- Russian only: "ё" becomes "е", for texts and recognizers write them interchangeably.

Numbers are *not* expanded: "25" against "двадцать пять" counts as an error. Write texts in words; the
recognizer of `asr.py` is kept from writing digits.
"""

from __future__ import annotations

import importlib.metadata
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from intona.errors import UserError

VERSION = "1"


@dataclass(frozen=True)
class Normalizer:
    """Callable text -> normalized text."""

    language: str
    _published: Any = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # The published classes hold lambdas, which do not travel to a worker process: it makes its own.
        return normalizer, (self.language,)

    @property
    def id(self) -> str:
        kind = "english" if self.language == "en" else "basic"
        package = importlib.metadata.version("whisper-normalizer")
        return f"intona-{kind}-{VERSION}/{self.language} (whisper-normalizer {package})"

    def __call__(self, text: str) -> str:
        text = strip_stress(text)
        if self.language != "en":
            text = re.sub(r"[()\[\]<>{}]", " ", text)
        if self.language == "ru":
            text = text.replace("ё", "е").replace("Ё", "Е")
        return " ".join(self._published(text).split())


def strip_stress(text: str) -> str:
    """Remove "+" before a letter and combining acute or grave accents; "й" and "ё" stay whole.

    Accents are looked for in the decomposed text, so "á" written as one code point loses its mark too;
    that is right for Russian stress and would be wrong for Spanish, hence only after a Cyrillic letter.
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
        raise UserError("whisper-normalizer is not installed", mend='pip install "intona[eval]"') from None
    return Normalizer(language, Published())
