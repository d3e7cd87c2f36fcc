"""IPA strings as symbols: one per phone, with the stress mark in front of the stressed vowel."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from intona.errors import UserError
from intona.text.symbols import PUNCTUATION

PRIMARY, SECONDARY = "ˈ", "ˌ"
SPACE, WRITTEN_SPACE = " ", "|"
VOWELS = frozenset("aeiouyɑɐɒæəɘɚɛɜɝɞɪɨɔʊʌɵøœɶʉɯɤʏᵻᵿ")
_LENGTH = frozenset("ːˑ")
_TIES = frozenset("͜͡")


def is_vowel(phone: str) -> bool:
    """True for a syllabic phone. `ɪ^` of espeak-ng is not one: it only marks palatalisation."""
    return any(c in VOWELS for c in phone) and not phone.endswith("^")


def is_stressed(phone: str) -> bool:
    return phone.startswith(PRIMARY)


def is_word_symbol(symbol: str) -> bool:
    """True for a phone, False for the word boundary and punctuation."""
    return symbol != SPACE and symbol not in PUNCTUATION


def split_ipa(text: str) -> list[str]:
    """Unsegmented IPA to phones: a letter with its modifiers, or two letters joined by a tie bar.

    `"prʲivʲˈet"` -> `["p", "rʲ", "i", "vʲ", "ˈe", "t"]`. Secondary stress is kept.
    """
    out: list[str] = []
    pending, tied = "", False
    for ch in unicodedata.normalize("NFD", text):
        if ch.isspace():
            tied = False
        elif ch in (PRIMARY, SECONDARY):
            pending = ch
        elif ch in _TIES:
            if out:
                out[-1] += ch
                tied = True
        elif out and (unicodedata.category(ch) in ("Mn", "Lm", "Sk") or ch in _LENGTH or ch == "^"):
            out[-1] += ch
        elif tied and out:
            out[-1] += ch
            tied = False
        else:
            out.append(pending + ch)
            pending = ""
    return [p for symbol in settle_stress(out) if (p := unicodedata.normalize("NFC", symbol))]


def settle_stress(phones: Sequence[str], *, secondary: bool = True) -> list[str]:
    """Move each stress mark that stands before a consonant to the vowel of its syllable.

    Args:
        secondary: False removes secondary stress.
    """
    out: list[str] = []
    pending = ""
    for phone in phones:
        mark = phone[0] if phone[:1] in (PRIMARY, SECONDARY) else ""
        body = phone.lstrip(PRIMARY + SECONDARY)
        if not body:
            pending = mark or pending
            continue
        mark = mark or pending
        if mark and not is_vowel(body):
            pending, mark = mark, ""
        else:
            pending = ""
        out.append((mark if secondary or mark == PRIMARY else "") + body)
    return out


def to_text(symbols: Iterable[str]) -> str:
    """Symbols as one line: a space between symbols, `|` for the word boundary."""
    return " ".join(WRITTEN_SPACE if s == SPACE else s for s in symbols)


def from_text(line: str) -> tuple[str, ...]:
    """Inverse of `to_text`.

    Raises:
        UserError: an empty line, or one without a phone.
    """
    symbols = tuple(SPACE if s == WRITTEN_SPACE else s for s in unicodedata.normalize("NFC", line).split())
    if not symbols:
        raise UserError("empty phoneme string", where="text", hint='write phonemes like "p rʲ ɪ vʲ ˈe t"')
    if not any(map(is_word_symbol, symbols)):
        raise UserError("no phones in the phoneme string", where="text")
    return symbols
