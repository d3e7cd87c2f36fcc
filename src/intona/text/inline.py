"""Phonemes written inside a text: `Это [[x ɪ m ɪ n ɡ ʊ ˈe j]].`

Phones are separated by spaces or written as unsegmented IPA, words are separated by "|". Punctuation may
stand between words, as in the output of `intona read --phonemes`. Which phones there are depends on the voice
(its vocabulary), or without a voice on the rules of the language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from intona.errors import Unspeakable
from intona.text import ipa
from intona.text.symbols import PUNCTUATION

OPEN, CLOSE = "[[", "]]"
EXAMPLE = "[[p rʲ ɪ vʲ ˈe t]]"
_PIECE = re.compile(r"\[\[(.*?)(\]\]|\[\[|$)", re.DOTALL)
_IPA_PHONE = re.compile(r"[a-zæçðøħŋœβθχǀ-ǃɐ-ʯᵻᵿ]+\^?-?")
_LETTERS_OF_A_PHONE = 2  # at most: affricates and diphthongs
MAX_PHONES = 2000  # between one pair of brackets


class PhonemeError(Unspeakable):
    """Phonemes in a text or a lexicon that are malformed or unknown to the voice."""


@dataclass(frozen=True)
class Pronounced:
    """A word whose phonemes are written in the text or the lexicon.

    Args:
        text: its letters, "" if there are only phonemes.
    """

    text: str
    phones: tuple[str, ...]

    @property
    def label(self) -> str:
        """How reports name the word."""
        return self.text or "".join(self.phones)

    def followed_by(self, text: str, phones: Sequence[str]) -> Pronounced:
        """The word with an ending appended."""
        return Pronounced(self.text + text if self.text else "", (*self.phones, *phones))

    def __str__(self) -> str:
        return self.text or f"{OPEN}{ipa.to_text(self.phones)}{CLOSE}"


def present(text: str) -> bool:
    """Whether a text contains `[[`."""
    return OPEN in text


def without(text: str) -> str:
    """The text without its phonemes, whose letters would hide its script."""
    return _PIECE.sub(" ", text) if OPEN in text else text


def spans_of(text: str, *, where: str | None = None) -> list[tuple[int, int]]:
    """The ranges of `[[…]]` in a text, brackets included.

    Raises:
        PhonemeError: one of them is not closed, or is empty.
    """
    out = []
    at = text.find(OPEN)
    while at >= 0:
        m = _PIECE.match(text, at)
        if m is None or m[2] != CLOSE:
            place = where or f'text "{_shown(text[at:])}"'
            raise PhonemeError(f"{OPEN} without {CLOSE}", where=place, hint=f"write {EXAMPLE}")
        if not m[1].strip(" \t\r\n|"):
            raise PhonemeError(
                f"no phonemes between {OPEN} and {CLOSE}", where=where or "text", hint=f"write {EXAMPLE}"
            )
        out.append((at, m.end()))
        at = text.find(OPEN, m.end())
    return out


def parse(
    content: str, known: Collection[str] | None, *, where: str, stressed: bool = True
) -> list[tuple[str, ...] | str]:
    """The text between the brackets, as words (tuples of phones) and punctuation symbols.

    Args:
        known: the phones that can be spoken; None: any combination of IPA letters and diacritics.
        stressed: False removes the stress marks, for a voice without them.

    Raises:
        PhonemeError: an unknown phone, too many phones, or none.
    """
    out: list[tuple[str, ...] | str] = []
    for part in re.split(r"\s*\|\s*", unicodedata.normalize("NFC", content).replace("g", "ɡ").strip()):
        phones: list[str] = []
        for chunk in part.split():
            if chunk in PUNCTUATION:
                out += [_settled(phones, known, where, stressed), chunk] if phones else [chunk]
                phones = []
            else:
                phones += _segmented(chunk, known)
        if phones:
            out.append(_settled(phones, known, where, stressed))
    if not any(isinstance(word, tuple) for word in out):
        raise PhonemeError("no phonemes in it", where=where, hint=f"write {EXAMPLE}")
    if sum(map(len, out)) > MAX_PHONES:
        raise PhonemeError(f"more than {MAX_PHONES} phonemes", where=where, hint="split them")
    return out


def _segmented(chunk: str, known: Collection[str] | None) -> list[str]:
    """The phones of a run without spaces, which may be a single phone."""
    body = chunk.lstrip(ipa.PRIMARY + ipa.SECONDARY)
    if body in (known or ()) or chunk in (known or ()) or not body:
        return [chunk]
    phones = ipa.split_ipa(chunk)
    if known is None:
        return [chunk] if _IPA_PHONE.fullmatch(_letters(body)) and _is_one(body) else phones
    out: list[str] = []
    for phone in phones:
        phone = phone if phone in known else _untied(phone)
        # "tɕ" is one phone where there is no "ɕ".
        if out and phone not in known and out[-1] + phone in known:
            out[-1] += phone
        else:
            out.append(phone)
    cores = {_core(p) for p in known}
    # If neither "dʑ" nor "ʑ" is known, the message should be about "dʑ".
    return [chunk] if _is_one(body) and any(_core(p) not in cores for p in out) else out


def _settled(
    phones: Sequence[str], known: Collection[str] | None, where: str, stressed: bool
) -> tuple[str, ...]:
    """One word, checked: stress marks in front of vowels, no secondary stress, every phone known."""
    out = ipa.settle_stress(phones, secondary=False)
    if not stressed:
        out = [p.lstrip(ipa.PRIMARY) for p in out]
    if not out:
        raise PhonemeError("a stress mark without a phoneme", where=where)
    for phone in out:
        if known is not None and phone not in known:
            raise PhonemeError(f'unknown phoneme "{phone}"', where=where, hint=_nearest(phone, known))
        if known is None and not _IPA_PHONE.fullmatch(_letters(phone.lstrip(ipa.PRIMARY))):
            raise PhonemeError(f'"{phone}" is not written in IPA', where=where, hint="write [[h ə l ˈoʊ]]")
    return tuple(out)


def _letters(phone: str) -> str:
    """A phone without diacritics, length marks and ties."""
    decomposed = unicodedata.normalize("NFD", phone)
    kept = (c for c in decomposed if unicodedata.category(c) not in ("Mn", "Lm", "Sk"))
    return "".join(kept) + "^" * phone.endswith("^")


def _is_one(body: str) -> bool:
    return len(_letters(body).rstrip("^-")) <= _LETTERS_OF_A_PHONE


def _untied(phone: str) -> str:
    return phone.replace("\u0361", "").replace("\u035c", "")


def _nearest(phone: str, known: Collection[str]) -> str:
    """A hint: the known phones that differ only in stress, length or softness, else all of them."""
    close = sorted(p for p in known if _core(p) == _core(phone))
    if close:
        return f"did you mean {' or '.join(close)}?"
    phones = sorted(filter(ipa.is_word_symbol, known), key=lambda p: (_core(p), p))
    return f"known: {' '.join(p for p in phones if not p.startswith('<'))}"


def _core(phone: str) -> str:
    """A phone without stress, length and softness."""
    return _letters(_untied(phone).lstrip(ipa.PRIMARY + ipa.SECONDARY))


def _shown(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"
