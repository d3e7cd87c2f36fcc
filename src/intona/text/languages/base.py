"""What the front end asks of a language, and the answers for those that only espeak-ng knows.

A language is one object. To add one, subclass `Language`, override what espeak-ng and the rules of English do
not do well, and register an instance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from intona.text import phonemize
from intona.text.characters import clean, unassigned, without_brackets
from intona.text.languages.english import sentences
from intona.text.symbols import PUNCTUATION, STRESS

# U+2212, or an en dash that can only be a minus.
_MINUS = re.compile(r"\u2212(?=\s?\d)|(?<![\w)])(?<!\d )–(?=\d)")
# Digits, marks and signs go to espeak-ng as they are; punctuation is a token at the end of a word only.
_TOKEN = re.compile(r"[,.!?:;—…](?=\s|$|[,.!?:;—…])|[—…]|(?:(?![,.!?:;—…](?:\s|$|[,.!?:;—…]))[^\s—…])+")
#: Words of letters with inner hyphens, apostrophes and stress marks, and punctuation.
LETTERS_ONLY = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f]|[-'+](?=[^\W\d_]))*|\+[^\W\d_](?:[^\W\d_]|[-'+](?=[^\W\d_]))*|[,.!?:;—…]"
)


class Verbalized(NamedTuple):
    """A text in words: only letters, stress marks and punctuation are left of it.

    Args:
        unreadable: characters for which there is no reading, each once, in order.
    """

    text: str
    unreadable: tuple[str, ...] = ()


class Suffix(NamedTuple):
    """An ending written right behind a word that comes with its phonemes."""

    text: str
    phones: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class QuestionContour:
    """Limits of pitch in a question, in semitones; None: as predicted. See `text.question`.

    Attributes:
        start, start_above: at least so high on the first stressed vowel: above the speaker's mean, and above
            the peak that its word has in a statement.
        nucleus, nucleus_above: the same of the stressed vowel of the nucleus.
        after: at most so high on the vowels after it.
        end: at least so high on the last vowel; the vowels between the nucleus and it lie on a line.
        end_in_nucleus: the same where the nucleus is the last vowel, which then rises by itself.
        end_at_most: at most so high on the last vowel, if that is not the nucleus.
    """

    start: float | None = None
    start_above: float | None = None
    nucleus: float | None = None
    nucleus_above: float | None = None
    after: float | None = None
    end: float | None = None
    end_in_nucleus: float | None = None
    end_at_most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Language:
    """All that depends on the language of a text. Keeps no state: one object serves all threads.

    Args:
        code: as users write it ("ru", "en", "en-gb").
        voice: of espeak-ng.
        scripts: that it is written in, as the first words of Unicode names ("CYRILLIC", "LATIN"); empty if
            not known, which stands for any but Cyrillic.
        has_stress_model: whether a model can tell the stress of its words (`FrontendConfig.stress`).
        neighbours: a word that can stand before any text, and one after, with a capital letter. They take the
            place of words with phonemes, so that what is between is normalized as the middle of a sentence.
        same_phones: pairs of `backend` and `backend_version` of `Phonemizer.describe` whose letter rules
            make the same set of phones.
        function_words: words that bear the nucleus of a clause only where there is no other, in lower case.
        question_words: words that make a wh-question of a sentence which they begin.
        question_word_bears_nucleus: whether the nucleus of a wh-question is on that word; else it is where a
            statement has it.
        yes_no_contour, wh_contour: the default contours of questions, here those of English: a yes-no
            question rises from the nucleus to the end, a wh-question falls from a high start.
    """

    code: str
    voice: str = ""
    scripts: tuple[str, ...] = ()
    has_stress_model: bool = False
    neighbours: tuple[str, str] = ("so", "So")
    same_phones: frozenset[tuple[str, str]] = frozenset()
    function_words: frozenset[str] = frozenset()
    question_words: frozenset[str] = frozenset()
    question_word_bears_nucleus: bool = False
    yes_no_contour: QuestionContour = QuestionContour(nucleus=0.0, end=10.0, end_in_nucleus=7.0)
    wh_contour: QuestionContour = QuestionContour(start=4.0, start_above=2.0, end_at_most=-2.0)

    def variant(self, code: str) -> Self:
        """The same language by another code, which is that of its espeak-ng voice: "en-gb"."""
        return replace(self, code=code, voice=code)

    def verbalize(self, text: str) -> Verbalized:
        """Numbers, signs and abbreviations in words. Here they are left to espeak-ng.

        Raises:
            UserError: letters that the language does not read.
        """
        return Verbalized(clean(_MINUS.sub("-", text)), unassigned(text))

    def tokenize(self, text: str) -> list[str]:
        """Words and punctuation symbols of a verbalized text; the punctuation may repeat."""
        tokens = _TOKEN.findall(without_brackets(text).replace(STRESS, " "))
        return [t for t in tokens if t in PUNCTUATION or any(c.isalnum() for c in t)]

    def sentences(self, paragraph: str) -> Iterator[str]:
        """The sentences of a paragraph in order, with all of its characters but white space at their ends.

        Here by the rules of English.
        """
        return sentences.split(paragraph)

    def phonemizer(self, *, stress: str, g2p: str) -> phonemize.Phonemizer:
        """A new phonemizer; options as in `FrontendConfig`."""
        return phonemize.EspeakPhonemizer(self.voice or self.code, stressed=stress != "none")

    def phones(self, g2p: str) -> frozenset[str] | None:
        """Every phone that its letter rules can make; None where espeak-ng makes them."""
        return None

    def stand_in(self, phones: Sequence[str]) -> str | None:
        """A word that the neighbours of a word with these phones can be pronounced beside.

        None: nothing in this language depends on the neighbours' first phone, a pause will do.
        """
        return None

    def letter(self, character: str) -> str:
        """The name of a letter, or what is read as its name. Here the capital letter."""
        return character.upper()

    def suffix(self, phones: Sequence[str], following: str) -> Suffix | None:
        """The ending of a word with these phones that a text begins with, None where there is none."""
        return None

    def question_focus(self, clauses: Sequence[Sequence[str]]) -> int | None:
        """The word that a yes-no question asks about, which bears its nucleus.

        Args:
            clauses: the words of each clause, in lower case, without stress marks.

        Returns:
            its index in the sentence; None for the last content word.
        """
        return None
