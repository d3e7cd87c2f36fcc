"""Which of a voice's languages a text is in."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence

from intona.errors import Unspeakable, unknown

CYRILLIC = ("ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "tt")


def language_of(text: str, languages: Sequence[str], asked: str | None = None) -> str:
    """The language asked for; else the only one; else the only one that is written in the text's script.

    Args:
        languages: those that a voice speaks, at least one.

    Raises:
        UserError: a language that is none of them; an `Unspeakable` text, which may be in several.
    """
    if asked is not None:
        if asked not in languages:
            unknown("language", asked, languages, where="--language")
        return asked
    fit = fitting(text, languages)
    if len(fit) > 1:
        raise Unspeakable(
            f"this voice speaks {', '.join(fit)}: the text may be in any of them",
            where="language",
            hint=f"say which: --language {fit[0]}",
        )
    return fit[0]


def by_script(text: str) -> str:
    """Russian where there is a Cyrillic letter, for it reads Latin ones too; else English."""
    return "ru" if any(unicodedata.name(ch, "").startswith("CYRILLIC") for ch in text) else "en"


def warn_of_script(text: str, language: str) -> None:
    """Say so where most letters of a text are of another script than the language it is read in."""
    if (cyrillic := _in_cyrillic(text)) is not None and cyrillic != (language in CYRILLIC):
        warnings.warn(
            f"the text is in another script than {language}: it is spelled by the rules of {language}",
            stacklevel=3,
        )


def fitting(text: str, languages: Sequence[str]) -> list[str]:
    """Those that are written in the text's script; all of them where none is."""
    cyrillic = _in_cyrillic(text)
    return [n for n in languages if (n in CYRILLIC) == cyrillic] or list(languages)


def _in_cyrillic(text: str) -> bool | None:
    """Whether most letters are; None without letters."""
    letters = [unicodedata.name(ch, "") for ch in text if ch.isalpha()]
    return 2 * sum(name.startswith("CYRILLIC") for name in letters) > len(letters) if letters else None
