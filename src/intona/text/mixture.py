"""Texts of several languages: which sentences are in which, by their scripts."""

from __future__ import annotations

import itertools
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from intona.errors import Unspeakable
from intona.text import inline
from intona.text.controls import MarkedText
from intona.text.frontend import Utterance, shown
from intona.text.languages import CYRILLIC, fitting, get

Split = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Stretch:
    """Consecutive sentences of one language, and their half-open range in the text."""

    language: str
    start: int
    end: int


def stretches_of(text: str, splitters: Mapping[str, Split]) -> list[Stretch] | None:
    """A text in stretches of one language each, in order and without gaps; None for a text of one script.

    A sentence with a Cyrillic letter is in the language that is written so, for it reads Latin words too; one
    without letters is in the language of the sentence before. A sentence ends where it does by the rules of
    all languages that occur: "Mr." ends none in a text that is partly English.

    Args:
        splitters: code of each language that may occur -> what splits a text into sentences by its rules.
            Sentences lack only white space of the text.

    Returns:
        None also where the script of a sentence does not decide between the languages.
    """
    languages = tuple(splitters)
    letters = inline.without(text)
    scripts = {_script(c) for c in letters if c.isalpha()}
    if len(languages) < 2 or CYRILLIC not in scripts or len(scripts) < 2:
        return None
    sentences = _sentences(text, list(splitters.values()))
    codes: list[str | None] = []
    for start, end in sentences:
        candidates = _candidates(text[start:end], languages)
        if len(candidates) > 1:
            return None
        codes.append(candidates[0] if candidates else None)
    first = next((c for c in codes if c is not None), None)
    if first is None:
        return None
    out: list[Stretch] = []
    for (start, end), code in zip(sentences, codes, strict=True):
        language = code or (out[-1].language if out else first)
        if out and out[-1].language == language:
            out[-1] = Stretch(language, out[-1].start, end)
        else:
            out.append(Stretch(language, start, end))
    return out


def parts_of(marked: MarkedText, splitters: Mapping[str, Split]) -> list[tuple[str, MarkedText]] | None:
    """`stretches_of` a text with its marks: the language and the text of each."""
    stretches = stretches_of(marked.text, splitters)
    return None if stretches is None else [(s.language, marked.part(s.start, s.end)) for s in stretches]


def read_parts(
    parts: Sequence[tuple[str, MarkedText]], read: Callable[[str, MarkedText], list[Utterance]]
) -> list[Utterance]:
    """The sentences of all parts, each read in its language; a part without any is left out with a warning.

    Raises:
        Unspeakable: nothing can be spoken, or phonemes in the text cannot be read.
    """
    out: list[Utterance] = []
    skipped: list[tuple[str, Unspeakable]] = []
    for language, part in parts:
        try:
            out += read(language, part)
        except inline.PhonemeError:
            raise
        except Unspeakable as e:
            skipped.append((part.text.strip(), e))
    if not out:
        raise skipped[0][1]
    for text, error in skipped:
        warnings.warn(f"left out: {shown(text)}: {error}", stacklevel=4)
    return out


def _candidates(sentence: str, languages: Sequence[str]) -> list[str]:
    letters = [c for c in inline.without(sentence) if c.isalpha()]
    if not letters:
        return []
    if any(_script(c) == CYRILLIC for c in letters):
        cyrillic = [n for n in languages if CYRILLIC in get(n).scripts]
        return cyrillic or list(languages)
    return fitting("".join(letters), languages)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").split(" ")[0]


def _sentences(text: str, splitters: Sequence[Split]) -> list[tuple[int, int]]:
    """The ranges of sentences whose ends all splitters agree on."""
    places = [i for i, c in enumerate(text) if not c.isspace()]
    ends: set[int] | None = None
    for split in splitters:
        # Counted without white space, which splitters may drop or add.
        count, counts = 0, set()
        for sentence in split(text):
            count += sum(not c.isspace() for c in sentence)
            counts.add(count)
        ends = counts if ends is None else ends & counts
    bounds = [0, *(places[n - 1] + 1 for n in sorted(ends or ()) if 0 < n < len(places)), len(text)]
    return list(itertools.pairwise(bounds))
