"""Money and units of measure."""

from __future__ import annotations

import re

from intona.text.languages.english.abbreviations import ends_sentence, next_word
from intona.text.languages.english.numbers import FRACTION, NUMBER, read
from intona.text.languages.english.tables import NOT_NOUNS
from intona.text.numerals import cardinal
from intona.text.symbols import words

_MONEY = {
    "$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"), "₽": ("ruble", "rubles", "kopek", "kopeks"),
    "¥": ("yen", "yen", "sen", "sen"), "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "jeon", "jeon"), "₴": ("hryvnia", "hryvnias", "kopek", "kopeks"),
    "¢": ("cent", "cents", "", ""), "US$": ("U S dollar", "U S dollars", "cent", "cents"),
    "A$": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "C$": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "USD": ("U S dollar", "U S dollars", "cent", "cents"), "EUR": ("euro", "euros", "cent", "cents"),
    "GBP": ("pound", "pounds", "penny", "pence"), "RUB": ("ruble", "rubles", "kopek", "kopeks"),
    "JPY": ("yen", "yen", "sen", "sen"), "CNY": ("yuan", "yuan", "fen", "fen"),
    "CHF": ("Swiss franc", "Swiss francs", "centime", "centimes"),
}  # fmt: skip
_MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "mln": "million",
    "b": "billion", "B": "billion", "bn": "billion", "Bn": "billion", "T": "trillion", "tn": "trillion",
    "trn": "trillion",
}  # fmt: skip
_SCALE = (
    r"\s?(?:hundred|thousand|million|billion|trillion)\b|\s?(?:mn|mln|[Bb]n|trn|tn)(?!\w)|[kKmMbBT](?!\w)"
)
# Singular names; a name that ends in "/" has the same plural.
_UNITS = {
    "km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "nm": "nanometer",
    "µm": "micrometer", "μm": "micrometer", "um": "micrometer", "mi": "mile", "yd": "yard", "yds": "yard",
    "kg": "kilogram", "g": "gram", "mg": "milligram", "µg": "microgram", "μg": "microgram",
    "mcg": "microgram", "t": "ton", "lb": "pound", "lbs": "pound", "oz": "ounce", "fl oz": "fluid ounce",
    "l": "liter", "L": "liter", "ml": "milliliter", "mL": "milliliter", "cl": "centiliter",
    "dl": "deciliter", "gal": "gallon", "qt": "quart", "pt": "pint", "ha": "hectare", "tbsp": "tablespoon",
    "tsp": "teaspoon", "Hz": "hertz/", "kHz": "kilohertz/", "MHz": "megahertz/", "GHz": "gigahertz/",
    "W": "watt", "mW": "milliwatt", "kW": "kilowatt", "MW": "megawatt", "GW": "gigawatt", "Wh": "watt hour",
    "kWh": "kilowatt hour", "MWh": "megawatt hour", "GWh": "gigawatt hour", "V": "volt", "mV": "millivolt",
    "kV": "kilovolt", "mA": "milliamp", "mAh": "milliamp hour", "Ah": "amp hour", "Ω": "ohm",
    "kΩ": "kilohm", "kJ": "kilojoule", "MJ": "megajoule", "cal": "calorie", "kcal": "kilocalorie",
    "Pa": "pascal", "hPa": "hectopascal", "kPa": "kilopascal", "MPa": "megapascal", "bar": "bar",
    "mbar": "millibar", "psi": "P S I/", "rpm": "R P M/", "bpm": "beats per minute/",
    "ppm": "parts per million/", "ppb": "parts per billion/", "dB": "decibel", "KB": "kilobyte",
    "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "PB": "petabyte",
    "Mb": "megabit", "Gb": "gigabit", "kbps": "kilobits per second/", "Kbps": "kilobits per second/",
    "Mbps": "megabits per second/", "Gbps": "gigabits per second/", "px": "pixel", "dpi": "D P I/",
    "fps": "frames per second/", "mol": "mole", "kN": "kilonewton", "mmHg": "millimeters of mercury/",
    "mpg": "mile per gallon", "p": "pence/", "yr": "year", "yrs": "year", "wk": "week", "wks": "week",
    "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "s": "second",
    "sec": "second", "secs": "second", "ms": "millisecond", "ns": "nanosecond", "µs": "microsecond",
    "μs": "microsecond", "mph": "mile per hour", "kph": "kilometer per hour", "kmh": "kilometer per hour",
    "K": "kelvin", "%": "percent/", "‰": "per mille/", "°C": "degree Celsius", "°F": "degree Fahrenheit",
    "° C": "degree Celsius", "° F": "degree Fahrenheit", "℃": "degree Celsius", "℉": "degree Fahrenheit",
    "°": "degree", "ft": "foot", "in": "inch", "sq ft": "square foot", "sq. ft": "square foot",
    "sq in": "square inch", "sq km": "square kilometer", "sq m": "square meter", "sq mi": "square mile",
    "sq. mi": "square mile", "cu ft": "cubic foot",
}  # fmt: skip
_PER = {
    "day": "day", "week": "week", "month": "month", "year": "year", "mo": "month", "yr": "year",
    "hour": "hour", "minute": "minute", "second": "second", "night": "night", "person": "person",
    "d": "day", "wk": "week", "kilo": "kilo", "pound": "pound", "liter": "liter", "gallon": "gallon",
    "mile": "mile",
}  # fmt: skip
_DOTTED = words("yr yrs wk wks min mins hr hrs sec secs ft in lb lbs oz yd yds mi gal qt pt tbsp tsp")
_DOTTED |= {"fl oz", "sq ft", "sq. ft", "sq in", "sq mi", "sq. mi", "cu ft"}
_NAMES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_PER_NAMES = "|".join(sorted(map(re.escape, _UNITS | _PER), key=len, reverse=True))
_POWER = r"(?:\^?([23])(?!\d))?"
_SIGNS = "|".join(sorted(map(re.escape, _MONEY), key=len, reverse=True))
_AMOUNT = re.compile(
    rf"(?<![\w$€£¥])({_SIGNS})\s?({NUMBER})(?:(\sto\s|\sor\s)({NUMBER})(?=[^\W_]))?({_SCALE})?"
    r"(?![\d]|,\d)(?:(-)(?=[a-z]))?"
)
_AMOUNT_RANGE = re.compile(rf"({_SIGNS})\s?({NUMBER})\sto\s({NUMBER})({_SCALE})?(?![\w%]|[.,]\d)")
_A_DAY = re.compile(r"(?<=\d)-an?-(?=[a-z])")
_AMOUNT_AFTER = re.compile(rf"(?<![\w.,])({NUMBER})({_SCALE})?\s?({_SIGNS})(?!\w)")
_PER_AFTER = re.compile(rf"(?<=[a-z])\s?/\s?({_PER_NAMES})(?!\w)")
_QUANTITY = re.compile(
    rf"(?<![\w.,^])(?<!\^-)({FRACTION}|(?:{NUMBER})(?:\^-?\d{{1,3}})?)(\s?|-)"
    rf"({_NAMES}){_POWER}(?:/({_PER_NAMES}){_POWER})?(?![\w°^]|'\w)(\.(?![\w.]))?"
)
_PER_NUMBER = re.compile(r"(?<=\d)(\s?[A-Za-z]{1,4})/(?=\d{1,4}\s?[a-z])")
_HEIGHT = re.compile(r"(?<![\w.,])(\d)['′]\s?(\d{1,2})(?:[\"″]|''|(?!\w))")
_INCHES = re.compile(rf"(?<![\w.,])({NUMBER})″")
_FEET = re.compile(rf"(?<![\w.,])({NUMBER})′")
_FEET_INCHES = re.compile(r"(?<=\d)(\s?ft\.?\s\d{1,2}(?:\.\d)?\s?)in\b\.?")
_COMPASS = re.compile(r"(?<=\d)\s?°\s?([NSEW])(?!\w)")
_LONE = re.compile(
    rf"(?<![\w°])((?:(?:in|per|to|from|each|a|of|or|and)\s|\(|/)?)"
    rf"({_NAMES}){_POWER}(?:/({_PER_NAMES}){_POWER})?(?![\w°^]|'\w)"
)
# Units that are neither words nor acronyms without a number.
_CLEAR_UNITS = words("km cm kg mg kWh MWh mph rpm GHz MHz kHz Hz kW °C °F ml mL kPa hPa dB mmHg")
_SINGLE = words("m s l h t g W V L")
_NAME_AFTER = re.compile(r"\s[A-Z]")
_COMPASS_WORDS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_ALONE = frozenset(("km", "kg", "kWh", "mph", "°C", "°F"))
_PRICED = re.compile(
    r"[\s-](?:bill|note|coin|fee|fine|deal|loan|bet|prize|tax|gift|ticket|contract|budget|project|bulb|run|race|walk|question)\b"
)
_MANY_PRICED = re.compile(
    r"[\s-](?:bills|notes|coins|tickets|fines|fees|prizes|bets|stamps|shares|meals|gifts)\b"
)
_UNIT_RANGE = re.compile(rf"(?<=\d)(\s?(?:{_NAMES}))[-–—](?=\d)")
_SIZE = re.compile(rf"(?<![\w.,])({NUMBER}|{FRACTION})(['\"])\s?[x×]\s?({NUMBER}|{FRACTION})\2")
_PLURALS = {"foot": "feet", "inch": "inches", "bar": "bars"}


