"""Words to phones: Russian by letter rules and stress, other languages by espeak-ng in clause context."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

from intona.text import espeak, ipa, russian, stress
from intona.text.normalize import PUNCTUATION, RU_VOWELS, plain

RULES_VERSION = "3"
SAME_PHONES = frozenset(["2", "3"])  # versions of the Russian rules that make the same set of phones
_CACHE = 200_000
_MAX_CELLS = 1_000_000
VOICES = {"en": "en-us"}


class Engine(Protocol):
    """Phones of every word token of every text."""

    def phones(self, texts: Sequence[list[str]]) -> list[list[tuple[str, ...]]]: ...

    def describe(self) -> dict[str, Any]: ...


def make(language: str, stress_mode: str, g2p: str) -> Engine:
    if language.split("-")[0] == "ru":
        return RussianEngine(stress_mode, g2p)
    return EspeakEngine(VOICES.get(language, language), stressed=stress_mode != "none")


class RussianEngine:
    """Stress of each word from marks, ё, a model or espeak-ng; phones from `russian.phones`."""

    def __init__(self, mode: str, g2p: str) -> None:
        self.mode, self.g2p = mode, g2p
        self.accents = None if mode in ("marks", "none") else stress.silero(required=mode == "silero")
        self.dictionary = stress.EspeakStress()
        self._lock = threading.Lock()
        self._done: dict[tuple[str, int | None, str], tuple[str, ...]] = {}

    def describe(self) -> dict[str, Any]:
        source = "none" if self.mode == "none" else "silero" if self.accents else "espeak"
        return {
            "backend": "espeak-ng" if self.g2p == "espeak" else "intona-ru",
            "backend_version": espeak.get().version if self.g2p == "espeak" else RULES_VERSION,
            "stress": source,
            "stress_version": self.accents.version if self.accents else self.dictionary.version(),
        }

    def phones(self, texts: Sequence[list[str]]) -> list[list[tuple[str, ...]]]:
        with self._lock:
            if len(self._done) > _CACHE:
                self._done.clear()
            found = [stress.resolve(tokens, self.accents) for tokens in texts]
            self.dictionary.learn(w for words in found for w, s in words if s is None)
            return [self._text(tokens, words) for tokens, words in zip(texts, found, strict=True)]

    def _text(self, tokens: list[str], words: list[tuple[str, int | None]]) -> list[tuple[str, ...]]:
        out: list[tuple[str, ...]] = []
        following = ""
        # Right to left: a preposition needs the first phone of the next word.
        k = len(words)
        for token in reversed(tokens):
            if token in PUNCTUATION:
                following = ""
                continue
            k -= 1
            heard = self._word(words[k][0], words[k][1], following)
            if heard:
                following = heard[0]
            out.append(heard)
        return out[::-1]

    def _word(self, word: str, at: int | None, following: str) -> tuple[str, ...]:
        key = (word, at, following if word in russian.LEANING else "")
        done = self._done.get(key)
        if done is None:
            done = self._make(word, at, following)
            if self.mode == "none":
                done = tuple(p.lstrip(ipa.PRIMARY) for p in done)
            self._done[key] = done
        return done

    def _make(self, word: str, at: int | None, following: str) -> tuple[str, ...]:
        letters = plain(word).lower()
        if at is None:
            at = self.dictionary.of(word)
        if self.g2p == "espeak":
            groups = espeak.get().words([letters], "ru")[0]
            return tuple(ipa.settle_stress(_restress([p for g in groups for p in g], at), secondary=False))
        if letters in russian.LETTERS and not stress.leans(letters):
            letters = russian.LETTERS[letters]  # a lone consonant is read by its name
            at = sum(c in RU_VOWELS for c in letters) - 1
        return self._parts(letters.split("-"), at, following)

    def _parts(self, parts: list[str], at: int | None, following: str) -> tuple[str, ...]:
        """Phones of a word with hyphens: one part has the main stress, other long parts keep theirs."""
        counts = [sum(c in RU_VOWELS for c in part) for part in parts]
        out: list[str] = []
        for k in range(len(parts) - 1, -1, -1):  # from the right: "из-за" hears its second part first
            part, before = parts[k], sum(counts[:k])
            inner = at - before if at is not None and before <= at < before + counts[k] else None
            if inner is None and counts[k] and len(parts) > 1 and len(part) > 3 and not stress.leans(part):
                inner = self.dictionary.of(part)
            heard = russian.phones(part, inner, following=following)
            following = heard[0] if heard else following
            out[:0] = heard
        return tuple(out)


def _restress(phones: list[str], at: int | None) -> list[str]:
    """espeak's phones with the primary stress on vowel `at`; vowel quality stays as it was heard."""
    vowels = [i for i, p in enumerate(phones) if ipa.is_vowel(p)]
    if at is None or at >= len(vowels):
        return phones
    bare = [p.lstrip(ipa.PRIMARY + ipa.SECONDARY) for p in phones]
    bare[vowels[at]] = ipa.PRIMARY + bare[vowels[at]]
    return bare


