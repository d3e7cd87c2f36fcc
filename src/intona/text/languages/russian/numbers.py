"""Russian numbers, dates, times and money, rewritten as ru-normalizr reads them best."""

from __future__ import annotations

import re

from intona.text.languages.russian import letters
from intona.text.languages.russian.abbreviations import CASES
from intona.text.numerals import DIGITS_RU, cardinal, ordinal

_LONG = re.compile(r"\d{16,}")
_DASH = "[–—-]"
_MINUS = re.compile(r"(?<![\w)])(?<!\d\s)[−–-](?=\d)")
_TIME = re.compile(r"(?<![\d:.,])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:]|\s?=)")
_YEAR_FIRST = re.compile(r"(?<![\d/.-])([12]\d{3})([-/.])([01]?\d)\2([0-3]?\d)(?![\d/-])")
_YEAR_LAST = re.compile(r"(?<![\d/])([0-3]?\d)/([01]?\d)/([12]\d{3})(?![\d/])")
_CURRENCIES = {"$": "долларов", "€": "евро", "£": "фунтов", "₽": "рублей", "¥": "иен"}
_MAGNITUDE = r"тыс\.?|млн\.?|млрд\.?|трлн\.?|тысяч[аи]?|миллион(?:а|ов)?|миллиард(?:а|ов)?|триллион(?:а|ов)?"
_AMOUNT = r"\d[\d ]*(?:[.,]\d+)?"
_LARGE_SUM = re.compile(rf"([$€£₽¥])\s?({_AMOUNT})\s?({_MAGNITUDE})(?!\w)")
_SIGN_FIRST = re.compile(rf"([£¥])\s?({_AMOUNT})(?![\d.,])")
_MAGNITUDE_STOP = re.compile(r"(?<=\d)(\s?(?:млн|млрд|трлн))\.(?=\s+[а-яё])")
_PRICE = re.compile(
    r"(?i:(?<!\w)(цена|стоимость|сумма|зарплата|пенсия|штраф|оклад|плата|тариф|аренда|бюджет))\s+(?=[\d$€£₽])"
)
_DENOMINATORS = {
    "км²": "на квадратный километр", "м²": "на квадратный метр", "м³": "на кубический метр",
    "га": "на гектар", "мес": "в месяц", "год": "в год", "сут": "в сутки", "день": "в день",
    "нед": "в неделю",
    "чел": "на человека", "шт": "за штуку", "кг": "за килограмм", "л": "за литр", "ночь": "за ночь",
    "час": "в час", "ч": "в час", "мин": "в минуту",
}  # fmt: skip
_PER = re.compile(
    r"(?<!\w)(руб\.?|р\.?|чел\.?|долл\.?|евро|коп\.?|шт\.?|уд\.?|об\.?|рублей|человек|₽|\$|€)\s?/\s?"
    rf"({'|'.join(sorted(map(re.escape, _DENOMINATORS), key=len, reverse=True))})(?!\w)\.?"
)
_FRACTION = re.compile(r"(?<![\d/.,:\w])(\d{1,3})/(\d{2,3})(?![\d/\w]|[.,]\d)")
_DECADE = re.compile(r"(?<![\w-])([2-9]0)-е(?!\s+(?:место|число|издание|изд|кресло|заседание))(?!\w)")
_CENTURY = re.compile(
    rf"(?<![\d.,:])(?:(\d|1\d|2[01])\s?{_DASH}\s?)?(\d|1\d|2[01])(?:-(?:й|м|го|му))?\s?(вв?\.)"
    r"(?=\s*(?:до\s|н\.|[а-я,;)]|$))"
)
_SCHOOL_YEAR = re.compile(
    rf"(?<!\d)([12]\d)(\d\d)(?:/|{_DASH})(?:[12]\d)?(\d\d)\s+(?=\w+?(ый|ого|ому|ым|ом)\s+год)"
)
_LIFE = re.compile(rf"\((1\d{{3}}|20\d\d)\s?{_DASH}\s?(1\d{{3}}|20\d\d)\)")
_QUARTER = re.compile(r"(?<!\w)([Вв]\s+)?([1-4])\s?кв\.(?=\s?(?:19|20)\d\d)")
_PERCENT_ENDINGS = {
    "й": "ый", "ный": "ый", "го": "ого", "ного": "ого", "му": "ому", "ному": "ому", "м": "ом", "ном": "ом",
    "я": "ая", "ная": "ая", "ю": "ую", "ную": "ую", "ной": "ой", "ое": "ое", "ное": "ое", "х": "ых",
    "ных": "ых", "ые": "ые", "ные": "ые", "ным": "ым",
}  # fmt: skip
_PERCENT_ADJECTIVE = re.compile(
    rf"(\d+)\s?%-({'|'.join(sorted(_PERCENT_ENDINGS, key=len, reverse=True))})(?!\w)"
)
_MOBILE = re.compile(r"(?<![\d+(.,])8[\s-]?\(?(9\d\d)\)?[\s-]?(\d{3})[\s-]?(\d{2})[\s-]?(\d{2})(?!\d)")
_LOCAL_NUMBER = re.compile(r"(?<![\d-])(\d{3})-(\d{2})-(\d{2})(?![\d-])")
# "2 тетради": the form is also a dative, so ru-normalizr reads "во второй тетради".
_SOFT_NOUN = re.compile(r"(?<![\d.,:/-])(?:([А-Яа-яЁё]+)\s+)?(?<!\d)(\d*[234])\s+([а-яё]+и)(?!\w)")
_BY = re.compile(r"(?<=\d)\s?[xхXХ]\s?(?=\d)")
_FIXED = {"24/7": "двадцать четыре на семь", "50/50": "пятьдесят на пятьдесят"}
_FIXED_PAIR = re.compile(r"(?<![\w/])(?:24/7|50/50)(?![\w/])")

