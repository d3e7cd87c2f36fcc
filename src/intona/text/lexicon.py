"""A pronunciation lexicon: words as written, and how to pronounce them.

    # a comment; one entry per line, with a tab or " = " between its two parts
    Хэмингуэй	Хемингу+эй
    nginx = энджин+икс
    Versailles = [[v ɛ ɹ s ˈaɪ]]

Entries match whole words, in upper or lower case. An entry with е also matches ё, but one with exactly the
same letters is preferred. If several entries match, the longest one is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.errors import UserError
from intona.text import inline
from intona.text.symbols import ACUTE, RU_VOWELS, STRESS

FILE_NAME = "lexicon.txt"  # in a voice's directory
MAX_BYTES = 32 << 20
MAX_ENTRIES = 500_000
MAX_WORD, MAX_SPOKEN = 100, 1000  # characters
_EXPECTED = 'write WORD, a tab or " = ", then a spelling or [[phonemes]]'
# A word with its apostrophes and stress marks, white space, or one other character. Hyphens separate words,
# and so does the apostrophe of a possessive.
_ATOM = re.compile(
    r"(?:\+(?=[^\W\d_]))?[\w\u0300-\u036f]+(?:(?:\+|['’](?!s\b)(?=[^\W\d_]))[\w\u0300-\u036f]+)*"
    r"|\s+|[^\w\s]"
)
_RUN = re.compile(r"\s+")


@dataclass(frozen=True, kw_only=True)
class LexiconEntry:
    """One line of a lexicon.

    Args:
        word: one or several words as written.
        spelling: what to read instead, "" for an entry with phonemes.
        phonemes: the text between [[ and ]], "" for an entry with a spelling.
        where: file and line.
    """

    word: str
    spelling: str = ""
    phonemes: str = ""
    where: str = ""


@dataclass(frozen=True)
class Match:
    """An entry and the range of its word in a text."""

    start: int
    end: int
    entry: LexiconEntry


class Lexicon:
    """Entries by their words; created by `read` or `parse`."""

    def __init__(self, entries: Sequence[LexiconEntry] = ()) -> None:
        self.entries = tuple(entries)
        self._exact: dict[tuple[str, ...], LexiconEntry] = {}
        for entry in self.entries:
            key = _key(entry.word)
            if (before := self._exact.get(key)) is not None:
                raise UserError(
                    f'"{entry.word}" is listed twice, first in {before.where}',
                    where=entry.where,
                    hint="remove one of them",
                )
            self._exact[key] = entry
        self._without_yo: dict[tuple[str, ...], LexiconEntry] = {}
        self._lengths: dict[
            str, list[int]
        ] = {}  # atom -> lengths of the keys that begin with it, longest first
        for key, entry in self._exact.items():
            self._without_yo.setdefault(tuple(map(_e_for_yo, key)), entry)
            lengths = self._lengths.setdefault(_e_for_yo(key[0]), [])
            if len(key) not in lengths:
                lengths.append(len(key))
                lengths.sort(reverse=True)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Lexicon:
        """Read a UTF-8 file.

        Raises:
            UserError: the file is unreadable or too large; a line that is no entry, or repeats one.
        """
        try:
            with open(path, "rb") as f:
                raw = f.read(MAX_BYTES + 1)
        except OSError as e:
            raise UserError(f"cannot be read ({e.strerror})", where=os.fspath(path)) from None
        if len(raw) > MAX_BYTES:
            raise UserError(f"more than {MAX_BYTES >> 20} MB", where=os.fspath(path), hint="split it")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as e:
            raise UserError(f"not UTF-8 text (byte {e.start})", where=os.fspath(path)) from None
        return cls.parse(text, where=os.fspath(path))

    @classmethod
    def parse(cls, text: str, *, where: str = "lexicon") -> Lexicon:
        """Read a lexicon from a string.

        Raises:
            UserError: as for `read`.
        """
        entries = []
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
            line = unicodedata.normalize("NFC", line).strip()
            if line and not line.startswith("#"):
                entries.append(_entry(line, f"{where}, line {number}"))
            if len(entries) > MAX_ENTRIES:
                raise UserError(f"more than {MAX_ENTRIES} entries", where=where, hint="split it")
        return cls(entries)

    def __len__(self) -> int:
        return len(self.entries)

    def over(self, other: Lexicon) -> Lexicon:
        """Both lexicons in one. Where they have the same word, the entry of this one is used."""
        return Lexicon([*self.entries, *(e for k, e in other._exact.items() if k not in self._exact)])

    def spellings(self) -> Lexicon:
        """Only the entries with spellings, for voices that read letters."""
        return Lexicon([e for e in self.entries if not e.phonemes])

    @property
    def fingerprint(self) -> str:
        """A hash of the entries, independent of their order."""
        lines = sorted(f"{e.word}\t{e.spelling}\t{e.phonemes}" for e in self.entries)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def matches(self, text: str) -> Iterator[Match]:
        """The entries that match in a text, in order and without overlap; the longest one at each place."""
        if not self.entries:
            return
        atoms = [(m.start(), m.end(), _folded(m[0])) for m in _ATOM.finditer(text)]
        i = 0
        while i < len(atoms):
            longest = self._longest([a for _, _, a in atoms[i : i + self._most(atoms[i][2])]])
            if longest is None:
                i += 1
                continue
            entry, n = longest
            yield Match(atoms[i][0], atoms[i + n - 1][1], entry)
            i += n

    def _most(self, atom: str) -> int:
        return self._lengths.get(_e_for_yo(atom), [0])[0]

    def _longest(self, atoms: list[str]) -> tuple[LexiconEntry, int] | None:
        for n in self._lengths.get(_e_for_yo(atoms[0]), []) if atoms else []:
            key = tuple(atoms[:n])
            entry = self._exact.get(key) or self._without_yo.get(tuple(map(_e_for_yo, key)))
            if len(key) == n and entry is not None:
                return entry, n
        return None


def of(lexicon: Lexicon | str | os.PathLike[str] | None) -> Lexicon | None:
    """A lexicon, which may be passed as the path of its file."""
    return lexicon if lexicon is None or isinstance(lexicon, Lexicon) else Lexicon.read(lexicon)


def in_directory(path: Path) -> Path | None:
    """The lexicon file in the directory of a model, or in the run directory of a checkpoint."""
    run = path.parent if (path / "state").is_dir() or path.name == "best" else path
    return next((d / FILE_NAME for d in (path, run) if (d / FILE_NAME).is_file()), None)


def _entry(line: str, where: str) -> LexiconEntry:
    fields = re.split(r"\t+", line) if "\t" in line else re.split(r"\s=\s", line, maxsplit=1)
    if len(fields) != 2:
        raise UserError(f"{len(fields)} fields, expected 2", where=where, hint=_EXPECTED)
    word, spoken = (f.strip() for f in fields)
    if not any(c.isalnum() for c in word) or inline.OPEN in word:
        raise UserError(f'"{word[:40]}" is not a word', where=where, hint=_EXPECTED)
    if len(word) > MAX_WORD or len(spoken) > MAX_SPOKEN:
        raise UserError(f"more than {MAX_WORD} characters, or {MAX_SPOKEN} in the pronunciation", where=where)
    if re.search(rf"\+[{''.join(RU_VOWELS)}]|{ACUTE}", word.lower()):
        raise UserError(
            f'"{word}" has a stress mark', where=where, hint="write the word as it appears in texts"
        )
    if spoken.startswith(inline.OPEN):
        if inline.spans_of(spoken, where=where) != [(0, len(spoken))]:
            raise UserError(f"text after {inline.CLOSE}", where=where, hint=_EXPECTED)
        return LexiconEntry(word=word, phonemes=spoken[2:-2].strip(), where=where)
    if inline.OPEN in spoken or inline.CLOSE in spoken:
        raise UserError("a spelling as well as phonemes", where=where, hint="write one of them")
    if not any(c.isalpha() for c in spoken):
        raise UserError(f'"{spoken[:40]}" is not a spelling', where=where, hint=_EXPECTED)
    if "#" in spoken:
        raise UserError('"#" in a spelling', where=where, hint="put the comment on a separate line")
    for m in re.finditer(re.escape(STRESS), spoken):
        if spoken[m.end() : m.end() + 1].lower() not in RU_VOWELS or m.end() == len(spoken):
            raise UserError(
                f'"{STRESS}" is not before a Russian vowel in "{spoken[:40]}"',
                where=where,
                hint="put it before the stressed vowel: Хемингу+эй",
            )
    return LexiconEntry(word=word, spelling=spoken, where=where)


def _key(word: str) -> tuple[str, ...]:
    return tuple(_folded(m[0]) for m in _ATOM.finditer(word))


def _folded(atom: str) -> str:
    return _RUN.sub(" ", unicodedata.normalize("NFC", atom).casefold().replace("’", "'"))


def _e_for_yo(atom: str) -> str:
    return atom.replace("ё", "е")