class EspeakEngine:
    """Any espeak-ng voice. A clause is heard whole (weak forms, liaison), then shared out to its words."""

    def __init__(self, voice: str, *, stressed: bool = True) -> None:
        self.voice, self.stressed = voice, stressed
        self._lock = threading.Lock()
        self._alone: dict[str, tuple[str, ...]] = {}
        self._library = espeak.get()
        self._library.words(["a"], voice)  # an unknown code is refused here, before any work

    def describe(self) -> dict[str, Any]:
        return {
            "backend": "espeak-ng",
            "backend_version": self._library.version,
            "voice": self.voice,
            "stress": "espeak" if self.stressed else "none",
            "stress_version": self._library.version,
        }

    def phones(self, texts: Sequence[list[str]]) -> list[list[tuple[str, ...]]]:
        clauses: list[tuple[int, list[str]]] = []
        for i, tokens in enumerate(texts):
            for clause in _clauses(tokens):
                clauses.append((i, clause))
        heard = self._library.words([" ".join(self._spelled(c)) for _, c in clauses], self.voice)
        out: list[list[tuple[str, ...]]] = [[] for _ in texts]
        for (i, clause), groups in zip(clauses, heard, strict=True):
            if len(groups) != len(clause):
                groups = (
                    [tuple(p for g in groups for p in g)] if len(clause) == 1 else self._share(clause, groups)
                )
            out[i].extend(self._tidy(g) for g in groups)
        return out

    def _spelled(self, clause: list[str]) -> list[str]:
        """English: the letter A as a word that sounds like its name: a lone "A" is espeak-ng's article.

        `verbalize_en` leaves a capital A only for the letter, except where a clause begins with the article.
        """
        if "A" not in clause or not self.voice.startswith("en") or len(clause) == 1:
            return clause
        starts = len(clause[1].removesuffix("'s")) > 1 or not clause[1][0].isupper()
        return ["eigh" if w == "A" and not (k == 0 and starts) else w for k, w in enumerate(clause)]

    def _tidy(self, group: Sequence[str]) -> tuple[str, ...]:
        # Secondary stress would double the vowel symbols for a distinction that data this small cannot carry.
        phones = ipa.settle_stress(group, secondary=False)
        return tuple(phones if self.stressed else (p.lstrip(ipa.PRIMARY) for p in phones))

    def _share(self, words: list[str], groups: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """espeak merged or split words ("of the"): align its phones to those of each word said alone."""
        with self._lock:
            if len(self._alone) > _CACHE:
                self._alone.clear()
            new = [w for w in dict.fromkeys(words) if w not in self._alone]
            for word, alone in zip(new, self._library.words(new, self.voice), strict=True):
                self._alone[word] = tuple(p for g in alone for p in g)
            alone = [self._alone[w] for w in words]
        return share(alone, [p for g in groups for p in g])


def _clauses(tokens: list[str]) -> list[list[str]]:
    """Runs of words between punctuation, cut to what one espeak call takes."""
    out: list[list[str]] = [[]]
    size = 0
    for token in tokens:
        if token in PUNCTUATION:
            if out[-1]:
                out.append([])
            size = 0
            continue
        size += len(token) + 1
        if size > espeak.MAX_CHARS and out[-1]:
            out.append([])
            size = len(token) + 1
        out[-1].append(token)
    return [c for c in out if c]


def share(alone: list[tuple[str, ...]], heard: list[str]) -> list[tuple[str, ...]]:
    """Cut `heard` into one run a word so that it agrees best with the words said alone.

    Edit distance over phones (stress ignored; vowel for vowel costs half); every word with phones of its own
    gets at least one when there are enough. The runs are consecutive and cover `heard` exactly.
    """
    flat = [(k, _bare(p)) for k, ps in enumerate(alone) for p in ps]
    said = [_bare(p) for p in heard]
    n, m = len(flat), len(said)
    if n * m > _MAX_CELLS:  # absurd input only: a clause holds some 400 characters
        edges = [0]
        for ps in alone:
            edges.append(edges[-1] + len(ps))
        cuts = [round(e * m / n) for e in edges]
        return [tuple(heard[a:b]) for a, b in pairwise(cuts)]
    if not said or not flat:
        return [tuple(heard) if k == 0 else () for k in range(len(alone))]
    cost = [[0.0] * (m + 1) for _ in range(n + 1)]
    cost[0] = [float(j) for j in range(m + 1)]
    for i in range(1, n + 1):
        row, above, a = cost[i], cost[i - 1], flat[i - 1][1]
        row[0] = float(i)
        for j in range(1, m + 1):
            row[j] = min(above[j - 1] + _swap(a, said[j - 1]), above[j] + 1.0, row[j - 1] + 1.0)
    owner = [0] * m
    i, j = n, m
    while j:
        here = cost[i][j]
        if i and here == cost[i - 1][j - 1] + _swap(flat[i - 1][1], said[j - 1]):
            i, j = i - 1, j - 1
            owner[j] = flat[i][0]
        elif i and here == cost[i - 1][j] + 1.0:
            i -= 1
        else:
            j -= 1
            owner[j] = flat[max(i - 1, 0)][0]
    out: list[list[str]] = [[] for _ in alone]
    for phone, k in zip(heard, owner, strict=True):
        out[k].append(phone)
    for k in range(1, len(out)):  # a word left with nothing takes the edge phone of its neighbour
        if not out[k] and alone[k] and len(out[k - 1]) > 1:
            out[k].append(out[k - 1].pop())
    if out and not out[0] and alone[0] and len(out) > 1 and len(out[1]) > 1:
        out[0].append(out[1].pop(0))
    return [tuple(p) for p in out]


def _bare(phone: str) -> str:
    return phone.lstrip(ipa.PRIMARY + ipa.SECONDARY)


def _swap(a: str, b: str) -> float:
    if a == b:
        return 0.0
    return 0.5 if ipa.is_vowel(a) and ipa.is_vowel(b) else 0.9
