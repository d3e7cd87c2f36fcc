"""Numbers, dates, times, signs, abbreviations, acronyms and Latin words as Russian words.

Cases are guessed from the neighbours where that is cheap ("в 1941 году", "5-го", "21 марта 2020 года",
"2 рубля"); elsewhere the nominative is read.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from intona.text.numerals import (
    CARRY,
    DECIMAL,
    DIGIT,
    DIGITS_RU,
    PLAIN,
    ascii_digits,
    cardinal,
    ordinal,
    signs,
)

_MONTHS = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
]
_ABBREVIATIONS_RU = {
    "т.е.": "то есть", "т. е.": "то есть", "т.к.": "так как", "т. к.": "так как", "т.д.": "так далее",
    "т. д.": "так далее", "т.п.": "тому подобное", "т. п.": "тому подобное", "т.н.": "так называемый",
    "и др.": "и другие", "и пр.": "и прочее", "др.": "другие", "см.": "смотри", "напр.": "например",
    "ул.": "улица", "пр-т": "проспект", "им.": "имени", "стр.": "страница", "рис.": "рисунок", "гл.": "глава",
    "г-н": "господин", "г-жа": "госпожа", "проф.": "профессор", "акад.": "академик", "тел.": "телефон",
    "тыс.": "тысяч", "млн": "миллионов", "млрд": "миллиардов", "трлн": "триллионов", "руб.": "рублей",
    "коп.": "копеек", "н.э.": "нашей эры", "н. э.": "нашей эры",
}  # fmt: skip
# after a number: (one, few, many, gender of the numeral)
_UNITS_RU = {
    "%": ("процент", "процента", "процентов", "m"), "‰": ("промилле", "промилле", "промилле", "n"),
    "₽": ("рубль", "рубля", "рублей", "m"), "руб": ("рубль", "рубля", "рублей", "m"),
    "коп": ("копейка", "копейки", "копеек", "f"), "$": ("доллар", "доллара", "долларов", "m"),
    "€": ("евро", "евро", "евро", "m"), "£": ("фунт", "фунта", "фунтов", "m"),
    "км/ч": ("километр в час", "километра в час", "километров в час", "m"),
    "м/с": ("метр в секунду", "метра в секунду", "метров в секунду", "m"),
    "км": ("километр", "километра", "километров", "m"), "см": ("сантиметр", "сантиметра", "сантиметров", "m"),
    "мм": ("миллиметр", "миллиметра", "миллиметров", "m"), "м": ("метр", "метра", "метров", "m"),
    "кг": ("килограмм", "килограмма", "килограммов", "m"), "мг": ("миллиграмм", "миллиграмма", "миллиграммов",
    "m"),
    "г": ("грамм", "грамма", "граммов", "m"), "л": ("литр", "литра", "литров", "m"),
    "мл": ("миллилитр", "миллилитра", "миллилитров", "m"), "ч": ("час", "часа", "часов", "m"),
    "мин": ("минута", "минуты", "минут", "f"), "сек": ("секунда", "секунды", "секунд", "f"),
    "с": ("секунда", "секунды", "секунд", "f"), "мс": ("миллисекунда", "миллисекунды", "миллисекунд", "f"),
    "°C": ("градус Цельсия", "градуса Цельсия", "градусов Цельсия", "m"),
    "°С": ("градус Цельсия", "градуса Цельсия", "градусов Цельсия", "m"), "°": ("градус", "градуса",
    "градусов", "m"),
    "Гц": ("герц", "герца", "герц", "m"), "кГц": ("килогерц", "килогерца", "килогерц", "m"),
    "тыс": ("тысяча", "тысячи", "тысяч", "f"), "млн": ("миллион", "миллиона", "миллионов", "m"),
    "млрд": ("миллиард", "миллиарда", "миллиардов", "m"), "трлн": ("триллион", "триллиона", "триллионов",
    "m"),
}  # fmt: skip
_FEMININE = re.compile(
    r"\s(?=(?:тысячи?|минут[аы]?|секунд[аы]?|копе(?:йка|йки|ек)|страниц[аы]?|книг[аи]?|недел[яи])\b)"
)
_YEAR = {"год": "n", "года": "g", "году": "p", "годом": "i", "г": "n", "гг": "n", "годы": "n", "годов": "g"}
# ending after the hyphen: (gender, case, plural)
_ENDINGS_RU = {
    "й": ("m", "n", False), "ый": ("m", "n", False), "ий": ("m", "n", False), "ой": ("m", "n", False),
    "го": ("m", "g", False), "ого": ("m", "g", False), "му": ("m", "d", False), "ому": ("m", "d", False),
    "м": ("m", "p", False), "ом": ("m", "p", False), "я": ("f", "n", False), "ая": ("f", "n", False),
    "ю": ("f", "a", False), "ую": ("f", "a", False), "е": ("n", "n", False), "ое": ("n", "n", False),
    "х": ("m", "g", True), "ых": ("m", "g", True), "ые": ("m", "n", True), "ми": ("m", "i", True),
}  # fmt: skip
_SIGNS_RU = {"&": " и ", "=": " равно ", "№": " номер ", "§": " параграф ", "@": " собака ", "×": " на ",
             "÷": " разделить на ", "±": " плюс минус ", "#": " решётка ", "%": " процент ", "$": " доллар ",
             "€": " евро ", "₽": " рубль ", "°": " градус "}  # fmt: skip
_LATIN_NAMES = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        [
            "эй",
            "би",
            "си",
            "ди",
            "и",
            "эф",
            "джи",
            "эйч",
            "ай",
            "джей",
            "кей",
            "эл",
            "эм",
            "эн",
            "оу",
            "пи",
            "кью",
            "ар",
            "эс",
            "ти",
            "ю",
            "ви",
            "даблъю",
            "экс",
            "уай",
            "зед",
        ],
        strict=True,
    )
)
_LATIN = (
    ("tion", "шн"), ("sch", "ш"), ("tch", "ч"), ("igh", "ай"), ("ch", "ч"), ("sh", "ш"), ("th", "т"), ("ph",
    "ф"),
    ("zh", "ж"), ("kh", "х"), ("ck", "к"), ("qu", "кв"), ("oo", "у"), ("ee", "и"), ("ea", "и"), ("ou", "ау"),
    ("ow", "оу"), ("ai", "эй"), ("ay", "эй"), ("ey", "и"), ("ya", "я"), ("yu", "ю"), ("yo", "йо"), ("ce",
    "се"),
    ("ci", "си"), ("cy", "си"), ("ge", "дже"), ("a", "а"), ("b", "б"), ("c", "к"), ("d", "д"), ("e", "э"),
    ("f", "ф"),
    ("g", "г"), ("h", "х"), ("i", "и"), ("j", "дж"), ("k", "к"), ("l", "л"), ("m", "м"), ("n", "н"), ("o",
    "о"),
    ("p", "п"), ("q", "к"), ("r", "р"), ("s", "с"), ("t", "т"), ("u", "у"), ("v", "в"), ("w", "в"), ("x",
    "кс"),
    ("y", "и"), ("z", "з"),
)  # fmt: skip
_LATIN_PIECE = re.compile("|".join(k for k, _ in _LATIN))
_LATIN_TO = dict(_LATIN)
_LETTER_RU = dict(
    zip(
        "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯ",
        [
            "а",
            "бэ",
            "вэ",
            "гэ",
            "дэ",
            "е",
            "ё",
            "жэ",
            "зэ",
            "и",
            "й",
            "ка",
            "эл",
            "эм",
            "эн",
            "о",
            "пэ",
            "эр",
            "эс",
            "тэ",
            "у",
            "эф",
            "ха",
            "цэ",
            "че",
            "ша",
            "ща",
            "э",
            "ю",
            "я",
        ],
        strict=True,
    )
)

_ABBREVIATION_RU = re.compile(
    r"(?<![\w.])(?:" + "|".join(sorted(map(re.escape, _ABBREVIATIONS_RU), key=len, reverse=True)) + r")(?!\w)"
)
_N = r"(?<![\w.,])(\d{1,15})"
_UNIT = "|".join(sorted(map(re.escape, _UNITS_RU), key=len, reverse=True))
_RU_DATE = re.compile(r"(?<![\d.])([0-3]?\d)\.([01]?\d)\.(\d{4})(?!\d)(?:\s?(?:г\.|года?\b))?")
_RU_ISO = re.compile(r"(?<![\d-])(\d{4})-([01]\d)-([0-3]\d)(?![\d-])")
_RU_DAY = re.compile(r"(?<!\d)([0-3]?\d)\s(?=(?:" + "|".join(_MONTHS) + r")\b)")
_RU_TIME = re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::[0-5]\d)?(?![\d:])")
_RU_YEAR = re.compile(r"(?<![\d-])(\d{3,4})\s?(год[ауы]?|годом|годов|гг?(?=\.|\s|$))(?!\w)\.?")
_RU_ORDINAL = re.compile(
    r"(?<!\d)(\d{1,9})-(" + "|".join(sorted(_ENDINGS_RU, key=len, reverse=True)) + r")(?!\w)"
)
_RU_MONEY = re.compile(r"([$€£₽])\s?(\d(?:[\d ]{0,17}\d)?(?:[.,]\d{1,2})?)")
_RU_UNIT = re.compile(r"(?<!\w)(\d{1,15})([.,]\d{1,6})?\s?(" + _UNIT + r")(?![\w%])\.?(?=(\s|$|[,!?;:—…)])?)")
_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?:[ \u00a0]\d{3}){1,4})(?![\d])")
_FRACTION = re.compile(r"(?<![\d/.,])([1-9])/([2-9]|10)(?![\d/]|[.,]\d)")
_ACRONYM_RU = re.compile(r"(?<![\w+])[БВГДЖЗКЛМНПРСТФХЦЧШЩ]{2,6}(?!\w)|(?<![\w+])[А-ЯЁ]{2,4}(?=-\d)")
_LATIN_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")


def _plural(digits: str, one: str, few: str, many: str) -> str:
    """Russian count form: 1 рубль, 2 рубля, 5 рублей."""
    n = int(digits[-2:])
    if 11 <= n <= 14:
        return many
    return one if n % 10 == 1 else few if 2 <= n % 10 <= 4 else many


def verbalize(text: str) -> str:
    """Cleaned text with everything that is not a Russian word spelled out."""
    digits = DIGIT.search(text)
    if "." in text or "-" in text or "мл" in text or "трлн" in text:
        text = _ABBREVIATION_RU.sub(_abbreviation_ru, text)
    if digits:
        text = _numbers_ru(ascii_digits(text))
    if re.search("[A-Za-zÀ-ɏ]", text):
        text = "".join(unicodedata.normalize("NFKD", c) if "À" <= c <= "ɏ" else c for c in text)
        text = re.sub("(?<=[A-Za-z])[\u0300-\u036f]+", "", text)
        text = _ROMAN.sub(_roman_ru, text)
        text = _mixed(text)
        text = re.sub(r"(?<=[A-Za-z])\.(?=[A-Za-z]{2})", " точка ", text)
        text = _LATIN_WORD.sub(lambda m: latin(m[0]), text)
    text = _ACRONYM_RU.sub(lambda m: " ".join(_LETTER_RU[c] for c in m[0]), text)
    text = re.sub(r"\+(?=\s|$)", " плюс ", text)
    return signs(text, _SIGNS_RU)


def _abbreviation_ru(m: re.Match[str]) -> str:
    word = m[0]
    before = m.string[max(m.start() - 2, 0) : m.start()].strip()
    if before[-1:].isdigit() and word.rstrip(".") in _UNITS_RU:
        return word.rstrip(".")  # the number decides its form
    end = m.string[m.end() : m.end() + 2].strip()
    # A sentence may end with the abbreviation: its full stop stays when nothing or a capital follows.
    stop = (
        "."
        if word.endswith(".")
        and word not in ("ул.", "им.", "проф.", "акад.", "см.")
        and (not end or end[0].isupper())
        else ""
    )
    return _ABBREVIATIONS_RU[word] + stop


def _numbers_ru(text: str) -> str:
    c = cardinal
    text = _GROUPS.sub(lambda m: m[1] + re.sub(r"\D", "", m[2]), text)
    text = _RU_ISO.sub(lambda m: f"{int(m[3])}.{int(m[2])}.{m[1]}", text)
    text = _RU_DATE.sub(_date_ru, text)
    text = _RU_DAY.sub(lambda m: ordinal(m[1], "ru", gender="n", case="g") + " " if int(m[1]) else m[0], text)
    text = _RU_TIME.sub(_time_ru, text)
    text = _RU_YEAR.sub(_year_ru, text)
    text = _RU_ORDINAL.sub(_ending_ru, text)
    text = re.sub(r"(?<![\w.—])-(?=\d)", "минус ", text)
    text = _RU_MONEY.sub(lambda m: re.sub(r"\s", "", m[2]) + m[1], text)
    text = _RU_UNIT.sub(_unit_ru, text)
    text = re.sub(r"\+(?=\d)", " плюс ", text)
    text = re.sub(r"(?<=\d)\s?\*\s?(?=\d)", " умножить на ", text)
    text = re.sub(r"(?<=\d)-(?=[^\W\d_]|\d)", " ", text)
    text = _FRACTION.sub(_fraction_ru, text)
    text = DECIMAL.sub(lambda m: _decimal_ru(m[1], m[2]), text)
    text = CARRY.sub(" ", text)
    text = re.sub(r"(?<!\d)(\d{1,15})" + _FEMININE.pattern, lambda m: c(m[1], "ru", gender="f") + " ", text)
    return PLAIN.sub(lambda m: f" {c(m[0], 'ru')} ", text)


def _date_ru(m: re.Match[str]) -> str:
    day, month = int(m[1]), int(m[2])
    if not (1 <= day <= 31 and 1 <= month <= 12):
        return m[0]
    year = ordinal(m[3], "ru", gender="m", case="g")
    return f"{ordinal(str(day), 'ru', gender='n', case='n')} {_MONTHS[month - 1]} {year} года"


def _time_ru(m: re.Match[str]) -> str:
    h, minute = str(int(m[1])), str(int(m[2]))
    said = f"{cardinal(h, 'ru')} {_plural(h, 'час', 'часа', 'часов')}"
    if minute == "0":
        return said
    return f"{said} {cardinal(minute, 'ru', gender='f')} {_plural(minute, 'минута', 'минуты', 'минут')}"


def _year_ru(m: re.Match[str]) -> str:
    word = m[2]
    case = _YEAR[word]
    before = m.string[max(m.start() - 5, 0) : m.start()].lower().split()
    if word == "г" and before and before[-1] in ("в", "во"):
        case, word = "p", "году"
    elif word == "г" and before and before[-1] in ("с", "до", "от", "из"):
        case, word = "g", "года"
    plural = word in ("гг", "годы", "годов")
    said = {"г": "год", "гг": "годы"}.get(word, word)
    stop = "." if m[0].endswith(".") and m.end() == len(m.string) else ""
    return f"{ordinal(m[1], 'ru', gender='m', case=case, plural=plural)} {said}{stop}"


def _ending_ru(m: re.Match[str]) -> str:
    gender, case, plural = _ENDINGS_RU[m[2]]
    if m[2] == "е" and m.string[m.end() : m.end() + 5] == " годы":
        gender, plural = "m", True
    return ordinal(m[1], "ru", gender=gender, case=case, plural=plural)


def _unit_ru(m: re.Match[str]) -> str:
    one, few, many, gender = _UNITS_RU[m[3]]
    # The full stop of an abbreviated unit also ends the sentence when a capital or nothing follows.
    rest = m.string[m.end() : m.end() + 2].strip()
    stop = "." if m[0].endswith(".") and (not rest or rest[0].isupper()) else ""
    if m[2]:
        return f"{_decimal_ru(m[1], m[2][1:])} {few}{stop}"
    return f"{cardinal(m[1], 'ru', gender=gender)} {_plural(m[1], one, few, many)}{stop}"


def _decimal_ru(whole: str, fraction: str) -> str:
    names = {1: ("десятая", "десятых"), 2: ("сотая", "сотых"), 3: ("тысячная", "тысячных")}
    head = (
        f"{cardinal(whole, 'ru', gender='f')} {'целая' if _plural(whole, '1', '2', '5') == '1' else 'целых'}"
    )
    if len(fraction) > 3:
        return f"{head} " + " ".join(DIGITS_RU[int(d)] for d in fraction)
    value = str(int(fraction))
    one, many = names[len(fraction)]
    return (
        f"{head} {cardinal(value, 'ru', gender='f')} {one if _plural(value, '1', '2', '5') == '1' else many}"
    )


def _fraction_ru(m: re.Match[str]) -> str:
    if int(m[1]) >= int(m[2]):
        return f"{cardinal(m[1], 'ru')} дробь {cardinal(m[2], 'ru')}"
    one = m[1] == "1"
    part = ordinal(m[2], "ru", gender="f", case="n" if one else "g", plural=not one)
    return f"{cardinal(m[1], 'ru', gender='f')} {part}"


_ROMAN = re.compile(r"(?<![\w.])([IVX]{1,6})(?:\s(век(?:а|е|у|ом)?)(?!\w)|(?!\w))(?=(.?))")
_ROMAN_CASE = {"век": "n", "века": "g", "веке": "p", "веку": "d", "веком": "i"}


def _roman_ru(m: re.Match[str]) -> str:
    """ "XX века" by its case; "Николай II" (a capitalised name before it) in the nominative."""
    values = [{"I": 1, "V": 5, "X": 10}[c] for c in m[1]]
    n = sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
    if m[2]:
        return f"{ordinal(str(n), 'ru', gender='m', case=_ROMAN_CASE[m[2]])} {m[2]}"
    before = m.string[max(m.start() - 40, 0) : m.start()].split()
    if before and re.fullmatch("[А-ЯЁ][а-яё]+", before[-1]):
        return ordinal(str(n), "ru", gender="m")
    return m[0]


_LOOKALIKE = str.maketrans("aceopxykmtbhABCEHKMOPTXY", "асеорхукмтвнАВСЕНКМОРТХУ")


def _mixed(text: str) -> str:
    """Latin look-alikes inside a Cyrillic word ("мoлоко") become Cyrillic."""

    def mend(m: re.Match[str]) -> str:
        word = m[0]
        if word in ("a", "c", "o", "y", "k"):  # a Russian one-letter word typed on the wrong layout
            return word.translate(_LOOKALIKE)
        if not re.search("[а-яёА-ЯЁ]", word) or not re.search("[A-Za-z]", word):
            return word
        return word.translate(_LOOKALIKE)

    return re.sub(r"[A-Za-zА-Яа-яЁё]+", mend, text) if re.search("[а-яё]", text) else text


@lru_cache(maxsize=16384)
def latin(word: str) -> str:
    """A Latin word in Cyrillic letters, roughly as a Russian speaker reads it; acronyms letter by letter."""
    if word.isupper() and (1 < len(word) <= 5 or len(word) == 1) and word != "I":
        return " ".join(_LATIN_NAMES[c] for c in word.lower() if c in _LATIN_NAMES)
    w = word.lower().replace("'", "")
    if len(w) > 3 and w[-1] == "e" and w[-2] not in "aeiou":
        w = w[:-1]
    return _LATIN_PIECE.sub(lambda m: _LATIN_TO[m[0]], w)
