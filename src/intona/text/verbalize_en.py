"""Numbers, dates, times, signs, abbreviations and acronyms as English words."""

from __future__ import annotations

import re

from intona.text.numerals import (
    CARRY,
    DECIMAL,
    DIGIT,
    DIGITS_EN,
    PLAIN,
    ascii_digits,
    cardinal,
    ordinal,
    signs,
)

_ABBREVIATIONS_EN = {
    "Mr.": "mister", "Mrs.": "missus", "Ms.": "miz", "Dr.": "doctor", "Prof.": "professor", "St.": "saint",
    "Jr.": "junior", "Sr.": "senior", "vs.": "versus", "etc.": "et cetera", "e.g.": "for example",
    "i.e.": "that is", "No.": "number", "Co.": "company", "Ltd.": "limited", "Inc.": "incorporated",
    "approx.": "approximately", "Mt.": "mount", "Gen.": "general", "Col.": "colonel", "Capt.": "captain",
}  # fmt: skip
_UNITS_EN = {
    "%": ("percent", "percent"), "km/h": ("kilometer per hour", "kilometers per hour"),
    "km": ("kilometer", "kilometers"), "cm": ("centimeter", "centimeters"), "mm": ("millimeter",
    "millimeters"),
    "kg": ("kilogram", "kilograms"), "mg": ("milligram", "milligrams"), "kHz": ("kilohertz", "kilohertz"),
    "Hz": ("hertz", "hertz"), "ms": ("millisecond", "milliseconds"), "°C": ("degree Celsius",
    "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"), "°": ("degree", "degrees"), "mph": ("mile per hour",
    "miles per hour"),
    "GB": ("gigabyte", "gigabytes"), "MB": ("megabyte", "megabytes"), "lb": ("pound", "pounds"),
    "ft": ("foot", "feet"),
}  # fmt: skip
_MONEY_EN = {"$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"),
             "£": ("pound", "pounds", "penny", "pence"), "₽": ("ruble", "rubles", "kopek",
             "kopeks")}  # fmt: skip
_SIGNS_EN = {"&": " and ", "=": " equals ", "№": " number ", "§": " section ", "@": " at ", "#": " number ",
             "%": " percent ", "±": " plus or minus ", "×": " times ", "÷": " divided by ", "$": " dollar ",
             "€": " euro ", "£": " pound ", "°": " degrees "}  # fmt: skip
_MONTHS_EN = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_ABBREVIATION_EN = re.compile(
    r"(?<![\w.])(?:" + "|".join(sorted(map(re.escape, _ABBREVIATIONS_EN), key=len, reverse=True)) + r")(?!\w)"
)
_EN_COMMA = re.compile(r"(?<![\d,])(\d{1,3})((?:,\d{3}){1,4})(?![\d,]\d|\d)")
_EN_ISO = re.compile(r"(?<![\d-])(\d{4})-([01]\d)-([0-3]\d)(?![\d-])")
_EN_DAY = re.compile(r"\b(" + "|".join(_MONTHS_EN) + r")\s([0-3]?\d)(?!\d)")
_EN_ORDINAL = re.compile(r"(?<![\w])(\d{1,9})(?:st|nd|rd|th)(?!\w)")
_EN_TIME = re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])")
_EN_MONEY = re.compile(
    r"([$€£₽])\s?(\d{1,15})(?:\.(\d{2})(?!\d))?(\s(?:thousand|million|billion|trillion)\b)?"
)
_EN_UNIT = re.compile(
    r"(?<!\w)(\d{1,15}(?:\.\d{1,6})?)\s?("
    + "|".join(sorted(map(re.escape, _UNITS_EN), key=len, reverse=True))
    + r")(?!\w)"
)
_EN_DECADE = re.compile(r"(?<!\w)(1[1-9]|20)(\d)0'?s(?!\w)")
_EN_YEAR = re.compile(r"(?<![\w.,\ue000-])(1[1-9]|20)(\d\d)(?![\w]|[.,]\d)")
_ACRONYM_EN = re.compile(r"(?<![\w'])(?:[BCDFGHJKLMNPQRSTVWXZ]{2,6})(?![\w'])|(?<![\w.])(?:[A-Z]\.){2,6}")


