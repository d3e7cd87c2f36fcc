"""Sentence boundaries of Russian: razdel, corrected where it was measured to be wrong.

razdel (https://github.com/natasha/razdel) never ends a sentence after some abbreviations and initials ("5 см.
Потом", "угол А. Затем") and ends one after others ("табл. 5").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from intona.text.symbols import words

# Characters per call of razdel, whose time is quadratic in a run without a sentence end.
_WINDOW = 4000
# Russian words that begin a sentence after an abbreviation or a letter that need not end one.
_STARTERS = words(
    """
    а без более в вам вас ваш весь во вот все всё вскоре вы где да даже для до его ее её если есть ещё еще
    за зато затем здесь и из или им их к каждый как когда кроме кто лишь мне многие можно мой мы на надо
    нам нас наш не него нет ни но ну о об однако он она они оно от очень перед по под позже пока после
    потом потому поэтому при про раз с сам сегодня сейчас со спустя сразу так также такой там тем теперь
    то тогда того тоже только тот ты у уже хотя чего чем через что чтобы эта эти это этот этого этой я
    далее иногда никто ничего обычно всего часто вчера завтра
    """
)
_LETTERED = re.compile(
    r"(?:уг[ол][а-я]{0,4}|точк[а-я]{1,3}|витамин[а-я]{0,3}|групп[а-я]{1,3}|класс[а-я]{0,3}|план[а-я]{0,3}|"
    r"пункт[а-я]{0,3}|букв[а-я]{1,3}|вариант[а-я]{0,3}|тип[а-я]{0,3}|отрез[а-я]{2,4}|прям[а-я]{2,3}|сторон[а-я]{1,3}|"
    r"вершин[а-я]{1,3}|множеств[а-я]{1,3}|подъезд[а-я]{0,3}|корпус[а-я]{0,3}|категори[а-я]{1,3}|гепатит[а-я]{0,3}|"
    r"команд[а-я]{1,3}|блок[а-я]{0,3}|зон[а-я]{1,3}|лини[а-я]{1,3})"
)
_UNIT = (
    r"гг?|вв?|см|мм|м|км|кг|мг|т|л|мл|га|ч|час|мин|сек|с|р|руб|коп|долл|тыс|млн|млрд|шт|чел|экз|об|"
    r"[а-я]{1,3}/[а-я]{1,3}"
)
# Where razdel sees an abbreviation or an initial but a sentence may end: "5 см. Потом", "в 1941 г. Он",
# "угол А. Затем", "Пушкин А. С. Он".
_CUT = re.compile(
    rf"(?:(?P<amount>(?:\d|\b[IVXLC]{{1,6}}|\b(?:тыс|млн|млрд)\.)\s?(?:{_UNIT})\.(?:\s?до\sн\.\s?э\.)?"
    r"|\d\s?°\s?[CFС]\.|рт\.\sст\.|\bи\s(?:пр|др|т\.\s?д|т\.\s?п)\.)"
    r"|\b[А-ЯЁ][а-яё]{2,20}\s[А-ЯЁ]\.\s?[А-ЯЁ]\."
    r"|\b(?P<noun>[А-ЯЁа-яё][а-яё]{1,20})\s[А-ЯЁA-Z]\.)"
    r"\s+(?=[«„\"(]?[А-ЯЁ])"
)
_YEAR_FIRST = re.compile(
    r"(?:(?:[Уу]же|[Ее]щ[её]|И|А|Но|Только|Лишь)\s)?(?:(?:[Вв]|[Кк]|[Сс]о?|[Дд]о|[Пп]осле|Около|На|Летом|Зимой|Весной|"
    r"Осенью)\s)(?:[а-я]{3,10}\s)?[\dIVXLC–—-]+\s?(?:гг?|вв?)\.\s*"
)
# Abbreviations unknown to razdel: before a number, before a name.
_COUNTED = re.compile(
    r"(?<!\w)(?:табл|доб|прил|разд|илл|вып|поз|фиг|черт|прим|корп|вл|кв|ок|д|оф|комн|вкл|стб|янв|февр?|мар|апр|июн|"
    r"июл|авг|сент?|окт|нояб?|дек)\.$",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?<!\w)(?:ген|полк|подп|лейт|кап|серж|доц|инж|преп|асп|наб|бул|дер|респ|худ|реж|муз|сл)\.$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[«„\"(—– ]*([А-ЯЁ][а-яё]*)")
_NUMBER = re.compile(r"\d[\d.,–-]{0,9}(?<!\.)(?:(\.)\s+(?=[А-ЯЁ]))?")


def split(text: str) -> Iterator[str]:
    """Sentences of one paragraph."""
    pending = ""
    for sentence in _razdel(text):
        number = _NUMBER.match(sentence)
        if pending and number and _COUNTED.search(pending[-10:]):
            pending = f"{pending} {sentence[: number.end()]}".strip()
            sentence = sentence[number.end() :]
            if number[1] is None:  # "табл. 5 и", not "доб. 5. Он"
                pending += sentence
                continue
        goes_on = _NAMED.search(pending[-10:]) or _YEAR_FIRST.fullmatch(pending)
        if pending and goes_on and not _starts(sentence):
            pending = f"{pending} {sentence}"  # "ген. Жуков", "В 2020–2021 гг. Россия"
            continue
        if pending:
            yield from _parted(pending)
        pending = sentence
    if pending:
        yield from _parted(pending)


def _razdel(text: str) -> Iterator[str]:
    from razdel import sentenize

    at = 0
    while at < len(text):
        window = text[at : at + _WINDOW]
        sentences = [s.text for s in sentenize(window)]
        at += len(window)
        if at < len(text) and len(sentences) > 1:
            # The last one may continue after the window. (One as long as the window is cut later anyway.)
            at -= len(window) - len(window.rstrip()) + len(sentences.pop())
        yield from sentences


def _parted(sentence: str) -> Iterator[str]:
    """A sentence of razdel cut where a unit, a year or a single letter ends one."""
    start = 0
    for m in _CUT.finditer(sentence):
        starts = _starts(sentence, m.end())
        if m["amount"]:
            # "В 1812 г. Наполеон пришёл", but "Он погиб в 1837 г. Россия скорбела".
            ends = starts or not _YEAR_FIRST.fullmatch(sentence, start, m.end())
        else:
            ends = starts or (m["noun"] is not None and _LETTERED.fullmatch(m["noun"].lower()) is not None)
        if ends:
            yield sentence[start : m.end()].strip()
            start = m.end()
    yield sentence[start:].strip()


def _starts(text: str, at: int = 0) -> bool:
    """Whether the word at `at` is one that begins sentences, and not an initial."""
    m = _WORD.match(text, at)
    return (
        m is not None
        and m[1].lower() in _STARTERS
        and not (len(m[1]) == 1 and text[m.end() : m.end() + 1] == ".")
    )
