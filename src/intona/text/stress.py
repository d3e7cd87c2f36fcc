"""Where the stress falls in Russian words: marks, ё, silero-stress, espeak-ng's dictionary, in that order."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from intona.errors import UserError
from intona.text import espeak, ipa
from intona.text.loanwords import with_yo
from intona.text.normalize import PUNCTUATION, RU_VOWELS, STRESS, joined, marked_vowel, plain
from intona.text.russian import ENCLITICS, PROCLITICS

_CACHE = 200_000
_SKY = frozenset(["небо", "неба", "небу", "небом", "небе"])  # silero-stress always takes it for the palate


class SileroStress:
    """Adapter of the PyPI package `silero-stress` (MIT; homographs by context, restores ё). Needs torch."""

    def __init__(self) -> None:
        import torch

        # Importing and loading it sets one thread and turns gradients off for the whole process.
        threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
        try:
            from silero_stress import load_accentor

            with _lazy_patterns():
                self._accent: Any = load_accentor("ru")
        finally:
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)
        self._no_grad = torch.no_grad  # restores the caller's mode, whatever the model does to it
        self._marked: dict[str, str] = {}
        self.version = importlib.metadata.version("silero-stress")

    def mark(self, words: list[str], text: str) -> list[str]:
        """The words with `+` and ё put in; a word comes back as it was where the answer does not fit."""
        try:
            with self._no_grad():
                marked = self._words(self._accent.homosolver(text).split())
        except Exception:  # the model is third-party code: a text it chokes on keeps espeak-ng's stress
            return words
        answer = [w for raw in marked if (w := raw.strip("".join(PUNCTUATION)))]
        if len(answer) != len(words):
            return words
        answer = [
            w if _bare(w) in _SKY and "ё" in a.lower() else a for a, w in zip(answer, words, strict=True)
        ]
        same = (_bare(a) == _bare(w) for a, w in zip(answer, words, strict=True))
        return [a if ok else w for a, w, ok in zip(answer, words, same, strict=True)]

    def _words(self, words: list[str]) -> list[str]:
        """Words whose homographs are settled, stressed: each by itself, so that an answer can be kept."""
        if len(self._marked) > _CACHE:
            self._marked.clear()
        new = [w for w in dict.fromkeys(words) if w not in self._marked]
        if new:
            answers = self._accent.accentor(" ".join(new)).split()
            if len(answers) != len(new):
                return words
            self._marked.update(zip(new, answers, strict=True))
        return [self._marked[w] for w in words]


_compile: Any = re._compile  # type: ignore[attr-defined]


class _LazyPattern:
    """A regular expression that is compiled when it is first used."""

    __slots__ = ("_arguments", "_pattern")

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._arguments, self._pattern = (pattern, flags), None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._pattern is None:
            self._pattern = _compile(*self._arguments)
        return getattr(self._pattern, name)


@contextmanager
def _lazy_patterns() -> Iterator[None]:
    """Patterns that are unpickled inside come lazily.

    silero-stress holds 1,485 of them and a sentence needs some 15: compiling all at once took 4 of the 6
    seconds that the first sentence took.
    """
    re._compile = _LazyPattern  # type: ignore[attr-defined]
    try:
        yield
    finally:
        re._compile = _compile  # type: ignore[attr-defined]


def _bare(word: str) -> str:
    return plain(word).lower().replace("ё", "е")


def silero(*, required: bool) -> SileroStress | None:
    """The adapter where `silero-stress` is installed, else None.

    Raises:
        UserError: missing though required.
    """
    if importlib.util.find_spec("silero_stress") is None or importlib.util.find_spec("torch") is None:
        if required:
            raise UserError(
                "silero-stress is not installed", where='stress="silero"', hint="pip install silero-stress"
            )
        return None
    return SileroStress()


def resolve(tokens: list[str], accents: SileroStress | None) -> list[tuple[str, int | None]]:
    """(word in lower case without marks, stressed vowel or None where the dictionary must say) of each word.

    Clitics without a mark come back with None too; `EspeakStress.of` leaves them unstressed.
    """
    tokens = [with_yo(t) for t in tokens]
    words = [t for t in tokens if t not in PUNCTUATION]
    marked = words
    if accents is not None and any(needs(w) for w in words):
        marked = [m for part in _stretches(tokens) for m in _ask(accents, part)]
    out: list[tuple[str, int | None]] = []
    for word, model in zip(words, marked, strict=True):
        own = marked_vowel(word)
        letters = plain(word if own is not None else model).lower()
        if own is not None:
            out.append((letters, own))
        elif leans(letters):
            out.append((letters, None))
        else:
            out.append((letters, certain(letters) if certain(letters) is not None else marked_vowel(model)))
    return out


def _ask(accents: SileroStress, tokens: list[str]) -> list[str]:
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
    """True for a word (or each part of a hyphenated one: "из-за") with no stress of its own."""
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
    """Stressed vowels of single words by espeak-ng, remembered; None for clitics."""

    def __init__(self) -> None:
        self._known: dict[str, int | None] = {}

    def version(self) -> str:
        return espeak.get().version

    def learn(self, words: Iterable[str]) -> None:
        if len(self._known) > _CACHE:
            self._known.clear()
        new = [w for w in dict.fromkeys(words) if w not in self._known]
        known: list[tuple[str, int | None]] = []
        ask: list[str] = []
        for w in new:
            if leans(w) or not any(c in RU_VOWELS for c in w):
                known.append((w, None))
            elif (s := certain(w)) is not None:
                known.append((w, s))
            else:
                ask.append(w)
        self._known.update(known)
        if ask:
            heard = espeak.get().words([w.replace("-", "")[: espeak.MAX_CHARS] for w in ask], "ru")
            for w, groups in zip(ask, heard, strict=True):
                self._known[w] = _ordinal(w, [p for g in groups for p in g])

    def of(self, word: str) -> int | None:
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
