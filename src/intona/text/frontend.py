"""Text to phonemes and the exact range of each word in them: the `Frontend`.

Every text takes the same steps:

    text ─► *marks* off ─► cut at [[phonemes]] ─► lexicon, for words as written ─► normalize the parts between
         ─► lexicon, for words that numbers and abbreviations have become ─► tokens ─► phones

A token is a word, a punctuation symbol, or a `Pronounced` word, which has its phones already. Another word
stands in for the latter while its neighbours are pronounced. Long texts are split into sentences first
(`sentences`), never inside `[[…]]`.
"""

from __future__ import annotations

import copy
import unicodedata
import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from intona.errors import Unspeakable, UserError
from intona.text import ipa, languages, normalize
from intona.text.controls import MarkedText, PlacedMark, WordControl, read_marks
from intona.text.inline import PhonemeError, Pronounced
from intona.text.lexicon import Lexicon
from intona.text.once import once
from intona.text.phonemize import Phonemizer
from intona.text.placement import Placement
from intona.text.symbols import PUNCTUATION, joined, plain
from intona.text.tokens import Token, TokenReader

SHOWN = 40  # characters of a sentence in a message


@dataclass(frozen=True, kw_only=True)
class FrontendConfig:
    """How text is turned into phonemes.

    Args:
        language: "ru", "en" (American espeak-ng voice "en-us") or any espeak-ng code.
        stress: where stress comes from, in a language with a stress model (Russian). "auto": marks in the
            text, then the shipped model (silero-stress 1.5, without torch), then espeak-ng's dictionary;
            "silero": the same with the installed package silero-stress, which needs torch; "marks": marks,
            then espeak-ng; "none" (in any language): no stress marks in the phonemes.
        g2p: where phones come from. "auto": the letter rules of this package for Russian, espeak-ng for all
            other languages; "espeak": espeak-ng for Russian, too.
    """

    language: str = "ru"
    stress: Literal["auto", "marks", "silero", "none"] = "auto"
    g2p: Literal["auto", "espeak"] = "auto"


