"""Dates, years, decades, times of day."""

from __future__ import annotations

import re

from intona.text.languages.english.abbreviations import ends_sentence
from intona.text.languages.english.tables import NO_PLURALS
from intona.text.numerals import DIGITS_EN, cardinal, ordinal
from intona.text.symbols import words

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_NAMES = "|".join(MONTHS)
_DASH = r"\s?[-–—−]\s?"
_ISO = re.compile(r"(?<![\d/-])(\d{4})([-/])([01]?\d)\2([0-3]?\d)(?![\d/-]|T\d)")
_SLASHED = re.compile(r"(?<![\d/.-])([0-3]?\d)([/.-])([0-3]?\d)\2(\d{4}|\d{2})(?![\d/-]|\.\d)")
_SLASHED_RANGE = re.compile(r"(?<=/\d\d)\s?[–—-]\s?(?=\d{1,2}/\d{1,2}/\d)")
_MONTH_DAY = re.compile(
    rf"\b({_NAMES})\s([0-3]?\d)(?:st|nd|rd|th)?(?:({_DASH})([0-3]?\d)(?:st|nd|rd|th)?)?(?![\w%:/]|[.,]\d)"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w.,:/$€£-])((?:the|The)\s)?([0-3]?\d)(?:st|nd|rd|th)?(?:({_DASH})([0-3]?\d)(?:st|nd|rd|th)?)?"
    rf"(\sof)?\s({_NAMES})\b(?!\s\d{{1,2}}(?![\d:]))(?:,?\s(?=\d{{4}}\b))?"
)
_CLOCK = re.compile(
    r"(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])"
    r"(?:\s?(A M|P M|[AaPp][Mm])(?!\w))?(\.(?!\w))?"
)
_HOUR = re.compile(r"(?<![\d:.$])(1[0-2]|0?[1-9])\s?(A M|P M|[AaPp][Mm])(?!\w)(\.(?!\w))?")
_TIME_RANGE = re.compile(
    r"(?<=\d)(\s?(?:[AP] M|[AaPp][Mm]))?\s?[-–—−]\s?(?=\d{1,2}(?::\d\d|\s?(?:[AP] M|[AaPp][Mm])\b))"
)
_NOON = re.compile(
    r"(?:(?<=noon)|(?<=midnight))[\s–—-](?=\d{1,2}(?::\d\d)?\s?(?:[ap]m\b|[AP] M))"
    r"|(?<=\b[AP]\sM)[–—-](?=noon|midnight)|(?<=\d[ap]m)[–—-](?=noon|midnight)"
)
_SHORT_YEAR = re.compile(r"(?<![\w'])'(\d\d)(?![\w'])")
_RATIO = re.compile(r"(?<![\d:.])(\d{1,6}):(\d{1,6})(?![\d:]|\.\d)")
_RATIO_WORD = re.compile(r"\b(?:ratio|scale|odds|aspect|mixed|diluted?|proportions?)\b[^.]{0,12}$", re.I)
_YEARS = r"(?:1[1-9]|20)\d\d"
_YEAR_RANGE = re.compile(rf"(?<![\w.,$€£/-])({_YEARS})(\s?[-–—−]\s?)({_YEARS}|\d\d)(?![\w/-]|[.,]\d)")
_SPLIT_YEAR = re.compile(rf"(?<![\w.,$€£/-])({_YEARS})/(\d\d)(?![\w/])")
_DECADE = re.compile(
    r"(?<![\w.,'])(?:(1[1-9]|20)(\d)0|(?:'|(?<=\b(?:the|his|her|its|our|and)\s)|(?<=\b(?:my|in)\s)"
    r"|(?<=\b(?:their|early)\s)|(?<=\b(?:late|were)\s)|(?<=\broaring\s)|(?<=\bswinging\s)|(?<=\bmid\s))([2-9])0"
    r"|([2-9])0(?='?s\s(?:music|fashion|style|rock|pop|hits?|movies?|films?|songs?|era|cars|kids?)\b))(?:'s|s)(?!\w)"
)
_ERA = re.compile(r"(?<![\w.,])(\d{1,4})\s?(BC|AD|BCE|CE|B C E?|A D)(?!\w)")
_ERA_FIRST = re.compile(r"(?<!\w)AD\s(\d{1,4})(?![\w]|[.,]\d)")
_YEAR = re.compile(r"(?<![\w.,$€£-])(1[1-9]|20)(\d\d)(?![\w%]|[.,]\d|-\d)(\s[a-z]{3,})?")
_SURE_YEAR = re.compile(r"(?<=\bin\s)(?:10|2[1-9])\d\d(?!\w|[.,]\d|\s[a-z]{2,}s\b)", re.I)
_YEAR_CUE = re.compile(
    r"\b(?:in|since|of|by|from|until|till|year|years|before|after|during|circa|around|the|"
    rf"to|this|that|and|summer|spring|autumn|fall|winter|early|late|mid|{_NAMES}),?\s$",
    re.I,
)
_PLURALS = words("people men women children feet percent times")