def money(text: str) -> str:
    if not any(sign in text for sign in "$€£¥₽₹₩₴¢") and not re.search(
        r"\b(?:USD|EUR|GBP|RUB|JPY|CNY|CHF)\b", text
    ):
        return text
    text = _A_DAY.sub(lambda m: m[0].replace("-", " "), text)
    text = _AMOUNT_RANGE.sub(_amount_range, text)
    text = _AMOUNT.sub(_amount, text)
    text = _AMOUNT_AFTER.sub(lambda m: _in_words(m[1], m[2], m[3], singular=False), text)
    return _PER_AFTER.sub(lambda m: f" per {_PER.get(m[1]) or _UNITS[m[1]].rstrip('/')}", text)


def _in_words(number: str, scale: str | None, sign: str, *, singular: bool) -> str:
    one, many, cent, cents = _MONEY[sign]
    if scale:
        scale = scale.strip()
        return f"{read(number)} {_MAGNITUDES.get(scale, scale)} {one if singular else many}"
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(fraction) != 2 or not cent:
        return f"{read(number)} {one if singular or number == '1' else many}"
    count = str(int(fraction))
    small = f"{cardinal(count, 'en')} {cent if count == '1' else cents}" if count != "0" else ""
    if small and not int(whole or "0"):
        return small
    large = f"{cardinal(whole or '0', 'en')} {one if whole == '1' or singular else many}"
    return f"{large} {small}".rstrip()


