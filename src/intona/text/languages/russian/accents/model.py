"""A model of Russian stress: what a source of it provides, and the shipped one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from safetensors import SafetensorError
from safetensors.numpy import load_file

from intona import models
from intona.config import read_json
from intona.errors import UserError
from intona.text.languages.russian.accents.context import ContextNetwork
from intona.text.languages.russian.accents.homographs import Homographs, read_lines
from intona.text.languages.russian.accents.words import WordAccents, read_exceptions
from intona.text.once import once
from intona.text.symbols import PUNCTUATION, plain

NAME = "stress-ru"
_CACHE = 200_000
_SKY = frozenset(["небо", "неба", "небу", "небом", "небе"])  # the model always takes it for нёбо, the palate
_PUNCTUATION = "".join(PUNCTUATION)


class AccentSource(Protocol):
    """Puts `+` before stressed vowels, and ё."""

    def homographs(self, text: str) -> str:
        """The text with the homographs marked that its context settles."""
        ...

    def words(self, words: Sequence[str]) -> list[str]:
        """The words, marked without context; a word with a mark keeps it."""
        ...


class StressModel:
    """Marks the words of a text, each as often as it occurs. Safe from several threads.

    Args:
        version: of silero-stress, whose model it is.
        failures: errors of the source that leave a text without marks.
    """

    def __init__(
        self, source: AccentSource, version: str, *, failures: tuple[type[Exception], ...] = ()
    ) -> None:
        self.version = version
        self._source = source
        self._failures = failures
        self._lock = threading.Lock()
        self._marked: dict[str, str] = {}

    def mark(self, words: list[str], text: str) -> list[str]:
        """The words of a text with `+` and ё put in; a word that the answer does not match stays as it is."""
        try:
            with self._lock:
                marked = self._words(self._source.homographs(text).split())
        except self._failures:
            return words
        answer = [w for raw in marked if (w := raw.strip(_PUNCTUATION))]
        if len(answer) != len(words):
            return words
        answer = [
            w if _letters(w) in _SKY and "ё" in a.lower() else a for a, w in zip(answer, words, strict=True)
        ]
        return [a if _letters(a) == _letters(w) else w for a, w in zip(answer, words, strict=True)]

    def _words(self, words: list[str]) -> list[str]:
        """Words whose homographs are settled, stressed: each by itself, so that an answer can be kept."""
        if len(self._marked) > _CACHE:
            self._marked.clear()
        new = [w for w in dict.fromkeys(words) if w not in self._marked]
        if new:
            answers = self._source.words(new)
            if len(answers) != len(new):
                return words
            self._marked.update(zip(new, answers, strict=True))
        return [self._marked[w] for w in words]


class ShippedSource:
    """The model in a folder that `scripts/convert_silero.py` wrote."""

    def __init__(self, folder: Path) -> None:
        self._words = WordAccents(
            load_file(folder / "words.safetensors"), read_exceptions(folder / "exceptions.txt.gz")
        )
        self._homographs = Homographs(
            read_lines(folder / "homographs.txt.gz"), once(lambda: ContextNetwork(folder))
        )

    def homographs(self, text: str) -> str:
        return self._homographs(text)

    def words(self, words: Sequence[str]) -> list[str]:
        return self._words(words)


@once
def load() -> StressModel:
    """The shipped model, one for the whole process.

    Raises:
        UserError: it is missing or damaged.
    """
    folder = models.find(NAME, kind="stress")
    try:
        return StressModel(ShippedSource(folder), str(read_json(folder / "card.json")["version"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, SafetensorError) as e:
        raise UserError(
            f"the model of Russian stress cannot be read ({e})",
            where=folder,
            hint='use the whole repository or the whole wheel, or choose stress="marks"',
        ) from None


def _letters(word: str) -> str:
    return plain(word).lower().replace("ё", "е")
