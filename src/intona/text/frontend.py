"""Text to phonemes with exact words: the `Frontend`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from intona.errors import UserError
from intona.text import ipa, normalize, phonemize
from intona.text.normalize import PUNCTUATION


@dataclass(frozen=True, kw_only=True)
class FrontendConfig:
    """How text becomes phonemes.

    Args:
        language: "ru", "en" (American espeak-ng voice "en-us") or any espeak-ng code.
        stress: Russian only. "auto": marks, then silero-stress if installed, else espeak-ng's dictionary;
            "silero": the same, and an error when it is missing; "marks": marks, then espeak-ng;
            "none": no stress symbols at all.
        g2p: "auto" takes this package's letter rules for Russian and espeak-ng for all other languages;
            "espeak" takes espeak-ng's phones for Russian too.
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
    """One text made ready.

    Args:
        text: as given.
        normalized: as read aloud, with `+` before vowels that were marked in the text.
        phonemes: phones, " " between words, punctuation symbols after their word.
        words: in order; every phone belongs to exactly one word.
        unspoken: words of the text that gave no phone, for a report.
    """

    text: str
    normalized: str
    phonemes: tuple[str, ...]
    words: tuple[Word, ...]
    unspoken: tuple[str, ...] = ()

    @property
    def plain(self) -> str:
        """`normalized` without stress marks: what a BPE tokenizer reads."""
        return normalize.plain(self.normalized)

    def __str__(self) -> str:
        return ipa.to_text(self.phonemes)


class Frontend:
    """Batched text front end; loads espeak-ng and the stress model at first use. Thread-safe."""

    def __init__(self, config: FrontendConfig | None = None) -> None:
        self.config = config or FrontendConfig()
        self._lock = threading.Lock()
        self._engine: phonemize.Engine | None = None

    @property
    def engine(self) -> phonemize.Engine:
        with self._lock:
            if self._engine is None:
                c = self.config
                self._engine = phonemize.make(c.language, c.stress, c.g2p)
            return self._engine

    def __call__(self, texts: Sequence[str]) -> list[Utterance]:
        """Utterances of the texts, in order.

        Raises:
            UserError: an empty or unreadable text (its index is named when there are several).
        """
        if isinstance(texts, str):
            raise TypeError("give a list of texts, not one string")
        tokens: list[list[str]] = []
        for i, text in enumerate(texts):
            try:
                tokens.append(normalize.normalize(text, self.config.language).tokens)
            except UserError as e:
                if len(texts) == 1:
                    raise
                raise UserError(e.what, where=f"text {i}: {e.where}", mend=e.mend) from None
        out = []
        for text, toks, phones in zip(texts, tokens, self.engine.phones(tokens), strict=True):
            out.append(_assemble(text, toks, phones))
        return out

    def from_phonemes(self, line: str) -> Utterance:
        """An utterance from phonemes written by hand or by a corpus ("p rʲ ɪ vʲ ˈe t | mʲ ˈi r !")."""
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
        """What made the phonemes, as JSON types; kept beside every tokenizer and compared at synthesis."""
        return {
            "language": self.config.language,
            "normalizer_version": normalize.VERSION,
            **self.engine.describe(),
        }


def _assemble(text: str, tokens: list[str], phones: list[tuple[str, ...]]) -> Utterance:
    """Words and punctuation in one symbol row; `phones` holds one entry a word token."""
    row: list[str] = []
    words: list[Word] = []
    said: list[str] = []
    silent: list[str] = []
    k = 0
    for token in tokens:
        if token in PUNCTUATION:
            if row and row[-1] != token:
                row.append(token)
                said.append(token)
            continue
        heard = phones[k]
        k += 1
        if not heard:
            silent.append(token)
            continue
        if row:
            row.append(ipa.SPACE)
        words.append(Word(normalize.plain(token), len(row), len(row) + len(heard)))
        row.extend(heard)
        said.append(token)
    if not words:
        raise UserError("no words in the text that can be spoken", where="text")
    return Utterance(
        text=text,
        normalized=normalize.joined(said),
        phonemes=tuple(row),
        words=tuple(words),
        unspoken=tuple(silent),
    )


_NAMES = {
    "language": "language",
    "normalizer_version": "normalizer",
    "backend": "phonemizer",
    "backend_version": "phonemizer version",
    "stress": "stress source",
    "stress_version": "stress source version",
}


def compatible(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Differences of two `Frontend.describe()` results, one line each; empty when they agree."""
    keys = dict.fromkeys((*_NAMES, *a, *b))
    return [
        f"{_NAMES.get(k, k)}: {a.get(k)!r} there, {b.get(k)!r} here" for k in keys if a.get(k) != b.get(k)
    ]


def inventory_differences(trained_with: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What `compatible` lists, without what changes readings but makes no phoneme that a voice does not know.

    Another version of the normalizer or of the stress model, and letter rules with the same phones.
    """
    same = {"normalizer_version"}
    if trained_with.get("stress") == here.get("stress"):
        same.add("stress_version")
    rules = {(d.get("backend"), d.get("backend_version")) for d in (trained_with, here)}
    if rules <= {("intona-ru", version) for version in phonemize.SAME_PHONES}:
        same.add("backend_version")
    return compatible(*({k: v for k, v in d.items() if k not in same} for d in (trained_with, here)))
