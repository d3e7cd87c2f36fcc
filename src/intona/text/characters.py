"""Unicode: what of a raw text is kept, one spelling for dashes and quotes, letters without accents."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from types import MappingProxyType

from intona.errors import UserError
from intona.text.symbols import ACUTE

_DASH = dict.fromkeys(map(ord, "‒–―−⸺⸻"), "—")
_HYPHEN = dict.fromkeys(map(ord, "\u2010\u2011\u00ad"), "-") | {0xAD: None}
_APOSTROPHE = dict.fromkeys(map(ord, "’‘ʼʹ´`＇"), "'")
_QUOTES = dict.fromkeys(map(ord, '"«»“”„‟‹›‚‛〝〞＂'), " ")
_BRACKETS = dict.fromkeys(map(ord, "()[]{}（）【】<>|/\\"), ",")
_WIDE = {ord("。"): ".", ord("、"): ",", ord("，"): ",", ord("！"): "!", ord("？"): "?", ord("："): ":",
         ord("；"): ";", ord("؟"): "?", ord("،"): ",", ord("؛"): ";", ord("।"): ".", ord("‽"): "?",
         ord("¡"): " ", ord("¿"): " ", ord("…"): "…", ord("•"): ",", ord("·"): ","}  # fmt: skip
_UNIFIED = _DASH | _HYPHEN | _APOSTROPHE | _WIDE
_QUOTES_AND_BRACKETS = _QUOTES | _BRACKETS
_MAX_MARKS = 4  # combining marks kept on one letter
_USUAL = re.compile("[ -~А-яЁё«»“”„–—…№]*")  # in NFC, with nothing to remove


def is_usual(text: str) -> bool:
    """Whether a text holds only characters of ordinary Russian and English."""
    return _USUAL.fullmatch(text) is not None


def clean(text: str) -> str:
    """NFC; control, zero-width and unpaired-surrogate characters removed; dashes, quotes, spaces unified.

    Linear in the length of the text, whatever it contains.
    """
    out = text if is_usual(text) else usable(text)
    out = out.translate(_UNIFIED)
    out = re.sub(r"\.{2,}", "…", out)
    # A hyphen beside a space, or at an end of the text, is a dash.
    out = re.sub(r"(?:(?<=\s)|^)-+(?=\s|$)|-{2,}", "—", out)
    out = re.sub(r"(?<=[^\s\d])-+(?=\s|$)|(?<=[,.!?:;])-+", "—", out)
    return re.sub(r"\s+", " ", out).strip()


def usable(text: str) -> str:
    """NFC with controls as spaces and without format characters, surrogates and surplus accents."""
    kept: list[str] = []
    marks = 0
    for ch in text:
        if ch == " " or "a" <= ch <= "z" or "а" <= ch <= "я":
            kept.append(ch)
            marks = 0
            continue
        kind = category(ch)
        if kind[0] == "M":
            marks += 1
            if marks <= _MAX_MARKS:
                kept.append(ch)
            continue
        marks = 0
        if kind in ("Cs", "Cf", "Co", "Cn"):
            continue
        kept.append(" " if kind[0] in "CZ" else ch)
    return unicodedata.normalize("NFC", "".join(kept))


def without_brackets(text: str) -> str:
    """Brackets and slashes as commas, quotes as spaces."""
    return text.translate(_QUOTES_AND_BRACKETS)


def unassigned(text: str) -> tuple[str, ...]:
    """Characters without a meaning (unassigned, private, half of a surrogate pair), each once, in order."""
    if is_usual(text):
        return ()
    return tuple(dict.fromkeys(ch for ch in text if category(ch) in ("Cn", "Co", "Cs")))


def unread_signs(text: str) -> tuple[str, ...]:
    """Signs that are left in a verbalized text, each once, in order.

    Those of ASCII, except "^" and "~", are silent and need no reading.
    """
    return tuple(ch for ch in dict.fromkeys(text) if is_symbol(ch) and (not ch.isascii() or ch in "^~"))


def is_symbol(ch: str) -> bool:
    """True for what has to be read by a name: signs, currencies, emoji, numbers that are no digits."""
    kind = category(ch)
    return kind[0] == "S" or kind == "No" or (kind == "Po" and ch in "†‡※⁂")


def fold(
    text: str,
    reads: Callable[[str], bool],
    *,
    language: str,
    respelled: Mapping[str, str] = MappingProxyType({}),
    acute_after: Collection[str] = (),
) -> str:
    """Letters without the accents that a language does not write.

    Args:
        reads: whether a letter belongs to the language.
        language: its code, for the message.
        respelled: letters of other alphabets (in small letters) and what stands for them.
        acute_after: small letters after which U+0301 stays: it marks their stress.

    Raises:
        UserError: letters of another script.
    """
    if text.isascii():
        return text
    out: list[str] = []
    foreign: dict[str, None] = {}
    for ch in text:
        kind = category(ch)[0]
        if kind == "M":
            if ch == ACUTE and out and out[-1].lower() in acute_after:
                out.append(ch)
        elif kind != "L":
            out.append(ch)
        elif ch.lower() in respelled:
            out.append(respelled[ch.lower()])
        elif reads(ch):
            out.append(ch)
        else:
            decomposed = unicodedata.normalize("NFKD", ch)
            letters = "".join(c for c in decomposed if category(c)[0] != "M")
            if letters and all(map(reads, letters)):
                out.append(letters)
            else:
                foreign[ch] = None
    if foreign:
        listed = " ".join(f"{c} (U+{ord(c):04X})" for c in list(foreign)[:5])
        raise UserError(
            f'letters that language "{language}" does not read: {listed}{" …" if len(foreign) > 5 else ""}',
            where="text",
            hint="remove or respell them",
        )
    return "".join(out)


@lru_cache(maxsize=65536)
def category(ch: str) -> str:
    return unicodedata.category(ch)


@lru_cache(maxsize=65536)
def script(ch: str) -> str:
    """First word of the character's Unicode name ("CYRILLIC", "LATIN", ...), "" when it has none."""
    return unicodedata.name(ch, "").split(" ")[0]
