"""Words to phones by espeak-ng, in clause context."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol

from intona.text import espeak, ipa
from intona.text.symbols import PUNCTUATION

_CACHE = 200_000
_MAX_CELLS = 1_000_000


class Phonemizer(Protocol):
    """Tokens to phones. Safe from several threads."""

    def phones(self, texts: Sequence[list[str]]) -> list[list[tuple[str, ...]]]:
        """The phones of every word token of every text; none for a word that cannot be pronounced."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the phones depend on, as JSON types: backend, stress source and their versions."""
        ...


class EspeakPhonemizer:
    """Any espeak-ng voice. A clause is spoken whole (weak forms, liaison), then shared out to its words.

    Args:
        voice: of espeak-ng.
        stressed: False leaves stress marks out.
        respelled: called with the words of a clause; what espeak-ng gets to read in their place.

    Raises:
        UserError: espeak-ng is not installed or does not know the voice.
    """

    def __init__(
        self,
        voice: str,
        *,
        stressed: bool = True,
        respelled: Callable[[list[str]], list[str]] | None = None,
    ) -> None:
        self.voice, self.stressed = voice, stressed
        self._respelled = respelled or (lambda clause: clause)
        self._lock = threading.Lock()
        self._alone: dict[str, tuple[str, ...]] = {}
        self._library = espeak.get()
        self._library.words(["a"], voice)  # an unknown voice is refused here, before any work

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
        spoken = self._library.words([" ".join(self._respelled(c)) for _, c in clauses], self.voice)
        out: list[list[tuple[str, ...]]] = [[] for _ in texts]
        for (i, clause), groups in zip(clauses, spoken, strict=True):
            if len(groups) != len(clause):
                phones = [p for g in groups for p in g]
                groups = [tuple(phones)] if len(clause) == 1 else self._share(clause, phones)
            out[i].extend(self._tidy(g) for g in groups)
        return out

    def _tidy(self, group: Sequence[str]) -> tuple[str, ...]:
        # Secondary stress would double the vowel symbols for a distinction that data this small cannot carry.
        phones = ipa.settle_stress(group, secondary=False)
        return tuple(phones if self.stressed else (p.lstrip(ipa.PRIMARY) for p in phones))

    def _share(self, words: list[str], phones: list[str]) -> list[tuple[str, ...]]:
        """espeak-ng merged or split words ("of the"): align its phones to those of each word by itself."""
        with self._lock:
            if len(self._alone) > _CACHE:
                self._alone.clear()
            new = [w for w in dict.fromkeys(words) if w not in self._alone]
            for word, groups in zip(new, self._library.words(new, self.voice), strict=True):
                self._alone[word] = tuple(p for g in groups for p in g)
            alone = [self._alone[w] for w in words]
        return share(alone, phones)


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


def share(alone: list[tuple[str, ...]], phones: list[str]) -> list[tuple[str, ...]]:
    """Cut the phones of a clause into one run per word, so that they agree best with `alone`.

    Edit distance over phones (stress ignored; vowel for vowel costs half). Every word with phones in `alone`
    gets at least one when there are enough. The runs are consecutive and cover `phones` exactly.

    Args:
        alone: phones of each word when it is pronounced by itself.
    """
    flat = [(k, _bare(p)) for k, ps in enumerate(alone) for p in ps]
    clause = [_bare(p) for p in phones]
    n, m = len(flat), len(clause)
    if n * m > _MAX_CELLS:  # absurd input only: a clause has at most some 400 characters
        edges = [0]
        for ps in alone:
            edges.append(edges[-1] + len(ps))
        cuts = [round(e * m / n) for e in edges]
        return [tuple(phones[a:b]) for a, b in pairwise(cuts)]
    if not clause or not flat:
        return [tuple(phones) if k == 0 else () for k in range(len(alone))]
    cost = [[0.0] * (m + 1) for _ in range(n + 1)]
    cost[0] = [float(j) for j in range(m + 1)]
    for i in range(1, n + 1):
        row, above, a = cost[i], cost[i - 1], flat[i - 1][1]
        row[0] = float(i)
        for j in range(1, m + 1):
            row[j] = min(above[j - 1] + _swap(a, clause[j - 1]), above[j] + 1.0, row[j - 1] + 1.0)
    owner = [0] * m
    i, j = n, m
    while j:
        here = cost[i][j]
        if i and here == cost[i - 1][j - 1] + _swap(flat[i - 1][1], clause[j - 1]):
            i, j = i - 1, j - 1
            owner[j] = flat[i][0]
        elif i and here == cost[i - 1][j] + 1.0:
            i -= 1
        else:
            j -= 1
            owner[j] = flat[max(i - 1, 0)][0]
    out: list[list[str]] = [[] for _ in alone]
    for phone, k in zip(phones, owner, strict=True):
        out[k].append(phone)
    for k in range(1, len(out)):  # a word left with nothing takes the last phone of the word before it
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