def verbalize(text: str) -> str:
    """Cleaned text with everything that is not an English word spelled out."""
    if "." in text:
        text = _ABBREVIATION_EN.sub(lambda m: _ABBREVIATIONS_EN[m[0]], text)
    if DIGIT.search(text):
        text = _numbers_en(ascii_digits(text))
    text = _ACRONYM_EN.sub(lambda m: " ".join(m[0].replace(".", "")), text)
    return signs(text, _SIGNS_EN).replace("+", " plus ")


def _numbers_en(text: str) -> str:
    c = cardinal
    # U+E000 keeps "1,250" from being read as a year; `clean` lets no such character in.
    text = _EN_COMMA.sub(
        lambda m: (
            "\ue000" * (m.string[max(m.start() - 2, 0) : m.start()].strip()[-1:] not in _MONEY_EN)
            + m[1]
            + m[2].replace(",", "")
        ),
        text,
    )
    text = _EN_ISO.sub(
        lambda m: f"{_MONTHS_EN[int(m[2]) - 1]} {int(m[3])}, {m[1]}" if 1 <= int(m[2]) <= 12 else m[0], text
    )
    text = _EN_DAY.sub(lambda m: f"{m[1]} {ordinal(m[2], 'en')}", text)
    text = _EN_ORDINAL.sub(lambda m: ordinal(m[1], "en"), text)
    text = _EN_TIME.sub(_time_en, text)
    text = re.sub(r"(?<![\w.—])-(?=\d)", "minus ", text)
    text = _EN_MONEY.sub(_money_en, text)
    text = _EN_UNIT.sub(lambda m: f"{_number_en(m[1])} {_UNITS_EN[m[2]][m[1] != '1']}", text)
    text = _EN_DECADE.sub(lambda m: f"{_pair_en(m[1], m[2] + '0')[:-1]}ies" if m[2] != "0" else m[0], text)
    text = _EN_YEAR.sub(lambda m: _pair_en(m[1], m[2]), text)
    text = re.sub(r"(?<=\d)\s?\*\s?(?=\d)", " times ", text)
    text = re.sub(r"(?<=\d)-(?=[^\W\d_]|\d)", " ", text)
    text = DECIMAL.sub(lambda m: _number_en(f"{m[1]}.{m[2]}"), text)
    text = CARRY.sub(" ", text)
    return PLAIN.sub(lambda m: f" {c(m[0], 'en')} ", text.replace("\ue000", ""))


def _number_en(number: str) -> str:
    whole, _, fraction = number.partition(".")
    said = cardinal(whole, "en")
    return said + (" point " + " ".join(DIGITS_EN[int(d)] for d in fraction) if fraction else "")


def _pair_en(a: str, b: str) -> str:
    """A year in two halves: nineteen eighty-four, nineteen oh five, nineteen hundred, two thousand one."""
    if a == "20" and b[0] == "0":
        return cardinal(str(int(a + b)), "en")
    if b == "00":
        return cardinal(a, "en") + " hundred"
    return f"{cardinal(a, 'en')} {'oh ' + DIGITS_EN[int(b[1])] if b[0] == '0' else cardinal(b, 'en')}"


def _time_en(m: re.Match[str]) -> str:
    h, minute = cardinal(str(int(m[1])), "en"), m[2]
    if minute == "00":
        return f"{h} o'clock" if 1 <= int(m[1]) <= 12 else f"{h} hundred"
    return f"{h} {'oh ' + DIGITS_EN[int(minute[1])] if minute[0] == '0' else cardinal(minute, 'en')}"


def _money_en(m: re.Match[str]) -> str:
    one, many, cent, cents = _MONEY_EN[m[1]]
    if m[4]:
        return f"{cardinal(m[2], 'en')}{m[4]} {many}"
    said = f"{cardinal(m[2], 'en')} {one if m[2] == '1' else many}"
    if m[3] and int(m[3]):
        n = str(int(m[3]))
        said += f" {cardinal(n, 'en')} {cent if n == '1' else cents}"
    return said
