"""The symbols of spoken text: punctuation and stress marks."""

from __future__ import annotations

from collections.abc import Sequence

PUNCTUATION = (",", ".", "!", "?", ":", ";", "—", "…")
RU_VOWELS = frozenset("аеёиоуыэюя")
STRESS, ACUTE = "+", "\u0301"  # before the stressed vowel, after it


def plain(word: str) -> str:
    """A word without its stress marks."""
    return word.replace(STRESS, "").replace(ACUTE, "")


def marked_vowel(word: str) -> int | None:
    """Index among the vowel letters of the one that `+` marks, None without a mark.

    The last mark wins: it is the main stress.
    """
    at = word.rfind(STRESS)
    return None if at < 0 else sum(c in RU_VOWELS for c in word[:at].lower())


def joined(tokens: Sequence[str]) -> str:
    """Tokens as one text: a space before words, none before punctuation except the dash."""
    out: list[str] = []
    for t in tokens:
        if out and (t not in PUNCTUATION or t == "—"):
            out.append(" ")
        out.append(t)
    return "".join(out)


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())
