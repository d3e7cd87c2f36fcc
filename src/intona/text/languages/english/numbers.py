"""Minus signs, ranges, scores, products, fractions, ordinals, decimals, grouped digits."""

from __future__ import annotations

import re

from intona.text.languages.english import signs
from intona.text.numerals import CARRY, DECIMAL, DIGITS_EN, cardinal, ordinal

# A number as it is written: 1,250.5, 1250.5 or .5; longer runs of digits are read one by one.
NUMBER = r"(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:\.\d{1,9})?|\.\d{1,9}"
FRACTION = r"(?:\d{1,4}\s)?\d{1,4}/\d{1,4}"
_DECIMAL_COMMA = re.compile(r"(?<=[€£$])(\s?\d{1,9}),(?=\d\d(?![\d,]))|(?<![\d,.])(\d{1,9}),(?=\d\d\s?€)")
_SCALES = {"M": "million", "bn": "billion", "B": "billion"}
_SCALED = re.compile(
    r"(?<![\w.,$€£¥])((?:\d{1,4}-)?\d{1,4}(?:\.\d{1,3})?)(?:(M|bn)|(?<=\.\d)(B)|(?<=\.\d\d)(B))(?![\w/])"
)
_SPACED = re.compile(r"(?<![\w.,:/+-])([1-9]\d{0,2})((?:\s\d{3}){1,4})(?![\w/]|[-.,:]\d|\s\d)")
_AFTER_WORD = re.compile(r"(?<=[^\W\d_])(?<![AaPp][Mm])(?<!\s[Mm])-(?=\d)")
_POINTED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:\.\d{3}){2,4}(?![\w]|[.,]\d)")
_INDIAN = re.compile(r"(?<![\d,.])(\d{1,2}(?:,\d{2}){1,5},\d{3})(?![\d,]\d|\d)")
_MINUS = re.compile(r"(?<![\w.)%°'^—–-])[-–—−](?=\.?\d|[$€£¥]\s?\d)")
_MINUS_SIGN = re.compile(r"(?<!\d)\s?−\s?(?=[\w.$€£(√])|\s−\s?(?=[\w.$€£(√])")
_NEGATIVE_RANGE = re.compile(r"(?<=[\d%C])\s?[-–—−…]{1,2}\s?(?=minus\s\d)")
_DIFFERENCE = re.compile(r"(?<=\d)\s?[-–—]\s?(?=\d{1,9}(?:\.\d{1,9})?\s?=)")
_RANGE = re.compile(
    rf"(?<![\w.,/:-])({NUMBER})(\s?%)?([-–—−])(?=({NUMBER})(?!\d|-\d|/\d|[^\W\d_]*\d))|(?<=[\dkKmMbBn])[-–—](?=[$€£]\d)"
)
_NUMBERED = re.compile(r"#\s?(?=\d)")
_SPACED_RANGE = re.compile(r"(?<![\w.,/:-])(\d{1,3})\s[–—]\s(?=(\d{1,3})(?:\s?[a-z%°]))")
_PRODUCT = re.compile(
    r"(?<![\w.,])(\d{1,6}(?:\.\d{1,4})?)(\s?(?:[cm]?m|km|ft|in|in\.|px)(?=\s|[x×]\d))?(\s?)[x×*](\s?)(?=\d)"
)
_RESOLUTION = re.compile(r"(?<![\w.,])([1-9]\d{2,3})\s?[x×]\s?([1-9]\d{2,3})(?!\w|\.\d|\s?=)")
_TIMES = re.compile(r"(?<![\w.,])(\d{1,4}(?:\.\d{1,4})?)[x×](?!\w)")
_FRACTION = re.compile(r"(?<![\w./,])(?:(\d{1,4})\s)?(\d{1,4})/(\d{1,4})(?![\w/]|\.\d)(-(?=[^\W\d_]))?")
_OUT_OF = re.compile(r"(?<=\d\.\d)/(?=\d{1,3}(?![\w/]))")
_DIVIDED = re.compile(r"(?<=\d)\s/\s(?=\d)")
_MILITARY = re.compile(r"(?<![\w.,])0(\d)(?:00|(\d\d))(?=\s?(?:hours|hrs)\b)")
_VERSE = re.compile(
    r"\b(Genesis|Exodus|Leviticus|Deuteronomy|Psalms?|Proverbs|Isaiah|Jeremiah|Daniel|Matthew|Mark|Luke|John|Acts|Romans|"
    r"Corinthians|Galatians|Ephesians|Philippians|Timothy|Hebrews|James|Peter|Revelation)\s(\d{1,3}):(?=\d)"
)
_ORDINAL = re.compile(r"(?<![\w.])(\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(st|nd|rd|th)(?!\w)", re.I)
_GROUPED = re.compile(r"(?<![\w,.])(\d{1,3}(?:,\d{3}){1,4})(\.\d{1,9})?(?!\d|,\d)")
_COMPOUND = re.compile(r"(?<=\d)(?:-[^\W_]{1,20}){1,6}(?![\w])")
_POINT = re.compile(r"(?<![\w.])\.(\d{1,9})(?![\w]|\.\d)")
_EMERGENCY = re.compile(r"\b([Cc]all|[Dd]ial|[Pp]hone)((?:ed|led|ing|ling|s)?\s)(911|999|112|411)(?!\w)")
_ROOM = re.compile(
    r"\b(Room|Flight|Suite|Boeing|Route|Highway|Interstate|Apartment|apartment|room|flight)\s(\d)(\d\d)(?!\w|[.,]\d)"
)
_STANDARD = re.compile(r"(?<![\w.])([A-Z])\.(?=\d)")
_TENS = {"10": "tens", "100": "hundreds", "1000": "thousands", "1000000": "millions"}
_MANY = re.compile(r"(?<![\w.,])(10|100|1,?000|1,000,000)s(?=\sof\b)")
_MEASURE = re.compile(r"(?<![\w./])(\d)/(\d)(?=\s(?:time|meter|measure|signature)\b)")
_ZIP = re.compile(r"(?<=\b[A-Z]{2}\s)(\d{5})(?:-(\d{4}))?(?!\w)")
_DENOMINATORS = {2: ("half", "halves"), 4: ("quarter", "quarters")}
_READ_AS_PAIRS = frozenset(("24/7", "9/11", "20/20", "7/11"))


