"""Raw text to speakable tokens: what is read aloud, as words and punctuation.

Words are letters with inner hyphens and apostrophes, and `+` before a stressed vowel. How numbers and signs
are read depends on the language (`languages`). VERSION changes whenever the same text may give other tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from intona.errors import UserError
from intona.text import languages
from intona.text.characters import clean
from intona.text.symbols import ACUTE, PUNCTUATION, RU_VOWELS, STRESS, joined, marked_vowel, plain

__all__ = [
    "ACUTE",
    "PUNCTUATION",
    "RU_VOWELS",
    "STRESS",
    "VERSION",
    "Normalized",
    "clean",
    "joined",
    "marked_vowel",
    "normalize",
    "plain",
]

VERSION = "2"


@dataclass(frozen=True)
class Normalized:
    """What is read aloud of a text.

    Args:
        tokens: words and punctuation symbols in order; starts with a word.
        unreadable: characters of the text for which there is no reading, each once, in order.
    """

    tokens: list[str]
    unreadable: tuple[str, ...] = ()


def normalize(text: str, language: str) -> Normalized:
    """Tokens of one text, and the characters in it that cannot be read.

    Raises:
        UserError: empty text, no word in it, or letters of a script that the language does not read.
    """
    if not text.strip():
        raise UserError("empty text", where="text")
    rules = languages.get(language)
    verbalized = rules.verbalize(text)
    tokens = _settled(rules.tokenize(verbalized.text))
    if not tokens:
        raise UserError(
            "no words in the text", where=f'text "{_shown(text)}"', hint="write something to be read aloud"
        )
    return Normalized(tokens, verbalized.unreadable)


def _settled(tokens: Iterable[str]) -> list[str]:
    """Tokens that start with a word, without repeated punctuation, with two signs in a row at most."""
    out: list[str] = []
    for token in tokens:
        if token in PUNCTUATION:
            if not out or token == out[-1]:
                continue  # nothing to pause after yet, or the same sign again
            if len(out) >= 2 and out[-1] in PUNCTUATION and out[-2] in PUNCTUATION:
                continue  # a voice can act on two signs in a row, not on more
        out.append(token)
    return out


def _shown(text: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 30 else text[:29] + "…"
