"""Russian words to phones: stress from several sources, phones by letter rules or by espeak-ng."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intona.text import espeak, ipa
from intona.text.languages.russian import pronunciation, stress
from intona.text.symbols import PUNCTUATION, RU_VOWELS, plain

if TYPE_CHECKING:
    from intona.text.languages.russian.accents.model import StressModel

BACKEND = "intona-ru"
RULES_VERSION = "3"
SAME_PHONES = frozenset(["2", "3"])  # versions of the rules that make the same set of phones
_CACHE = 200_000


class RussianPhonemizer:
    """Stress of each word from marks, ё, a model or espeak-ng; phones from `pronunciation.phones`.

    Args:
        mode: source of the stress, as `FrontendConfig.stress`.
        g2p: source of the phones, as `FrontendConfig.g2p`.

    Raises:
        UserError: the stress model is not installed or is damaged.
    """

    def __init__(self, mode: str, g2p: str) -> None:
        self.mode, self.g2p = mode, g2p
        self.accents = None if mode in ("marks", "none") else _stress_model(mode)
        self.dictionary = stress.EspeakStress()
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int | None, str], tuple[str, ...]] = {}

    def describe(self) -> dict[str, Any]:
        source = "none" if self.mode == "none" else "silero" if self.accents else "espeak"
        return {
            "backend": "espeak-ng" if self.g2p == "espeak" else BACKEND,
            "backend_version": espeak.get().version if self.g2p == "espeak" else RULES_VERSION,
            "stress": source,
            "stress_version": self.accents.version if self.accents else self.dictionary.version(),
        }

    def phones(self, texts: Sequence[list[str]]) -> list[list[tuple[str, ...]]]:
        with self._lock:
            if len(self._known) > _CACHE:
                self._known.clear()
            resolved = [stress.resolve(tokens, self.accents) for tokens in texts]
            self.dictionary.learn(w for words in resolved for w, s in words if s is None)
            return [self._text(tokens, words) for tokens, words in zip(texts, resolved, strict=True)]

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
            phones = self._word(words[k][0], words[k][1], following)
            if phones:
                following = phones[0]
            out.append(phones)
        return out[::-1]

    def _word(self, word: str, at: int | None, following: str) -> tuple[str, ...]:
        key = (word, at, following if word in pronunciation.LEANING else "")
        phones = self._known.get(key)
        if phones is None:
            phones = self._pronounce(word, at, following)
            if self.mode == "none":
                phones = tuple(p.lstrip(ipa.PRIMARY) for p in phones)
            self._known[key] = phones
        return phones

    def _pronounce(self, word: str, at: int | None, following: str) -> tuple[str, ...]:
        letters = plain(word).lower()
        if at is None:
            at = self.dictionary.of(word)
        if self.g2p == "espeak":
            groups = espeak.get().words([letters], "ru")[0]
            return tuple(ipa.settle_stress(_restress([p for g in groups for p in g], at), secondary=False))
        if letters in pronunciation.LETTERS and not stress.leans(letters):
            letters = pronunciation.LETTERS[letters]  # a lone consonant is read by its name
            at = sum(c in RU_VOWELS for c in letters) - 1
        return self._parts(letters.split("-"), at, following)

    def _parts(self, parts: list[str], at: int | None, following: str) -> tuple[str, ...]:
        """Phones of a word with hyphens: one part has the main stress, other long parts keep theirs."""
        counts = [sum(c in RU_VOWELS for c in part) for part in parts]
        out: list[str] = []
        for k in range(len(parts) - 1, -1, -1):  # from the right: the end of "из" in "из-за" depends on "за"
            part, before = parts[k], sum(counts[:k])
            inner = at - before if at is not None and before <= at < before + counts[k] else None
            if inner is None and counts[k] and len(parts) > 1 and len(part) > 3 and not stress.leans(part):
                inner = self.dictionary.of(part)
            phones = pronunciation.phones(part, inner, following=following)
            following = phones[0] if phones else following
            out[:0] = phones
        return tuple(out)


def _stress_model(mode: str) -> StressModel:
    if mode == "auto":
        from intona.text.languages.russian.accents import model

        return model.load()
    from intona.text.languages.russian import silero

    return silero.load()


def _restress(phones: list[str], at: int | None) -> list[str]:
    """espeak-ng's phones with the primary stress on vowel `at`; the quality of the vowels stays."""
    vowels = [i for i, p in enumerate(phones) if ipa.is_vowel(p)]
    if at is None or at >= len(vowels):
        return phones
    bare = [p.lstrip(ipa.PRIMARY + ipa.SECONDARY) for p in phones]
    bare[vowels[at]] = ipa.PRIMARY + bare[vowels[at]]
    return bare
