"""Homographs by their context: phrases that settle them, else a network on the words around them."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from intona.text.languages.russian.accents.context import ContextNetwork
from intona.text.symbols import STRESS

WINDOW = 150  # characters of context on each side
GAP = "*"  # stands for the homograph in a phrase
_WORD = re.compile("[а-яё+]+", re.IGNORECASE)
_LETTER = re.compile(r"[а-яё\-]", re.IGNORECASE)
_CLEANING = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[^a-zA-Zа-яА-ЯёЁ0-9\s.!?,\-]", ""),
        (r"\s+", " "),
        (r"-{2,}", " - "),
        (r"([.!?])\1+", r"\1"),
        (r",{2,}", ","),
        (r"\s+([.,!?])", r"\1"),
        (r"([.!?])\1+", r"\1"),
        (r",{2,}", ","),
        (r"([.,!?])(?=\S)", r"\1 "),
        (r"\s+", " "),
    )
]


@dataclass(frozen=True)
class Homograph:
    """A spelling with several readings.

    Args:
        variants: the readings with `+` and ё that the network chooses from, in its order; () if only phrases
            settle the word.
        phrases: (reading, text before the word, text after it) in order of precedence.
    """

    variants: tuple[str, ...]
    phrases: tuple[tuple[str, str, str], ...]

    def by_phrase(self, before: str, after: str) -> str | None:
        """The reading of the matching phrase that begins first, None if no phrase matches."""
        best: tuple[int, str] | None = None
        for reading, left, right in self.phrases:
            if (best is None or len(left) > best[0]) and _ends(before, left) and _starts(after, right):
                best = len(left), reading
        return best and best[1]


class Homographs:
    """Puts `+` and ё in the homographs of a text.

    Args:
        lines: a homograph per line, as `line` writes it.
        network: loads the network at its first use.
    """

    def __init__(self, lines: list[str], network: Callable[[], ContextNetwork]) -> None:
        self._lines = {word: rest for word, _, rest in (line.partition("\t") for line in lines)}
        self._homograph = lru_cache(maxsize=4096)(lambda word: parse(self._lines[word]))
        self._network = network

    def __call__(self, text: str) -> str:
        places = [m for m in _WORD.finditer(text) if m[0].lower() in self._lines]
        readings: list[str | None] = []
        unsettled: list[tuple[str, str, str]] = []
        for m in places:
            before, after = _before(text[: m.start()]), _after(text[m.end() :])
            word = m[0].lower()
            homograph = self._homograph(word)
            reading = homograph.by_phrase(f"{before} ".lower(), f" {after}".lower())
            readings.append(reading)
            if reading is None and homograph.variants:
                unsettled.append((before, word, after))
        chosen = iter(self._network()(unsettled) if unsettled else ())
        out, end = [], 0
        for m, reading in zip(places, readings, strict=True):
            variants = self._homograph(m[0].lower()).variants
            if reading is None and variants:
                reading = variants[next(chosen)]
            out += [text[end : m.start()], m[0] if reading is None else _like(m[0], reading)]
            end = m.end()
        return "".join([*out, text[end:]])


def read_lines(file: Path) -> list[str]:
    return gzip.decompress(file.read_bytes()).decode().split("\n")


def line(word: str, homograph: Homograph) -> str:
    """word, its variants, and for each reading its phrases, as one line."""
    fields = [word, " ".join(homograph.variants)]
    for reading in dict.fromkeys(r for r, _, _ in homograph.phrases):
        phrases = [f"{left}{GAP}{right}" for r, left, right in homograph.phrases if r == reading]
        fields.append(f"{reading}:{'|'.join(phrases)}")
    return "\t".join(fields)


def parse(rest: str) -> Homograph:
    """The reverse of `line`, of what follows the word."""
    variants, *groups = rest.split("\t")
    phrases = []
    for group in groups:
        reading, _, joined = group.partition(":")
        for phrase in joined.split("|"):
            left, _, right = phrase.partition(GAP)
            phrases.append((reading, left, right))
    return Homograph(tuple(variants.split()), tuple(phrases))


def _ends(text: str, left: str) -> bool:
    """`text` ends with the whole words `left`."""
    start = len(text) - len(left)
    return text.endswith(left) and not (start and _LETTER.match(text[start - 1]))


def _starts(text: str, right: str) -> bool:
    return text.startswith(right) and not _LETTER.match(text[len(right) : len(right) + 1])


def _before(text: str) -> str:
    text = _cleaned(text).lstrip(" .,!?-")
    return (text[:1].upper() + text[1:].lower())[-WINDOW:]


def _after(text: str) -> str:
    text = _cleaned(text)
    text = text[:1] + text[1:].lower()
    return (text if not text or text[-1] in ".!?" else f"{text}.")[:WINDOW]


def _cleaned(text: str) -> str:
    for pattern, replacement in _CLEANING:
        text = pattern.sub(replacement, text)
    return text.strip()


def _like(word: str, reading: str) -> str:
    """A reading with the capital letters of the word in the text."""
    at = reading.index(STRESS)
    letters = reading.replace(STRESS, "")
    cased = "".join(b.lower() if a.islower() else b.upper() for a, b in zip(word, letters, strict=True))
    return cased[:at] + STRESS + cased[at:]