def _amount(m: re.Match[str]) -> str:
    if m[3]:  # not "$5 to 10 million", which is read by then: the second number has another unit
        return f"{_in_words(m[2], None, m[1], singular=False)}{m[3]}{m[4]}{m[5] or ''}"
    return _in_words(m[2], m[5], m[1], singular=_is_adjective(m, m.end()) or bool(m[6])) + " " * bool(m[6])


def _amount_range(m: re.Match[str]) -> str:
    return f"{read(m[2])} to {_in_words(m[3], m[4], m[1], singular=False)}"


def _is_adjective(m: re.Match[str], end: int) -> bool:
    """ "a $5 bill", "a 5 km run": after an article and before a noun the unit has no plural."""
    if _MANY_PRICED.match(m.string, end):
        return True
    before = m.string[max(m.start() - 6, 0) : m.start()]
    if re.search(r"\b(?:the|this|that|each|every|one)\s$", before, re.I):
        return _PRICED.match(m.string, end) is not None
    if not re.search(r"\b[Aa]n?\s$", before):
        return False
    noun = re.match(r"[\s-]([a-z]{3,20})", m.string[end : end + 24])
    return noun is not None and noun[1] not in NOT_NOUNS


def unit_ranges(text: str) -> str:
    """ "20°C–25°C" is "20°C to 25°C"; 8" x 11" are inches."""
    text = _SIZE.sub(lambda m: f"{m[1]} by {m[3]} {'ft' if m[2] == chr(39) else 'in'}.", text)
    return _UNIT_RANGE.sub(r"\1 to ", text)


