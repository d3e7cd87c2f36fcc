"""Numbers, dates, times, signs, abbreviations and acronyms as English words.

Each module spells out one kind. The order matters: addresses and telephone numbers come before the rules for
numbers would take their dots and hyphens; Roman numerals become digits before abbreviations ("Vol. IV") and
initials are read; units come before acronyms ("16 GB"). A symbol without a reading is left in the text.
"""

from __future__ import annotations

from intona.text.languages.english import abbreviations, addresses, dates, letters, numbers, quantities, signs
from intona.text.numerals import PLAIN, ascii_digits, cardinal


def verbalize(text: str) -> str:
    """Cleaned text with everything that is not an English word spelled out."""
    text = signs.prepare(text)
    text = ascii_digits(text)
    if addresses.LIKELY.search(text):
        text = addresses.verbalize(text)
    text = letters.roman(text)
    text = abbreviations.verbalize(text)
    text = _numbers(text) if PLAIN.search(text) else quantities.lone_units(text)
    text = letters.acronyms(text)
    return signs.verbalize(text)


def _numbers(text: str) -> str:
    text = quantities.unit_ranges(text)
    text = numbers.unify(text)
    text = numbers.special(text)
    text = dates.verbalize(text)
    text = numbers.minus(text)
    text = numbers.ranges(text)
    text = quantities.money(text)
    text = numbers.products(text)
    text = quantities.units(text)
    text = quantities.lone_units(text)
    text = numbers.fractions(text)
    text = dates.years(text)
    text = signs.exponents(text)
    text = numbers.rest(letters.codes(text))
    return PLAIN.sub(lambda m: f" {cardinal(m[0], 'en')} ", text)
