"""Raw text to speakable tokens: Unicode cleaning, punctuation, words. Spelling out: `verbalize_*`.

The result is a list of tokens in order: words (letters, inner hyphens and apostrophes, `+` before a stressed
vowel) and punctuation symbols. VERSION changes whenever the same text may give other tokens.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from intona.errors import UserError
from intona.text import verbalize_en, verbalize_ru

VERSION = "2"
PUNCTUATION = (",", ".", "!", "?", ":", ";", "—", "…")
RU_VOWELS = frozenset("аеёиоуыэюя")
STRESS, ACUTE = "+", "\u0301"
SCRIPTS = {"en": ("LATIN",)}  # "ru" reads its own 33 letters; others: whatever espeak-ng can say
# Letters of sister alphabets in Russian ones, so that a Ukrainian or Serbian name is not refused.
_KIN = {"і": "и", "ї": "йи", "є": "е", "ґ": "г", "ў": "у", "ј": "й", "љ": "ль", "њ": "нь", "ћ": "ч", 
        "ђ": "дж", "џ": "дж", "ѕ": "дз", "ѣ": "е", "ѳ": "ф", "ѵ": "и"}  # fmt: skip

_DASH = dict.fromkeys(map(ord, "‒–―−⸺⸻"), "—")
_HYPHEN = dict.fromkeys(map(ord, "\u2010\u2011\u00ad"), "-") | {0xAD: None}
_APOSTROPHE = dict.fromkeys(map(ord, "’‘ʼʹ´`＇"), "'")
_QUOTES = dict.fromkeys(map(ord, '"«»“”„‟‹›‚‛〝〞＂'), " ")
_BRACKETS = dict.fromkeys(map(ord, "()[]{}（）【】<>|/\\"), ",")
_WIDE = {ord("。"): ".", ord("、"): ",", ord("，"): ",", ord("！"): "!", ord("？"): "?", ord("："): ":",
         ord("；"): ";", ord("؟"): "?", ord("،"): ",", ord("؛"): ";", ord("।"): ".", ord("‽"): "?",
         ord("¡"): " ", ord("¿"): " ", ord("…"): "…", ord("•"): ",", ord("·"): ","}  # fmt: skip
_TABLE = _DASH | _HYPHEN | _APOSTROPHE | _WIDE
_AFTER = _QUOTES | _BRACKETS
_MAX_MARKS = 4  # combining marks kept on one letter

_TOKEN = re.compile(
    r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f]|[-'+](?=[^\W\d_]))*|\+[^\W\d_](?:[^\W\d_]|[-'+](?=[^\W\d_]))*|[,.!?:;—…]"
)
_USUAL = re.compile("[ -~А-яЁё«»“”„–—…№]*")  # NFC already, nothing to remove
_FOOTNOTE = re.compile(r"(?<=[а-яё]{4})[¹²³⁰⁴-⁹]+")  # a unit ("мм²") is shorter than a word
# U+2212, or an en dash that stands where only a minus can.
_MINUS = re.compile(r"\u2212(?=\s?\d)|(?<![\w)])(?<!\d )–(?=\d)")
_OF_RUSSIAN = re.compile("[\0-\x7fА-яЁё«»“”„–—…№]*")


@dataclass(frozen=True)
class Normalized:
    """What is read aloud of a text.

    Args:
        tokens: words and punctuation symbols in order; starts with a word.
        unreadable: characters of the text for which there is no reading, each once, in order.
    """

    tokens: list[str]
    unreadable: tuple[str, ...] = ()


def clean(text: str) -> str:
    """NFC; control, zero-width and unpaired-surrogate characters removed; dashes, quotes, spaces unified.

    Linear in the length whatever the text holds.
    """
    out = text if _USUAL.fullmatch(text) else _usable(text)
    out = out.translate(_TABLE)
    out = re.sub(r"\.{2,}", "…", out)
    # A hyphen with a space or an end beside it is a dash.
    out = re.sub(r"(?:(?<=\s)|^)-+(?=\s|$)|-{2,}", "—", out)
    out = re.sub(r"(?<=[^\s\d])-+(?=\s|$)|(?<=[,.!?:;])-+", "—", out)
    return re.sub(r"\s+", " ", out).strip()


def _usable(text: str) -> str:
    """NFC without what no voice can read: controls become spaces, format characters and surrogates go."""
    kept: list[str] = []
    marks = 0
    for ch in text:
        if ch == " " or "a" <= ch <= "z" or "а" <= ch <= "я":
            kept.append(ch)
            marks = 0
            continue
        category = _category(ch)
        if category[0] == "M":
            marks += 1
            if marks <= _MAX_MARKS:
                kept.append(ch)
            continue
        marks = 0
        if category in ("Cs", "Cf", "Co", "Cn"):
            continue
        kept.append(" " if category[0] in "CZ" else ch)
    return unicodedata.normalize("NFC", "".join(kept))


@lru_cache(maxsize=65536)
def _category(ch: str) -> str:
    return unicodedata.category(ch)


@lru_cache(maxsize=65536)
def script(ch: str) -> str:
    """First word of the character's Unicode name ("CYRILLIC", "LATIN", ...), "" when it has none."""
    return unicodedata.name(ch, "").split(" ")[0]