def units(text: str) -> str:
    """Numbers with a unit of measure."""
    text = _FEET_INCHES.sub(r"\1in.", text)
    if "'" in text or "′" in text or "″" in text:
        text = _HEIGHT.sub(lambda m: f"{cardinal(m[1], 'en')} foot {cardinal(m[2], 'en')}", text)
        text = _FEET.sub(r"\1 ft", _INCHES.sub(r"\1 in.", text))
    text = _COMPASS.sub(lambda m: f"° {_COMPASS_WORDS[m[1]]}", text)
    text = _PER_NUMBER.sub(r"\1 per ", text)
    return _QUANTITY.sub(_quantity, text)


def _quantity(m: re.Match[str]) -> str:
    number, gap, unit, power, per, per_power, stop = m.groups()
    if not _is_unit(m):
        return m[0]
    one = number == "1" or ("/" in number and " " not in number)
    singular = one or gap == "-" or _is_adjective(m, m.end())
    reading = f"{read(number)} {_name(unit, power, singular)}"
    if per:
        reading += f" per {_per_name(per, per_power)}"
    if stop and (
        ends_sentence(m.string, m.end(), loose=True)
        or (unit not in _DOTTED and not next_word(m.string, m.end())[:1].islower())
    ):
        reading += "."
    return reading


def _is_unit(m: re.Match[str]) -> bool:
    """Whether the letters after a number mean a unit: not in "5 in the", "350 W Main Street", "1080p"."""
    number, gap, unit, power, stop = m[1], m[2], m[3], m[4], m[7]
    if unit == "in":
        return bool(stop or power)
    if unit == "p":
        return not gap and len(number) <= 2
    if unit == "K":
        return gap == " " and len(number) > 1
    if gap == "-" and unit in _SINGLE:
        return False
    return bool(stop) or unit not in _SINGLE or not _NAME_AFTER.match(m.string, m.end())


def _name(unit: str, power: str | None, singular: bool) -> str:
    name = _UNITS[unit]
    if power:
        name = ("square " if power == "2" else "cubic ") + name
    if name.endswith("/"):
        return name[:-1]
    return name if singular else plural(name)


def _per_name(unit: str, power: str | None) -> str:
    if unit in _PER:
        return _PER[unit]
    name = _UNITS[unit].rstrip("/")
    if power and unit in ("s", "h", "min"):
        return f"{name} {'squared' if power == '2' else 'cubed'}"
    return _name(unit, power, singular=True)


def plural(name: str) -> str:
    """The plural of a unit's name: degrees Celsius, miles per hour, square feet."""
    head, link, tail = name.partition(" per ")
    words = head.split(" ")
    at = 0 if words[0] == "degree" else -1
    words[at] = _PLURALS.get(words[at], words[at] + "s")
    return " ".join(words) + link + tail


def lone_units(text: str) -> str:
    """Units without a number: "in km", "per kg", "°C"."""
    return _LONE.sub(_lone, text)


def _lone(m: re.Match[str]) -> str:
    before, unit, power, per, per_power = m.groups()
    compound = bool(power) or (bool(per) and (len(unit + per) > 2 or bool(per_power)) and per not in _PER)
    if unit == "%" or not (compound or (unit in _CLEAR_UNITS and (before or unit in _ALONE))):
        return m[0]
    singular = before.strip() in ("per", "each", "a", "/")
    lead = " per " if before == "/" else before
    return f"{lead}{_name(unit, power, singular)}" + (f" per {_per_name(per, per_power)}" if per else "")