_ROMAN = "[IVX]{1,6}"
# "ХХ век" typed with the Cyrillic letter.
_CYRILLIC_ROMAN = re.compile(
    rf"(?<!\w)([ХXVIІ]{{1,6}}(?:\s?{_DASH}\s?[ХXVIІ]{{1,6}})?)(?=\s*(?:век|вв?\.|столети))"
)
_ROMAN_ADJECTIVE = re.compile(
    rf"(?<![\w.])({_ROMAN})\s+(?=[А-ЯЁа-яё][а-яё]{{2,}}?(ая|ую|ой|ый|ий|ого|его|ому|ему|ым|им|ые|ие|ых|их|ей)\s+[а-яё])"
)
_ENDINGS = {
    "ая": "я", "ую": "ю", "ой": "й", "ей": "й", "ый": "й", "ий": "й", "ого": "го", "его": "го", "ому": "му",
    "ему": "му", "ым": "м", "им": "м", "ые": "е", "ие": "е", "ых": "х", "их": "х",
}  # fmt: skip
_MASCULINE = {"ый": ("й", "n"), "ого": ("го", "g"), "ому": ("му", "d"), "ым": ("м", "i"), "ом": ("м", "p")}


def prepare(text: str) -> str:
    """Numbers in the form that ru-normalizr reads correctly; those it does not read, in words."""
    text = _LONG.sub(lambda m: " ".join(DIGITS_RU[int(d)] for d in m[0]), text)
    text = _MINUS.sub("-", text)
    text = re.sub(r"(?<![\w.,])[.,](?=\d)", "0.", text)
    text = _YEAR_FIRST.sub(lambda m: _dotted(m[4], m[3], m[1]) or m[0], text)
    text = _YEAR_LAST.sub(lambda m: _dotted(m[1], m[2], m[3]) or m[0], text)
    text = _SCHOOL_YEAR.sub(_school_year, text)
    text = _LIFE.sub(r"(\1-й — \2-й)", text)
    text = _QUARTER.sub(lambda m: f"{m[1] or ''}{m[2]}-{'м квартале' if m[1] else 'й квартал'}", text)
    text = _DECADE.sub(lambda m: ordinal(m[1], "ru", gender="m", case="n", plural=True), text)
    text = _CENTURY.sub(_century, text)
    text = _TIME.sub(_clock, text)
    text = _MOBILE.sub(lambda m: "8-" + "-".join(m.groups()), text)
    text = _LOCAL_NUMBER.sub(lambda m: ", ".join(cardinal(g, "ru") for g in m.groups()), text)
    text = _money(text)
    text = _FIXED_PAIR.sub(lambda m: _FIXED[m[0]], text)
    text = _FRACTION.sub(_fraction, text)
    text = _PERCENT_ADJECTIVE.sub(lambda m: f"{m[1]}-процентн{_PERCENT_ENDINGS[m[2]]}", text)
    text = re.sub(r"(?i:(?<!\w)св\.)(?=\s?\d)", "свыше", text)
    text = re.sub(r"(?<![\w>])>\s?(?=\d)", "больше ", text)
    text = re.sub(r"(?<![\w<])<\s?(?=\d)", "меньше ", text)
    text = re.sub(r"(?<=\d)\s?с\.?(?=\s*$|[,;!?]|\s+[А-ЯЁ])", " сек.", text)
    text = _SOFT_NOUN.sub(_soft_noun, text)
    text = letters.letters_with_numbers(text)
    return _BY.sub(" на ", text)


