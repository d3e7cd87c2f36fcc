"""Languages by their codes, and which of a voice's languages a text is in.

`get` is the one way to a language; `base.Language` says what one can do.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from intona import registry
from intona.errors import Unspeakable, unknown
from intona.text.languages.base import Language

CYRILLIC = "CYRILLIC"
_ESPEAK_CYRILLIC = frozenset(("uk", "be", "bg", "sr", "mk", "kk", "ky", "tt"))


@lru_cache(maxsize=256)
def get(code: str) -> Language:
    """The language of a code.

    A code with a region is a variant of its language ("en-gb"). One that is not registered is a language as
    espeak-ng knows it; whether espeak-ng does shows when it is first phonemized.
    """
    base = code.split("-")[0]
    for name in (code, base):
        if name in registry.names("languages"):
            language: Language = registry.get("languages", name)
            return language if name == code else language.variant(code)
    return Language(code=code, voice=code, scripts=(CYRILLIC,) if base in _ESPEAK_CYRILLIC else ())


def language_of(text: str, languages: Sequence[str], requested: str | None = None) -> str:
    """The requested language; else the only one; else the only one that is written in the text's script.

    Args:
        languages: those that a voice speaks, at least one.

    Raises:
        UserError: a language that is none of them; an `Unspeakable` text, which may be in several.
    """
    if requested is not None:
        if requested not in languages:
            unknown("language", requested, languages, where="--language")
        return requested
    candidates = fitting(text, languages)
    if len(candidates) > 1:
        raise Unspeakable(
            f"this voice speaks {', '.join(candidates)}: the text may be in any of them",
            where="language",
            hint=f"choose one: --language {candidates[0]}",
        )
    return candidates[0]


def by_script(text: str) -> str:
    """Russian where there is a Cyrillic letter, for it reads Latin ones too; else English."""
    return "ru" if any(unicodedata.name(ch, "").startswith(CYRILLIC) for ch in text) else "en"


def warn_of_script(text: str, language: str) -> None:
    """Warn where most letters of a text are of another script than the language it is read in."""
    script = main_script(text)
    if script is not None and not _writes(language, script):
        warnings.warn(
            f"the text is in another script than {language}: it is spelled by the rules of {language}",
            stacklevel=3,
        )


def fitting(text: str, languages: Sequence[str]) -> list[str]:
    """Those that are written in the text's script; all of them where none is."""
    script = main_script(text)
    if script is None:
        return list(languages)
    fit = [n for n in languages if _writes(n, script)]
    # No language declares this script. It may be that of any language but those in Cyrillic.
    fit = fit or [n for n in languages if script != CYRILLIC and CYRILLIC not in get(n).scripts]
    return fit or list(languages)


def main_script(text: str) -> str | None:
    """The script of most letters ("CYRILLIC", "LATIN", ...), None without letters.

    Cyrillic only where it is more than half of them: Russian text may quote Latin, rarely the other way.
    """
    counts = Counter(unicodedata.name(ch, "").split(" ")[0] for ch in text if ch.isalpha())
    if not counts:
        return None
    if 2 * counts[CYRILLIC] > counts.total():
        return CYRILLIC
    del counts[CYRILLIC]
    return counts.most_common(1)[0][0]


def _writes(language: str, script: str) -> bool:
    scripts = get(language).scripts
    return script in scripts if scripts else script != CYRILLIC
