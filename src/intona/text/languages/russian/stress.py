"""Where the stress falls in Russian words: marks, ё, a model, espeak-ng's dictionary, in that order."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from intona.text import espeak, ipa
from intona.text.languages.russian.loanwords import with_yo
from intona.text.languages.russian.pronunciation import ENCLITICS, PROCLITICS
from intona.text.symbols import PUNCTUATION, RU_VOWELS, STRESS, joined, marked_vowel, plain

_CACHE = 200_000


class Accents(Protocol):
    """A model of Russian stress."""

    def mark(self, words: list[str], text: str) -> list[str]:
        """The words of a text with `+` and ё put in."""
        ...


def resolve(tokens: list[str], accents: Accents | None) -> list[tuple[str, int | None]]:
    """(word in lower case without marks, stressed vowel or None where the dictionary must say) of each word.

    Clitics without a mark come back with None too; `EspeakStress.of` leaves them unstressed.
    """
    tokens = [with_yo(t) for t in tokens]
    words = [t for t in tokens if t not in PUNCTUATION]
    marked = words
    if accents is not None and any(needs(w) for w in words):
        marked = [m for part in _stretches(tokens) for m in _marked(accents, part)]
    out: list[tuple[str, int | None]] = []
    for word, model in zip(words, marked, strict=True):
        mark = marked_vowel(word)
        letters = plain(word if mark is not None else model).lower()
        if mark is not None:
            out.append((letters, mark))
        elif leans(letters):
            out.append((letters, None))
        else:
            out.append((letters, certain(letters) if certain(letters) is not None else marked_vowel(model)))
    return out


def _marked(accents: Accents, tokens: list[str]) -> list[str]:
    words = [t for t in tokens if t not in PUNCTUATION]
    return accents.mark(words, joined(tokens)) if any(needs(w) for w in words) else words


def _stretches(tokens: list[str]) -> list[list[str]]:
    """Tokens in runs short enough for the model: cut at the end of a sentence, at the latest after 60."""
    out: list[list[str]] = [[]]
    for token in tokens:
        if len(out[-1]) >= 60 and token not in PUNCTUATION:
            out.append([])
        out[-1].append(token)
        if token in ".!?…" and len(out[-1]) >= 20:
            out.append([])
    return [part for part in out if part]


@lru_cache(maxsize=65536)
def leans(letters: str) -> bool:
    """True for a clitic, or a word with hyphens made up of clitics ("из-за")."""
    return all(part in PROCLITICS or part in ENCLITICS for part in letters.split("-"))


def needs(word: str) -> bool:
    """True where neither the spelling nor a mark settles the stress."""
    letters = plain(word).lower()
    return STRESS not in word and not leans(letters) and certain(letters) is None


@lru_cache(maxsize=65536)
def certain(letters: str) -> int | None:
    """Stress that the spelling settles: ё, or the only vowel."""
    vowels = [c for c in letters if c in RU_VOWELS]
    if "ё" in vowels:
        return vowels.index("ё")
    return 0 if len(vowels) == 1 else None


class EspeakStress:
    """Stressed vowels of single words by espeak-ng, remembered; None for clitics.

    Safe from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._known: dict[str, int | None] = {}

    def version(self) -> str:
        return espeak.get().version

    def learn(self, words: Iterable[str]) -> None:
        """Look up words, all in one call of espeak-ng."""
        with self._lock:
            if len(self._known) > _CACHE:
                self._known.clear()
            unsettled: list[str] = []
            for w in dict.fromkeys(words):
                if w in self._known:
                    continue
                if leans(w) or not any(c in RU_VOWELS for c in w):
                    self._known[w] = None
                elif (s := certain(w)) is not None:
                    self._known[w] = s
                else:
                    unsettled.append(w)
            if unsettled:
                spellings = [w.replace("-", "")[: espeak.MAX_CHARS] for w in unsettled]
                for w, groups in zip(unsettled, espeak.get().words(spellings, "ru"), strict=True):
                    self._known[w] = _ordinal(w, [p for g in groups for p in g])

    def of(self, word: str) -> int | None:
        """Index of the stressed one among the vowel letters of a word."""
        with self._lock:
            if word not in self._known:
                self.learn([word])
            return self._known[word]


def _ordinal(word: str, phones: list[str]) -> int | None:
    """Which vowel letter carries the primary stress; the last but one when espeak-ng gave none."""
    letters = sum(c in RU_VOWELS for c in word)
    vowels = [p for p in phones if ipa.is_vowel(p)]
    stressed = [i for i, p in enumerate(vowels) if p.startswith(ipa.PRIMARY)]
    if not stressed or not letters:
        return max(letters - 2, 0) if letters else None
    # A vowel more or less than letters (rare): keep the place relative to the end.
    at = stressed[-1] if len(vowels) == letters else letters - (len(vowels) - stressed[-1])
    return min(max(at, 0), letters - 1)