def read(number: str) -> str:
    """A number as written (1,250.5, .5, 3/4, 2 1/2) in words."""
    if "/" in number:
        return _FRACTION.sub(_fraction, number)
    if "^" in number:
        base, _, exponent = number.partition("^")
        return read(base) + signs.exponents("^" + exponent, bare=True)
    whole, _, fraction = number.replace(",", "").partition(".")
    words = [cardinal(whole, "en")] if whole else []
    if fraction:
        words += ["point", *(DIGITS_EN[int(d)] for d in fraction)]
    return " ".join(words)


def unify(text: str) -> str:
    """One spelling where there are several: commas between groups of digits, a space in "mid-1990s"."""
    text = _AFTER_WORD.sub(" ", text)
    text = _DECIMAL_COMMA.sub(lambda m: f"{m[1] or m[2]}.", text)
    text = _SCALED.sub(lambda m: f"{m[1]} {_SCALES[m[2] or m[3] or m[4]]}", text)
    text = _POINTED.sub(lambda m: m[0].replace(".", ","), text)
    text = _SPACED.sub(lambda m: m[1] + m[2].replace(" ", ","), text)
    return _INDIAN.sub(lambda m: f"{int(m[1].replace(',', '')):,}", text)


def minus(text: str) -> str:
    text = _DIFFERENCE.sub(" minus ", text)
    return _MINUS_SIGN.sub(" minus ", _MINUS.sub("minus ", text))


def ranges(text: str) -> str:
    """ "5–10" and "3–2" are "5 to 10" and "3 to 2"; "747-400" are two numbers in a row."""
    text = _NUMBERED.sub("number ", text)
    text = _SPACED_RANGE.sub(lambda m: f"{m[1]} to " if int(m[1]) < int(m[2]) else m[0], text)
    text = _NEGATIVE_RANGE.sub(" to ", text)
    return _RANGE.sub(_range, text)


def _range(m: re.Match[str]) -> str:
    if m[1] is None:
        return " to "
    a, b = (float(n.replace(",", "")) for n in (m[1], m[4]))
    joint = " to " if a < b or max(a, b) < 100 else " "
    if m[3] == "−" and a >= b:
        joint = " minus "
    return f"{m[1]}{m[2] or ''}{joint}"


def products(text: str) -> str:
    """ "3 x 4 = 12" are times; "1920x1080" and "a 3 x 4 grid" are by; "2x" is two times."""
    text = _RESOLUTION.sub(lambda m: f"{_pairs(m[1])} by {_pairs(m[2])}", text)
    text = _PRODUCT.sub(_product, text)
    return _TIMES.sub(r"\1 times", text)


