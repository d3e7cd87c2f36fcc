"""Which of a voice's languages a text is in."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from intona.errors import UserError, unknown

CYRILLIC = ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "tt")


def language_of(text: str, languages: Sequence[str], asked: str | None = None) -> str:
    """The language asked for; else the only one; else the only one that is written in the text's script.

    Args:
        languages: those that a voice speaks, at least one.

    Raises:
        UserError: a language that is none of them; a text that may be in several.
    """
    if asked is not None:
        if asked not in languages:
            unknown("language", asked, languages, where="--language")
        return asked
    fit = fitting(text, languages)
    if len(fit) > 1:
        raise UserError(
            f"this voice speaks {', '.join(fit)}: the text may be in any of them",
            where="language",
            mend=f"say which: --language {fit[0]}",
        )
    return fit[0]


def fitting(text: str, languages: Sequence[str]) -> list[str]:
    """Those that are written in the text's script; all of them where none is."""
    letters = [unicodedata.name(ch, "") for ch in text if ch.isalpha()]
    cyrillic = 2 * sum(name.startswith("CYRILLIC") for name in letters) > len(letters)
    return [n for n in languages if letters and (n in CYRILLIC) == cyrillic] or list(languages)
