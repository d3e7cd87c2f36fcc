"""Text to the ids of a VITS voice: characters (MMS-TTS), or espeak-ng's phonemes (vits-ljs, Piper)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from intona.errors import Unspeakable, UserError
from intona.synth.speech import TimedPhone, TimedWord
from intona.text import espeak
from intona.text.phonemize import share

_CLAUSE = re.compile(r"([.,:;!?…—-]+)")
_SENTENCE_ENDS = frozenset(".!?…")
MAX_SYMBOLS = 4000  # per text: about four minutes


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A phone or a character of a text.

    Args:
        word: index of the word that it belongs to; None for spaces and punctuation between words.
    """

    text: str
    word: int | None = None


@dataclass(frozen=True, kw_only=True)
class SpokenWord:
    """A word as it is written, and the punctuation that follows it."""

    text: str
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class SymbolIds:
    """The ids of a text, and the words that they spell.

    Args:
        ids: (N,). units: (N,) index of the unit of each id; None for the marks at the ends of a Piper voice.
        phones: whether the units of words are phones; they are letters otherwise.
    """

    ids: tuple[int, ...]
    units: tuple[int | None, ...]
    of: tuple[Unit, ...]
    words: tuple[SpokenWord, ...]
    phones: bool

    def timed_words(self, durations: Sequence[int], frame_seconds: float) -> tuple[TimedWord, ...]:
        """The words with their times. A word none of whose symbols the voice knows is left out.

        Args:
            durations: (N,) frames of each id.
        """
        at = [n * frame_seconds for n in accumulate(durations, initial=0)]
        spans: dict[int, list[int]] = {}
        for i, unit in enumerate(self.units):
            if unit is not None and (word := self.of[unit].word) is not None:
                spans.setdefault(word, []).append(i)
        out, sentence = [], 0
        for k, word in enumerate(self.words):
            if indices := spans.get(k):
                first, end = indices[0], indices[-1] + 1
                out.append(
                    TimedWord(
                        text=word.text,
                        start=at[first],
                        end=at[end],
                        phones=tuple(self._phones(first, end, at)) if self.phones else (),
                        after=word.after,
                        sentence=sentence,
                    )
                )
            sentence += bool(out) and bool(_SENTENCE_ENDS & set(word.after))
        return tuple(out)

    def _phones(self, first: int, end: int, at: Sequence[float]) -> Iterator[TimedPhone]:
        """The phones of the ids from `first` to `end`; what is no phone counts to the phone before it."""
        starts = [i for i in range(first, end) if self.units[i] != self.units[i - 1] or i == first]
        starts = [i for i in starts if self.of[self.units[i] or 0].word is not None]
        for i, until in zip(starts, [*starts[1:], end], strict=True):
            yield TimedPhone(symbol=self.of[self.units[i] or 0].text, start=at[i], end=at[until])


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """How a voice maps text to ids.

    Attributes:
        table: symbol -> ids.
        voice: espeak-ng voice for phonemes, "" = the characters of the text.
        piper: begin and end marks and a pad after each symbol (Piper), instead of blanks between symbols.
        blank: id around each symbol; None = none.
        lower: convert characters that are not in the table to lower case.
        language: ISO code, "" = unknown.
    """

    table: dict[str, tuple[int, ...]]
    voice: str = ""
    piper: bool = False
    blank: int | None = 0
    lower: bool = True
    language: str = ""

    def ids(self, text: str) -> list[int]:
        """The ids of a text; errors as in `read`."""
        return list(self.read(text).ids)

    def read(self, text: str) -> SymbolIds:
        """The ids of a text with its words.

        Raises:
            UserError: nothing in the text can be spoken, or it is too long.
        """
        units, words = phone_units(text, self.voice) if self.voice else self._letter_units(text)
        spoken = [(c, i) for i, unit in enumerate(units) for c in unit.text]
        if self.piper:
            spoken = _decomposed(spoken)
        known = [(c, i) for c, i in spoken if c in self.table]
        if not any(c.isalpha() for c, _ in known):
            hint = f"it speaks {self.language}" if self.language else "write in the voice's language"
            raise Unspeakable("nothing in the text that this voice can speak", where=text[:40], hint=hint)
        # Strip after filtering: dropping an unknown mark at an end leaves the space next to it.
        while known[0][0].isspace():
            known.pop(0)
        while known[-1][0].isspace():
            known.pop()
        if len(known) > MAX_SYMBOLS:
            raise UserError(
                f"{len(known)} symbols, more than {MAX_SYMBOLS}", hint="give one sentence at a time"
            )
        ids = self._marked(known) if self.piper else self._blanked(known)
        return SymbolIds(
            ids=tuple(number for number, _ in ids),
            units=tuple(unit for _, unit in ids),
            of=tuple(units),
            words=tuple(words),
            phones=bool(self.voice),
        )

    def _letter_units(self, text: str) -> tuple[list[Unit], list[SpokenWord]]:
        """The characters of a text, and its words."""
        units: list[Unit] = []
        words: list[SpokenWord] = []
        for token in text.split():
            core, after = _core(token)
            start = token.index(core) if core else len(token)
            units += [Unit(text=" ")] if units else []
            for i, c in enumerate(token):
                inside = start <= i < start + len(core)
                letter = c if c in self.table or not self.lower else c.lower()
                units.append(Unit(text=letter, word=len(words) if inside else None))
            if core:
                words.append(SpokenWord(text=core, after=after))
        return units, words

    def _marked(self, known: Sequence[tuple[str, int]]) -> list[tuple[int, int | None]]:
        """Piper: a mark at each end, and a pad after each symbol, which counts to it."""
        pad = self.table["_"]
        out: list[tuple[int, int | None]] = [(number, None) for number in (*self.table["^"], *pad)]
        for symbol, unit in known:
            out += [(number, unit) for number in (*self.table[symbol], *pad)]
        return [*out, *((number, None) for number in self.table["$"])]

    def _blanked(self, known: Sequence[tuple[str, int]]) -> list[tuple[int, int | None]]:
        """A blank around each symbol, if there is one: it counts to the symbol before it."""
        flat = [(number, unit) for symbol, unit in known for number in self.table[symbol]]
        if self.blank is None:
            return list(flat)
        out: list[tuple[int, int | None]] = [(self.blank, flat[0][1])]
        for number, unit in flat:
            out += [(number, unit), (self.blank, unit)]
        return out