def verbalize(text: str) -> str:
    """Dates, decades and times; single years are left to `years`."""
    text = _NOON.sub(" to ", text)
    text = _SLASHED_RANGE.sub(" to ", text)
    text = _ISO.sub(lambda m: _full(m, m[1], m[3], m[4]), text)
    text = _SLASHED.sub(_slashed, text)
    text = _DAY_MONTH.sub(_day_month, text)
    text = _MONTH_DAY.sub(_month_day, text)
    if ":" in text or "M" in text or "m" in text:
        text = _TIME_RANGE.sub(r"\1 to ", text)
        text = _CLOCK.sub(_clock, text)
        text = _HOUR.sub(lambda m: f"{cardinal(str(int(m[1])), 'en')} {_half(m[2])}{_stop(m, 3)}", text)
        text = _RATIO.sub(r"\1 to \2", text)
    text = _ERA_FIRST.sub(lambda m: f"A D {year(m[1])}", text)
    text = _ERA.sub(lambda m: f"{year(m[1])} {' '.join(m[2].replace(' ', ''))}", text)
    text = _YEAR_RANGE.sub(_year_range, text)
    text = _DECADE.sub(_decade, text)
    text = _SHORT_YEAR.sub(lambda m: _two_digits(m[1]), text)
    return _SPLIT_YEAR.sub(lambda m: f"{year(m[1])} {_two_digits(m[2])}", text)


def years(text: str) -> str:
    """Four digits that are more likely a year than an amount."""
    text = _SURE_YEAR.sub(lambda m: year(m[0], "1000", "2999"), text)
    return _YEAR.sub(_lone_year, text)


def year(digits: str, first: str = "1100", last: str = "2099") -> str:
    """Nineteen eighty-four, nineteen oh five, nineteen hundred, two thousand one; others as numbers."""
    if len(digits) != 4 or not first <= digits <= last:
        return cardinal(str(int(digits)), "en")
    a, b = digits[:2], digits[2:]
    if a in ("10", "20") and b[0] == "0":
        return cardinal(digits, "en")
    return cardinal(a, "en") + (" hundred" if b == "00" else " " + _two_digits(b))


def _two_digits(digits: str) -> str:
    return f"oh {DIGITS_EN[int(digits[1])]}" if digits[0] == "0" else cardinal(digits, "en")


def _full(m: re.Match[str], y: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return m[0]
    if len(y) == 2:
        y = ("20" if int(y) < 50 else "19") + y
    return f"{MONTHS[int(month) - 1]} {ordinal(str(int(day)), 'en')}, {year(y)}"


def _slashed(m: re.Match[str]) -> str:
    """10/01/2024 and 01.10.2024 are October first: American order unless only the other is a date."""
    a, b, y = m[1], m[3], m[4]
    if m[2] == "." and len(y) == 2:
        return m[0]
    if int(a) > 12 or m[2] == ".":
        a, b = b, a
    return _full(m, y, a, b)


def _month_day(m: re.Match[str]) -> str:
    if not 1 <= int(m[2]) <= 31 or (m[4] and not 1 <= int(m[4]) <= 31):
        return m[0]
    last = f" to {ordinal(str(int(m[4])), 'en')}" if m[4] else ""
    return f"{m[1]} {ordinal(str(int(m[2])), 'en')}{last}"


def _day_month(m: re.Match[str]) -> str:
    if not 1 <= int(m[2]) <= 31 or (m[4] and not 1 <= int(m[4]) <= 31):
        return m[0]
    if (
        m[6] == "May"
        and not m[5]
        and re.match(r"\s?(?:I|he|she|we|they|it|be)\b", m.string[m.end() : m.end() + 5])
    ):
        return m[0]
    last = f" to the {ordinal(str(int(m[4])), 'en')}" if m[4] else ""
    space = " " if m[0][-1] == " " else ""
    return f"{m[1] or 'the '}{ordinal(str(int(m[2])), 'en')}{last} of {m[6]}{space}"


def _half(letters: str) -> str:
    return " ".join(letters.replace(" ", "").upper())


def _stop(m: re.Match[str], group: int) -> str:
    return "." if m[group] and ends_sentence(m.string, m.end(), loose=True) else ""


def _clock(m: re.Match[str]) -> str:
    h, minute, second, half = m[1], m[2], m[3], m[4]
    if not (second or half) and _RATIO_WORD.search(m.string, max(m.start() - 20, 0), m.start()):
        return f"{h} to {minute}{m[5] or ''}"
    hour = cardinal(str(int(h)), "en")
    if second:
        reading = f"{hour} {_two_digits(minute)} {_two_digits(second)}"
    elif minute != "00":
        reading = f"{hour} {_two_digits(minute)}"
    elif half:
        reading = hour
    else:
        reading = f"{hour} o'clock" if 1 <= int(h) <= 12 else f"{hour} hundred"
    if half:
        return f"{reading} {_half(half)}{_stop(m, 5)}"
    return reading + (m[5] or "")


def _year_range(m: re.Match[str]) -> str:
    if len(m[3]) == 2 and int(m[3]) <= int(m[1][2:]):
        return m[0]
    last = year(m[3]) if len(m[3]) == 4 else _two_digits(m[3])
    return f"{year(m[1])} to {last}"


def _decade(m: re.Match[str]) -> str:
    if m[3] or m[4]:
        return _plural(cardinal((m[3] or m[4]) + "0", "en"))
    if m[2] != "0":
        return f"{cardinal(m[1], 'en')} {_plural(cardinal(m[2] + '0', 'en')) if m[2] != '1' else 'tens'}"
    return "two thousands" if m[1] == "20" else f"{cardinal(m[1], 'en')} hundreds"


def _plural(ten: str) -> str:
    return ten[:-1] + "ies"


def _lone_year(m: re.Match[str]) -> str:
    noun = (m[3] or "").strip()
    amount = noun in _PLURALS or (noun.endswith("s") and not noun.endswith("ss") and noun not in NO_PLURALS)
    if amount and not _YEAR_CUE.search(m.string, max(m.start() - 16, 0), m.start()):
        return m[0]
    return year(m[1] + m[2]) + (m[3] or "")
