"""Numbers in words by num2words, and what the rules of Russian and English share.

Digits that are not a quantity (telephone and card numbers) are read one by one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from intona.text.once import once

_MAX_DIGITS = 15  # longer strings are read digit by digit
DIGITS_RU = ["ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"]
DIGITS_EN = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DECIMAL = re.compile(r"(?<![\d.,])(\d{1,15})[.,](\d{1,9})(?![\d]|[.,]\d)")
PLAIN = re.compile(r"\d+")
CARRY = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")


@once
def _num2words() -> Any:
    import num2words

    return num2words.num2words


@lru_cache(maxsize=16384)
def cardinal(digits: str, lang: str, **how: str) -> str:
    """A cardinal number in words; digit by digit if it is long or starts with 0.

    Args:
        how: options of num2words ("gender", "case").
    """
    if len(digits) > _MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        names = DIGITS_RU if lang == "ru" else DIGITS_EN
        return " ".join(names[int(d)] for d in digits)
    return _num2words()(int(digits), lang=lang, **how).replace(" and ", " ").replace(",", "")


@lru_cache(maxsize=16384)
def ordinal(digits: str, lang: str, **how: str) -> str:
    """An ordinal number in words; options as for `cardinal`."""
    if len(digits) > _MAX_DIGITS:
        return cardinal(digits, lang)
    return _num2words()(int(digits), lang=lang, to="ordinal", **how)


def signs(text: str, table: dict[str, str]) -> str:
    """The text with the signs of a table replaced by their words."""
    for sign, word in table.items():
        if sign in text:
            text = text.replace(sign, word)
    return text


def ascii_digits(text: str) -> str:
    """Digits of other scripts and superscripts as ASCII digits."""
    if text.isascii():
        return text

    def one(c: str) -> str:
        if c.isascii() or not c.isdigit():
            return c
        return str(unicodedata.digit(c))

    return "".join(map(one, text))