def prepare_roman(text: str) -> str:
    """Roman numerals before an adjective ("II мировая") as ordinals; those typed in Cyrillic as Latin."""
    text = _CYRILLIC_ROMAN.sub(lambda m: m[1].replace("Х", "X").replace("І", "I"), text)
    return _ROMAN_ADJECTIVE.sub(lambda m: f"{_from_roman(m[1])}-{_ENDINGS[m[2]]} ", text)


def _money(text: str) -> str:
    text = _LARGE_SUM.sub(lambda m: f"{m[2]} {m[3].rstrip('.')} {_CURRENCIES[m[1]]}", text)
    text = _SIGN_FIRST.sub(r"\2 \1", text)
    text = _MAGNITUDE_STOP.sub(r"\1", text)
    text = _PER.sub(lambda m: f"{m[1]} {_DENOMINATORS[m[2]]}", text)
    # Without a pause ru-normalizr reads the sum in the genitive: "цена пятисот рублей".
    return _PRICE.sub(r"\1 — ", text)


def _dotted(day: str, month: str, year: str) -> str:
    if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
        return ""
    return f"{int(day):02d}.{int(month):02d}.{year}"


def _clock(m: re.Match[str]) -> str:
    """ "9:30" as "9 ч 30 мин", which ru-normalizr inflects correctly."""
    out = f"{int(m[1])} ч"
    if int(m[2]) or m[3]:
        out += f" {int(m[2])} мин"
    return out + (f" {int(m[3])} сек" if m[3] else "")


def _school_year(m: re.Match[str]) -> str:
    """ "2023/24 учебном году": both years in the case of the adjective after them."""
    case = _MASCULINE[m[4]][1]
    first, second = (ordinal(m[1] + year, "ru", gender="m", case=case) for year in (m[2], m[3]))
    return f"{first} — {second} "


def _century(m: re.Match[str]) -> str:
    """Centuries in Arabic digits ("17–18 вв.") as Roman numerals, which ru-normalizr knows."""
    first = f"{_to_roman(int(m[1]))}–" if m[1] and int(m[1]) else ""
    return f"{first}{_to_roman(int(m[2]))} {m[3]}" if int(m[2]) else m[0]


def _fraction(m: re.Match[str]) -> str:
    """ "12/25": ru-normalizr inflects every word of a compound denominator."""
    numerator, denominator = int(m[1]), int(m[2])
    if not 0 < numerator < denominator or denominator <= 20:
        return m[0]
    one = numerator % 10 == 1 and numerator % 100 != 11
    part = ordinal(m[2], "ru", gender="f", case="n" if one else "g", plural=not one)
    return f"{cardinal(m[1], 'ru', gender='f')} {part}"


def _soft_noun(m: re.Match[str]) -> str:
    """ "2 тетради", "3 пути" with the numeral in the nominative; unchanged after a preposition."""
    if (m[1] or "").lower() in CASES or (len(m[2]) > 1 and m[2][-2] == "1"):
        return m[0]
    for parse in letters.morphology().parse(m[3]):
        if parse.normal_form.endswith("ь") and {"NOUN", "sing", "gent"} in parse.tag:
            numeral = cardinal(m[2], "ru", gender="f" if "femn" in parse.tag else "m")
            return f"{m[1] + ' ' if m[1] else ''}{numeral} {m[3]}"
    return m[0]


def _from_roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[c] for c in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _to_roman(number: int) -> str:
    return "X" * (number // 10) + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[number % 10]