@dataclass(frozen=True)
class Word:
    """A spoken word and its half-open range in `Utterance.phonemes`."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """A text and its phonemes.

    Args:
        text: as passed in.
        normalized: as read aloud, with `+` before vowels that were marked in the text.
        phonemes: phones, " " between words, punctuation symbols after their word.
        words: in order; every phone belongs to exactly one word.
        unspoken: words of the text that have no phones.
        unreadable: characters of the text for which there is no reading.
        nucleus: index of the word that bears the nucleus, where the text marks it.
        controls: one per word, or none at all.
        marks: named places between words.
        language: code of the voice's language that it is read in; "" where no voice reads it.
    """

    text: str
    normalized: str
    phonemes: tuple[str, ...]
    words: tuple[Word, ...]
    unspoken: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    nucleus: int | None = None
    controls: tuple[WordControl, ...] = ()
    marks: tuple[PlacedMark, ...] = ()
    language: str = ""

    @property
    def plain(self) -> str:
        """`normalized` without stress marks: what a BPE tokenizer reads."""
        return plain(self.normalized)

    def __str__(self) -> str:
        return ipa.to_text(self.phonemes)

    def as_json(self, *, phonemes: bool) -> dict[str, Any]:
        """The utterance as JSON types.

        Args:
            phonemes: include the phonemes and the ranges of the words in them.
        """
        pronunciation = {
            "phonemes": list(self.phonemes),
            "words": [{"text": w.text, "start": w.start, "end": w.end} for w in self.words],
        }
        return {
            "text": self.text,
            "normalized": self.normalized,
            **(pronunciation if phonemes else {}),
            "unreadable": list(self.unreadable),
            "unspoken": list(self.unspoken),
        }


class Frontend:
    """Text to utterances, in batches. Loads espeak-ng and the stress model at first use. Thread-safe.

    Args:
        lexicon: the pronunciation of certain words.
        phones: those allowed in `[[…]]`: the vocabulary of a voice; None: those of the language's rules.
        inline: False treats `[[` as any other sign, for texts that were not written to be spoken.
    """

    def __init__(
        self,
        config: FrontendConfig | None = None,
        *,
        lexicon: Lexicon | None = None,
        phones: Collection[str] | None = None,
        inline: bool = True,
    ) -> None:
        self.config = c = config or FrontendConfig()
        self._language = languages.get(c.language)
        self._reader = TokenReader(
            language=c.language,
            lexicon=lexicon,
            phones=self._language.phones(c.g2p) if phones is None else frozenset(phones),
            stressed=c.stress != "none",
            inline=inline,
        )
        self._phonemizer = once(partial(self._language.phonemizer, stress=c.stress, g2p=c.g2p))

    @property
    def phonemizer(self) -> Phonemizer:
        """Loaded at first use."""
        return self._phonemizer()

    def with_lexicon(self, lexicon: Lexicon | None) -> Frontend:
        """A copy with another lexicon, which shares everything that is loaded."""
        return self._with(lexicon=lexicon)

    def with_phones(self, phones: Collection[str]) -> Frontend:
        """A copy for a voice that knows these phones, which shares everything that is loaded."""
        return self._with(phones=frozenset(phones))

    def _with(self, **changes: Any) -> Frontend:
        other = copy.copy(self)
        other._reader = replace(self._reader, **changes)
        return other

    def __call__(self, texts: Sequence[str]) -> list[Utterance]:
        """Utterances of the texts, in order.

        Raises:
            Unspeakable: an empty or unreadable text; if there are several texts, with its index.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of strings, not one string")
        out = []
        for i, result in enumerate(self._read(texts, phonemes=True)):
            if isinstance(result, Utterance):
                out.append(result)
            elif len(texts) == 1:
                raise result
            else:
                raise Unspeakable(result.what, where=f"text {i}: {result.where}", hint=result.hint)
        return out

    def speakable(
        self, text: str | MarkedText, *, phonemes: bool = True, names: bool = False
    ) -> list[Utterance]:
        """The sentences of a text that can be spoken.

        Warns of sentences that cannot, and of words and characters without a reading.

        Args:
            text: `*…*` marks words that are emphasised, unless the text's marks are read already.
            phonemes: False leaves `phonemes`, `words` and what belongs to words empty, which needs neither
                espeak-ng nor the stress model.
            names: include the Unicode names of characters in warnings.

        Raises:
            Unspeakable: nothing in the text can be spoken, or phonemes in it cannot be read.
        """
        marked = read_marks(text) if isinstance(text, str) else text
        out: list[Utterance] = []
        skipped: list[tuple[str, Unspeakable]] = []
        sentences = self.sentences(marked.text)
        placement = Placement(marked, sentences) if marked and phonemes else None
        results = self._read(sentences, phonemes=phonemes, placement=placement)
        for sentence, result in zip(sentences, results, strict=True):
            if isinstance(result, Utterance):
                out.append(result)
            elif isinstance(result, PhonemeError):
                raise result
            else:
                skipped.append((sentence, result))
        if not out:
            raise skipped[0][1] if skipped else Unspeakable("nothing to say", where="text")
        for sentence, error in skipped:
            warnings.warn(f"left out: {shown(sentence)}: {error}", stacklevel=3)
        for utterance in out:
            if line := not_read(utterance, names=names):
                warnings.warn(line, stacklevel=3)
        return out

    def whole_sentences(self, text: str) -> list[str]:
        """`sentences`, of which none is cut for its length."""
        return self._reader.sentences(text, max_chars=len(text) + 1)

    def sentences(self, text: str) -> list[str]:
        """The sentences of a text in order. Neither `[[…]]` nor a word of the lexicon is split.

        Raises:
            PhonemeError: `[[` without `]]`, or nothing between them.
        """
        return self._reader.sentences(text)

    def _read(
        self, texts: Sequence[str], *, phonemes: bool, placement: Placement | None = None
    ) -> list[Utterance | Unspeakable]:
        """An utterance of each text, or the reason why there is none.

        Args:
            placement: of the marks in the texts.
        """
        out: list[Utterance | Unspeakable] = []
        ready: list[tuple[int, list[Token], tuple[str, ...]]] = []
        for i, text in enumerate(texts):
            try:
                tokens, unreadable = self._reader.tokens(text)
            except UserError as e:
                out.append(_unspeakable(e))
                continue
            ready.append((i, tokens, unreadable))
            normalized = joined(list(map(str, tokens)))
            out.append(
                Utterance(text=text, normalized=normalized, phonemes=(), words=(), unreadable=unreadable)
            )
        if not phonemes:
            return out
        phones = self.phonemizer.phones([self._pronounceable(tokens) for _, tokens, _ in ready])
        for (i, tokens, unreadable), from_letters in zip(ready, phones, strict=True):
            try:
                out[i], spoken = _assemble(texts[i], tokens, self._phones(tokens, from_letters), unreadable)
            except Unspeakable as e:
                out[i] = e
                continue
            if placement is not None:
                owners = self._reader.parts_of_tokens(tokens, placement.parts(i))
                placement.words[i] = [owners[k] for k in spoken]
        return out if placement is None else _placed(out, placement)

    def _pronounceable(self, tokens: Iterable[Token]) -> list[str]:
        """Tokens for the phonemizer; a pause where nothing can stand for a word with its phonemes."""
        return [
            t if isinstance(t, str) else self._language.stand_in(t.phones) or PUNCTUATION[0] for t in tokens
        ]

    def _phones(
        self, tokens: Iterable[Token], from_letters: Iterable[tuple[str, ...]]
    ) -> list[tuple[str, ...]]:
        """The phones of each word: those that are written in the text, else the phonemizer's."""
        out: list[tuple[str, ...]] = []
        rest = iter(from_letters)
        for token in tokens:
            if isinstance(token, Pronounced):
                out.append(token.phones)
                if self._language.stand_in(token.phones):
                    next(rest)
            elif token not in PUNCTUATION:
                out.append(next(rest))
        return out

    def from_phonemes(self, line: str) -> Utterance:
        """An utterance from a line of phonemes, as a corpus has them ("p rʲ ɪ vʲ ˈe t | mʲ ˈi r !")."""
        symbols = ipa.from_text(line)
        words, start = [], None
        for i, s in enumerate((*symbols, ipa.SPACE)):
            if ipa.is_word_symbol(s):
                start = i if start is None else start
            elif start is not None:
                words.append(Word("".join(symbols[start:i]), start, i))
                start = None
        return Utterance(text=line, normalized=ipa.to_text(symbols), phonemes=symbols, words=tuple(words))

    def describe(self) -> dict[str, Any]:
        """What the phonemes depend on, as JSON types: stored with tokenizers and compared at synthesis."""
        return {
            "language": self.config.language,
            "normalizer_version": normalize.VERSION,
            **self.phonemizer.describe(),
        }