def phone_units(text: str, voice: str) -> tuple[list[Unit], list[SpokenWord]]:
    """The phones of espeak-ng with spaces between words and the punctuation of the text, and the words.

    Where espeak-ng merges words ("of the"), its phones are shared out as in `phonemize.share`.
    """
    parts = _CLAUSE.split(" ".join(text.split()))
    clauses = [p.strip() for p in parts[::2] if any(c.isalnum() for c in p)]
    spoken = iter(espeak.get().words(clauses, voice))
    units: list[Unit] = []
    words: list[SpokenWord] = []
    hyphenated = False  # the next part continues the last word
    for i, part in enumerate(parts):
        if i % 2:
            if units and units[-1].text == " ":
                units.pop()
            units += [Unit(text="-" if part == "-" else part[0]), Unit(text=" ")]
            before, after = parts[i - 1], parts[i + 1]
            hyphenated = part == "-" and bool(words) and not before[-1:].isspace() and after[:1].isalnum()
            if words and not hyphenated:
                words[-1] = SpokenWord(text=words[-1].text, after=words[-1].after + part)
        elif any(c.isalnum() for c in part):
            tokens = part.split()
            numbers: list[int | None] = []
            for j, token in enumerate(tokens):
                core, after = _core(token)
                if not core:
                    numbers.append(None)
                    continue
                if hyphenated and j == 0:
                    words[-1] = SpokenWord(text=f"{words[-1].text}-{core}", after=after)
                else:
                    words.append(SpokenWord(text=core, after=after))
                numbers.append(len(words) - 1)
            for group, of in _numbered(next(spoken), tokens, numbers, voice):
                units += [Unit(text=phone, word=word) for phone, word in zip(group, of, strict=True)]
                units.append(Unit(text=" "))
            hyphenated = False
    while units and units[-1].text == " ":
        units.pop()
    return units, words


def _numbered(
    groups: Sequence[tuple[str, ...]], tokens: list[str], numbers: list[int | None], voice: str
) -> Iterator[tuple[tuple[str, ...], list[int | None]]]:
    """Groups of phones, each with the number of the word of each of its phones."""
    if len(groups) == len(tokens):
        for group, number in zip(groups, numbers, strict=True):
            yield group, [number] * len(group)
        return
    alone = [tuple(p for g in each for p in g) for each in espeak.get().words(tokens, voice)]
    shared = share(alone, [p for g in groups for p in g])
    of = iter([n for n, phones in zip(numbers, shared, strict=True) for _ in phones])
    for group in groups:
        yield group, [next(of) for _ in group]


def ipa(text: str, voice: str) -> str:
    """The phones of espeak-ng, with spaces between words and the punctuation of the text."""
    return "".join(unit.text for unit in phone_units(text, voice)[0])


def _core(token: str) -> tuple[str, str]:
    """A token without the punctuation around it, and the punctuation behind it."""
    letters = [i for i, c in enumerate(token) if unicodedata.category(c)[0] in "LMN"]
    if not letters:
        return "", ""
    return token[letters[0] : letters[-1] + 1], token[letters[-1] + 1 :]


def _decomposed(spoken: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Characters with their units in Unicode's form NFD."""
    owners = [i for c, i in spoken for _ in unicodedata.normalize("NFD", c)]
    whole = unicodedata.normalize("NFD", "".join(c for c, _ in spoken))
    return list(zip(whole, owners, strict=True))  # NFD of the whole may swap two marks of one letter