def _product(m: re.Match[str]) -> str:
    rest = m.string[m.end() : m.end() + 24]
    before = m.string[max(m.start() - 3, 0) : m.start()].lower()
    spaced = bool(m[3] and m[4])
    after = re.match(r"\d{1,6}(?:\.\d{1,4})?\s?([^\W\d_]?)", rest)
    size = before.endswith(("a ", "an ")) or (after is not None and after[1].lower() not in ("", "x"))
    if rest.startswith("10^"):
        return f"{m[1]} times "
    word = (
        "by"
        if "*" not in m[0] and not re.match(r"[\d.]{1,11}\s?=", rest) and (size or m[2] or not spaced)
        else "times"
    )
    return f"{m[1]}{m[2] or ''} {word} "


def _pairs(digits: str) -> str:
    """1920 as nineteen twenty, 1080 as ten eighty, 720 as seven twenty."""
    if digits[-2] == "0":
        return cardinal(digits, "en")
    return f"{cardinal(digits[:-2], 'en')} {cardinal(digits[-2:], 'en')}"


def fractions(text: str) -> str:
    text = _OUT_OF.sub(" out of ", _DIVIDED.sub(" divided by ", text))
    return _FRACTION.sub(_fraction, text) if "/" in text else text


def _fraction(m: re.Match[str]) -> str:
    if not m[1] and int(m[2]) >= int(m[3]) and m.string[m.end() : m.end() + 2].lstrip()[:1] == "=":
        return f"{m[2]} divided by {m[3]}"
    return _fraction_words(m[1], m[2], m[3]) + " " * bool(m[4])


def _fraction_words(whole: str | None, numerator: str, denominator: str) -> str:
    a, b = int(numerator), int(denominator)
    lead = f"{cardinal(whole, 'en')} " if whole else ""
    if f"{numerator}/{denominator}" in _READ_AS_PAIRS or (a + b == 100 and not whole):
        return f"{lead}{cardinal(numerator, 'en')} {cardinal(denominator, 'en')}"
    if a == b and b > 1:
        return f"{lead}{cardinal(numerator, 'en')} out of {cardinal(denominator, 'en')}"
    if b < 2 or numerator[0] == "0" or denominator[0] == "0" or (b > 100 and b % 100):
        return f"{lead}{cardinal(numerator, 'en')} over {cardinal(denominator, 'en')}"
    if b in _DENOMINATORS:
        one, many = _DENOMINATORS[b]
    else:
        one = ordinal(denominator, "en").replace(" and ", " ").removeprefix("one ")
        many = one + "s"
    part = f"{cardinal(numerator, 'en')} {one if a == 1 else many}"
    if not whole:
        return part
    if a >= b:
        return f"{lead}{part}"  # "in 5 22/7" is not a mixed number
    return f"{lead}and {'a ' + one if a == 1 else part}"


def special(text: str) -> str:
    """Numbers read by their digits or in pairs: emergency calls, rooms and flights, American post codes."""
    text = _EMERGENCY.sub(lambda m: f"{m[1]}{m[2]}{' '.join(DIGITS_EN[int(d)] for d in m[3])}", text)
    text = _ZIP.sub(_zip, text)
    text = _STANDARD.sub(r"\1 ", text)
    text = _MANY.sub(lambda m: _TENS[m[1].replace(",", "")], text)
    text = _MEASURE.sub(lambda m: f"{DIGITS_EN[int(m[1])]} {m[2]}", text)
    text = _VERSE.sub(r"\1 \2 ", text)
    text = _MILITARY.sub(
        lambda m: f"zero {DIGITS_EN[int(m[1])]} {cardinal(m[2], 'en') if m[2] else 'hundred'}", text
    )
    return _ROOM.sub(_room, text)


def _zip(m: re.Match[str]) -> str:
    return ", ".join(" ".join(DIGITS_EN[int(d)] for d in group) for group in m.groups() if group)


def _room(m: re.Match[str]) -> str:
    if m[3] == "00":
        return m[0]
    tail = f"oh {DIGITS_EN[int(m[3][1])]}" if m[3][0] == "0" else cardinal(m[3], "en")
    return f"{m[1]} {DIGITS_EN[int(m[2])]} {tail}"


def rest(text: str) -> str:
    """Ordinals, grouped digits and decimals; hyphens between a number and a word become spaces."""
    text = _ORDINAL.sub(lambda m: ordinal(m[1].replace(",", ""), "en").replace(" and ", " "), text)
    text = CARRY.sub(" ", text)
    text = _GROUPED.sub(lambda m: read(m[0]), text)
    text = _COMPOUND.sub(lambda m: m[0].replace("-", " "), text)
    text = _POINT.sub(lambda m: read(m[0]), text)
    return DECIMAL.sub(lambda m: read(f"{m[1]}.{m[2]}"), text)