def shown(text: str) -> str:
    """The beginning of a sentence, in quotes, for a message."""
    return f'"{text}"' if len(text) <= SHOWN else f'"{text[: SHOWN - 1]}…"'


def not_read(utterance: Utterance, *, names: bool = False) -> str:
    """One line about what in a text is not spoken, "" if everything is.

    Args:
        names: include the Unicode names of characters.
    """
    parts = [
        f"{c} (U+{ord(c):04X}{' ' + unicodedata.name(c, '') if names else ''})" for c in utterance.unreadable
    ]
    parts += [f'"{word}"' for word in utterance.unspoken]
    return f"not read: {', '.join(parts)} in {shown(utterance.text)}" if parts else ""


def _unspeakable(error: UserError) -> Unspeakable:
    if isinstance(error, Unspeakable):
        return error
    return Unspeakable(error.what, where=error.where, hint=error.hint)


def _placed(results: list[Utterance | Unspeakable], placement: Placement) -> list[Utterance | Unspeakable]:
    """The utterances with the controls and marks of their words."""
    placement.place()
    for i, result in enumerate(results):
        if isinstance(result, Utterance):
            results[i] = replace(
                result,
                nucleus=placement.nuclei.get(i),
                controls=tuple(placement.controls.get(i, ())),
                marks=tuple(placement.marks.get(i, ())),
            )
    return results


def _assemble(
    text: str, tokens: list[Token], phones: list[tuple[str, ...]], unreadable: tuple[str, ...]
) -> tuple[Utterance, list[int]]:
    """Words and punctuation as one row of symbols, and the token of each word.

    `phones` has one entry per word token.
    """
    row: list[str] = []
    words: list[Word] = []
    spoken: list[str] = []
    silent: list[str] = []
    places: list[int] = []
    k = 0
    for place, token in enumerate(tokens):
        if isinstance(token, str) and token in PUNCTUATION:
            if row and row[-1] != token:
                row.append(token)
                spoken.append(token)
            continue
        pronounced = phones[k]
        k += 1
        if not pronounced:
            silent.append(str(token))
            continue
        if row:
            row.append(ipa.SPACE)
        label = token.label if isinstance(token, Pronounced) else plain(token)
        words.append(Word(label, len(row), len(row) + len(pronounced)))
        places.append(place)
        row.extend(pronounced)
        spoken.append(str(token))
    if not words:
        raise Unspeakable("no words in the text that can be spoken", where="text")
    utterance = Utterance(
        text=text,
        normalized=joined(spoken),
        phonemes=tuple(row),
        words=tuple(words),
        unspoken=tuple(silent),
        unreadable=unreadable,
    )
    return utterance, places


_NAMES = {
    "language": "language",
    "normalizer_version": "normalizer",
    "backend": "phonemizer",
    "backend_version": "phonemizer version",
    "stress": "stress source",
    "stress_version": "stress source version",
}


def compatible(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """The differences of two results of `Frontend.describe`, one line each."""
    keys = dict.fromkeys((*_NAMES, *a, *b))
    return [
        f"{_NAMES.get(k, k)}: {a.get(k)!r} there, {b.get(k)!r} here" for k in keys if a.get(k) != b.get(k)
    ]


def inventory_differences(trained_with: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """The differences that can bring in phonemes which a voice does not know.

    Those are all that `compatible` lists but other versions of the normalizer and of the stress model, and
    other letter rules with the same phones.
    """
    ignored = {"normalizer_version"}
    if trained_with.get("stress") == here.get("stress"):
        ignored.add("stress_version")
    rules = {(d.get("backend"), d.get("backend_version")) for d in (trained_with, here)}
    if rules <= languages.get(str(here.get("language"))).same_phones:
        ignored.add("backend_version")
    return compatible(*({k: v for k, v in d.items() if k not in ignored} for d in (trained_with, here)))
