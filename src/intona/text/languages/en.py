"""English: numbers, signs and abbreviations by rule, phonemes by espeak-ng."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from intona.text import ipa, phonemize
from intona.text.characters import fold, script, unread_signs, without_brackets
from intona.text.languages.base import LETTERS_ONLY, Language, Suffix, Verbalized
from intona.text.languages.english import focus
from intona.text.languages.english.verbalize import verbalize
from intona.text.symbols import STRESS

_POSSESSIVE = re.compile(r"['’]s\b")
_SIBILANTS = ("s", "z", "ʃ", "ʒ")


@dataclass(frozen=True, kw_only=True)
class English(Language):
    def verbalize(self, text: str) -> Verbalized:
        cleaned = super().verbalize(text)
        spoken = fold(verbalize(cleaned.text), self._reads, language="en")
        unreadable = dict.fromkeys((*cleaned.unreadable, *unread_signs(spoken)))
        return Verbalized(spoken, tuple(unreadable))

    def _reads(self, letter: str) -> bool:
        return script(letter) in self.scripts

    def tokenize(self, text: str) -> list[str]:
        return LETTERS_ONLY.findall(without_brackets(text).replace(STRESS, " "))

    def phonemizer(self, *, stress: str, g2p: str) -> phonemize.Phonemizer:
        return phonemize.EspeakPhonemizer(
            self.voice or self.code, stressed=stress != "none", respelled=_with_letter_a
        )

    def stand_in(self, phones: Sequence[str]) -> str:
        # "the" and "a" depend on whether a vowel follows.
        return "Ann" if ipa.is_vowel(phones[0].lstrip(ipa.PRIMARY).removesuffix("ʲ")) else "man"

    def suffix(self, phones: Sequence[str], following: str) -> Suffix | None:
        if not _POSSESSIVE.match(following):
            return None
        last = phones[-1]
        if last.endswith(_SIBILANTS):
            return Suffix("'s", ("ɪ", "z"))
        return Suffix("'s", ("s",) if last[0] in "ptkfθ" else ("z",))


def _with_letter_a(clause: list[str]) -> list[str]:
    """A clause with the letter A as a word that sounds like its name: a lone "A" is espeak-ng's article.

    Verbalizing leaves a capital A only for the letter, except where a clause begins with the article.
    """
    if "A" not in clause or len(clause) == 1:
        return clause
    is_article = len(clause[1].removesuffix("'s")) > 1 or not clause[1][0].isupper()
    return ["eigh" if w == "A" and not (k == 0 and is_article) else w for k, w in enumerate(clause)]


ENGLISH = English(
    code="en",
    voice="en-us",
    scripts=("LATIN",),
    function_words=focus.FUNCTION_WORDS,
    question_words=focus.QUESTION_WORDS,
)
