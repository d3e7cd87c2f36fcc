"""Russian: numbers by ru-normalizr, stress from marks, a model or espeak-ng, phonemes by letter rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from intona.text import ipa, phonemize
from intona.text.characters import (
    clean,
    fold,
    is_symbol,
    is_usual,
    unassigned,
    unread_signs,
    usable,
    without_brackets,
)
from intona.text.languages.base import LETTERS_ONLY, Language, Verbalized
from intona.text.languages.russian import pronunciation, sentences
from intona.text.languages.russian.letters import letter_name
from intona.text.languages.russian.phonemizer import BACKEND, SAME_PHONES, RussianPhonemizer
from intona.text.languages.russian.verbalize import READABLE, verbalize
from intona.text.symbols import ACUTE, RU_VOWELS

# Letters of related alphabets in Russian ones, so that a Ukrainian or Serbian name is not refused.
_RELATED = {"і": "и", "ї": "йи", "є": "е", "ґ": "г", "ў": "у", "ј": "й", "љ": "ль", "њ": "нь", "ћ": "ч",
            "ђ": "дж", "џ": "дж", "ѕ": "дз", "ѣ": "е", "ѳ": "ф", "ѵ": "и"}  # fmt: skip
_ORDINARY = re.compile("[\0-\x7fА-яЁё«»“”„–—…№]*")
_FOOTNOTE = re.compile(r"(?<=[а-яё]{4})[¹²³⁰⁴-⁹]+")  # a unit ("мм²") is shorter than a word
_VOWELS = "аеёиоуыэюяАЕЁИОУЫЭЮЯ"


@dataclass(frozen=True, kw_only=True)
class Russian(Language):
    def verbalize(self, text: str) -> Verbalized:
        unreadable = dict.fromkeys(unassigned(text))
        if not is_usual(text):
            text = usable(text)
            unknown = [c for c in dict.fromkeys(text) if is_symbol(c) and c not in READABLE]
            unreadable |= dict.fromkeys([*unknown, *"".join(_FOOTNOTE.findall(text))])
            text = _FOOTNOTE.sub("", text).translate(str.maketrans(dict.fromkeys(unknown, " ")))
        # Verbalizing comes before `clean` unifies dashes and hyphens: it must see a minus sign.
        spoken = clean(verbalize(text))
        if not _ORDINARY.fullmatch(spoken):
            spoken = fold(spoken, _reads, language="ru", respelled=_RELATED, acute_after=RU_VOWELS)
        unreadable |= dict.fromkeys(unread_signs(spoken))
        return Verbalized(spoken, tuple(unreadable))

    def tokenize(self, text: str) -> list[str]:
        return LETTERS_ONLY.findall(_with_plus_marks(without_brackets(text)))

    def sentences(self, paragraph: str) -> Iterator[str]:
        return sentences.split(paragraph)

    def phonemizer(self, *, stress: str, g2p: str) -> phonemize.Phonemizer:
        return RussianPhonemizer(stress, g2p)

    def phones(self, g2p: str) -> frozenset[str] | None:
        return None if g2p == "espeak" else _all_phones()

    def letter(self, character: str) -> str:
        return letter_name(character)

    def stand_in(self, phones: Sequence[str]) -> str:
        # A preposition takes the voicing of what follows.
        first = phones[0].lstrip(ipa.PRIMARY).removesuffix("ʲ")
        if first in pronunciation.VOICED and first != "v":
            return "дом"
        return "том" if first in pronunciation.VOICELESS else "мир"


def _reads(letter: str) -> bool:
    return "а" <= letter.lower() <= "я" or letter in "ёЁ"


def _with_plus_marks(text: str) -> str:
    """U+0301 after a vowel becomes `+` before it; a `+` that stands before no vowel goes."""
    text = re.sub(rf"([{_VOWELS}]){ACUTE}+", r"+\1", text)
    text = re.sub(rf"\++(?=[{_VOWELS}])", "+", text)
    return re.sub(rf"\+(?![{_VOWELS}])|{ACUTE}", " ", text)


@lru_cache(maxsize=1)
def _all_phones() -> frozenset[str]:
    """Every phone of the letter rules: each consonant and vowel in each place that changes it."""
    out: set[str] = set()
    for c in pronunciation.BASE:
        for word, stress in ((f"а{c}", 0), (f"а{c}ба", 0), (f"а{c}па", 0), (f"а{c}тя", 0), (f"{c}ь", None)):
            out.update(pronunciation.phones(word, stress))
        for v in RU_VOWELS:
            for stress in range(5):
                out.update(pronunciation.phones(f"{c}{v}{c}{v}та{c}{v}{c}{v}м", stress))
    for v in RU_VOWELS:
        for stress in range(3):
            out.update(pronunciation.phones(f"{v}{v}т{v}", stress))
    return frozenset(out)


RUSSIAN = Russian(
    code="ru",
    scripts=("CYRILLIC",),
    has_stress_model=True,
    neighbours=("да", "Да"),
    same_phones=frozenset((BACKEND, version) for version in SAME_PHONES),
)