def normalize(text: str, language: str) -> Normalized:
    """Tokens of one text, and the characters in it that cannot be read.

    Raises:
        UserError: empty text, no word in it, or letters of a script that the language does not read.
    """
    if not text.strip():
        raise UserError("empty text", where="text")
    base = language.split("-")[0]
    out, unreadable = _verbalized(text, base)
    out = out.translate(_AFTER)
    out = _marks(out) if base == "ru" else out.replace(STRESS, " ")
    if base not in ("ru", "en"):
        # Digits, marks and signs of other languages go to espeak-ng as they are, split at spaces.
        pattern = re.compile(
            r"[,.!?:;—…](?=\s|$|[,.!?:;—…])|[—…]|(?:(?![,.!?:;—…](?:\s|$|[,.!?:;—…]))[^\s—…])+"
        )
        found = [t for t in pattern.findall(out) if t in PUNCTUATION or any(c.isalnum() for c in t)]
    else:
        found = _TOKEN.findall(out)
    tokens: list[str] = []
    for token in found:
        if token in PUNCTUATION:
            if not tokens or token == tokens[-1]:
                continue  # nothing to pause after yet, or the same sign again
            if len(tokens) >= 2 and tokens[-1] in PUNCTUATION and tokens[-2] in PUNCTUATION:
                continue  # two signs in a row are the most that a voice can act on
        tokens.append(token)
    if not tokens:
        raise UserError(
            "no words in the text", where=f'text "{_show(text)}"', hint="write something to be read aloud"
        )
    return Normalized(tokens, tuple(unreadable))


def _verbalized(text: str, base: str) -> tuple[str, dict[str, None]]:
    """Cleaned text with numbers, signs and abbreviations in words, and the characters without a reading."""
    unreadable: dict[str, None] = {}
    usual = _USUAL.fullmatch(text) is not None
    if not usual:
        unreadable |= dict.fromkeys(ch for ch in text if _category(ch) in ("Cn", "Co", "Cs"))
    if base == "ru":
        if not usual:
            text = _usable(text)
            strange = [c for c in dict.fromkeys(text) if _is_symbol(c) and c not in verbalize_ru.READABLE]
            unreadable |= dict.fromkeys([*strange, *"".join(_FOOTNOTE.findall(text))])
            text = _FOOTNOTE.sub("", text).translate(str.maketrans(dict.fromkeys(strange, " ")))
        # Before dashes and hyphens are unified: a minus sign must be seen.
        out = clean(verbalize_ru.verbalize(text))
    else:
        out = clean(_MINUS.sub("-", text))
        out = verbalize_en.verbalize(out) if base == "en" else out
    if base in ("ru", "en"):
        out = _fold(out, base)
        left = (ch for ch in dict.fromkeys(out) if _is_symbol(ch) and (not ch.isascii() or ch in "^~"))
        unreadable |= dict.fromkeys(left)
    return out, unreadable


def _is_symbol(ch: str) -> bool:
    """True for what has to be read by a name: signs, currencies, emoji, numbers that are no digits."""
    category = _category(ch)
    return category[0] == "S" or category == "No" or (category == "Po" and ch in "†‡※⁂")


def _reads(ch: str, base: str) -> bool:
    if base == "ru":
        return "а" <= ch.lower() <= "я" or ch in "ёЁ"
    return script(ch) in SCRIPTS[base]


def _fold(text: str, base: str) -> str:
    """Accents off, U+0301 after a Cyrillic vowel kept; other scripts refused by name."""
    if text.isascii() or (base == "ru" and _OF_RUSSIAN.fullmatch(text)):
        return text
    out: list[str] = []
    strange: dict[str, None] = {}
    for ch in text:
        category = _category(ch)
        if category[0] == "M":
            if ch == ACUTE and base == "ru" and out and out[-1].lower() in RU_VOWELS:
                out.append(ch)
        elif category[0] == "L":
            if base == "ru" and ch.lower() in _KIN:
                out.append(_KIN[ch.lower()])
                continue
            if _reads(ch, base):
                out.append(ch)
                continue
            plain = unicodedata.normalize("NFKD", ch)
            plain = "".join(c for c in plain if _category(c)[0] != "M")
            if plain and all(_reads(c, base) for c in plain):
                out.append(plain)
            else:
                strange[ch] = None
        else:
            out.append(ch)
    if strange:
        shown = " ".join(f"{c} (U+{ord(c):04X})" for c in list(strange)[:5]) + (
            " …" if len(strange) > 5 else ""
        )
        raise UserError(
            f'letters that language "{base}" does not read: {shown}',
            where="text",
            hint="remove or respell them",
        )
    return "".join(out)


def _marks(text: str) -> str:
    """U+0301 after a vowel becomes `+` before it; a `+` that stands before no vowel goes."""
    text = re.sub(rf"([аеёиоуыэюяАЕЁИОУЫЭЮЯ]){ACUTE}+", r"+\1", text)
    text = re.sub(r"\++(?=[аеёиоуыэюяАЕЁИОУЫЭЮЯ])", "+", text)
    return re.sub(r"\+(?![аеёиоуыэюяАЕЁИОУЫЭЮЯ])|" + ACUTE, " ", text)


def plain(word: str) -> str:
    """A word without its stress marks."""
    return word.replace(STRESS, "").replace(ACUTE, "")


def marked_vowel(word: str) -> int | None:
    """Ordinal of the vowel letter that `+` marks (the last mark wins: the main stress), else None."""
    at = word.rfind(STRESS)
    return None if at < 0 else sum(c in RU_VOWELS for c in word[:at].lower())


def joined(tokens: list[str]) -> str:
    """Tokens as one text: a space before words, none before punctuation except the dash."""
    out: list[str] = []
    for t in tokens:
        if out and (t not in PUNCTUATION or t == "—"):
            out.append(" ")
        out.append(t)
    return "".join(out)


def _show(text: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 30 else text[:29] + "…"
