"""Russian abbreviations that ru-normalizr leaves as they are, or reads in the wrong case."""

from __future__ import annotations

import re

# Those that a text may end with; longer ones have a letter or a digit before them.
FINAL = "др|пр|см|гг?|вв?|ул|стр|рис|гл|им|тел|тыс|руб|коп|проф|акад|напр|чел|шт|кв|обл|просп|пер|ред|сб|вс"

_WORD = "А-Яа-яЁё"
# Forms: nominative, genitive, dative, accusative, instrumental, prepositional.
_NOUNS = {
    "рис": ("рисунок", "рисунка", "рисунку", "рисунок", "рисунком", "рисунке"),
    "табл": ("таблица", "таблицы", "таблице", "таблицу", "таблицей", "таблице"),
    "прил": ("приложение", "приложения", "приложению", "приложение", "приложением", "приложении"),
    "разд": ("раздел", "раздела", "разделу", "раздел", "разделом", "разделе"),
    "нач": ("начало", "начала", "началу", "начало", "началом", "начале"),
    "кон": ("конец", "конца", "концу", "конец", "концом", "конце"),
    "сер": ("середина", "середины", "середине", "середину", "серединой", "середине"),
    "ил": ("иллюстрация", "иллюстрации", "иллюстрации", "иллюстрацию", "иллюстрацией", "иллюстрации"),
}
_NOUN = re.compile(
    rf"(?i:(?<![{_WORD}])(?:([{_WORD}]+)\.?\s+)?(?<![{_WORD}])({'|'.join(_NOUNS)})\.\s?(?=[№\dIVX]))"
)
# The form that a word before a noun asks for.
CASES = {
    "из": 1, "от": 1, "до": 1, "без": 1, "около": 1, "для": 1, "у": 1, "после": 1, "кроме": 1, "более": 1,
    "менее": 1, "свыше": 1, "к": 2, "ко": 2, "по": 2, "см": 3, "смотри": 3, "смотрите": 3, "через": 3, "с": 4,
    "со": 4, "над": 4, "под": 4, "перед": 4, "на": 5, "в": 5, "во": 5, "о": 5, "об": 5, "при": 5,
}  # fmt: skip
_TITLES = {
    "проф": "профессор", "акад": "академик", "доц": "доцент", "ген": "генерал", "полк": "полковник",
    "кап": "капитан", "инж": "инженер", "тов": "товарищ", "свящ": "священник",
}  # fmt: skip
_TITLE = re.compile(rf"(?<![{_WORD}])({'|'.join(_TITLES)})\.(?=\s?[А-ЯЁ])")
_DAYS = {
    "пн": "понедельник", "вт": "вторник", "ср": "среда", "чт": "четверг", "пт": "пятница", "сб": "суббота",
    "вс": "воскресенье",
}  # fmt: skip
_DAY_RANGE = re.compile(rf"(?i:(?<!\w)({'|'.join(_DAYS)})\.?\s?[–—-]\s?({'|'.join(_DAYS)})(?!\w)\.?)")
_PLAIN = {
    "т. е.": "то есть", "т.е.": "то есть", "т. к.": "так как", "т.к.": "так как", "т. о.": "таким образом",
    "т.о.": "таким образом", "т. н.": "так называемый", "т.н.": "так называемый", "и пр.": "и прочее",
    "и др.": "и другие", "им.": "имени", "напр.": "например", "тел.": "телефон", "сб.": "суббота",
    "вс.": "воскресенье", "пн.": "понедельник", "вт.": "вторник", "чт.": "четверг", "пт.": "пятница",
    "в ред.": "в редакции", "англ.": "английский", "просп.": "проспект", "моб.": "мобильный",
    "б-р": "бульвар", "уд/мин": "ударов в минуту", "т/ч": "тонн в час", "кОм": "килоом",
    "мкм": "микрометров",
    "м/ф": "мультфильм", "к/ф": "кинофильм", "т/ф": "телефильм", "ж/д": "железнодорожный",
    "а/м": "автомобиль", "с/х": "сельскохозяйственный", "х/ф": "художественный фильм",
    "д/ф": "документальный фильм",
}  # fmt: skip
_BEFORE_A_NAME = frozenset(["им.", "тел.", "просп.", "моб."])
_LONGEST_FIRST = "|".join(sorted(map(re.escape, _PLAIN), key=len, reverse=True))
_ABBREVIATION = re.compile(rf"(?i:(?<![{_WORD}.])(?:{_LONGEST_FIRST})(?![{_WORD}]))")
_AVENUE = re.compile(r"(?<![\w.])(?<!и )пр\.(?=\s?[А-ЯЁ])")
_BORN = re.compile(r"(?<![\w.])(?:(род)|ум)\.(?=\s?(?:в\s|\d))")


def expand(text: str) -> str:
    """The abbreviations of this module in full; a full stop that also ends the sentence stays."""
    if "." in text or "/" in text or "-" in text:
        text = _AVENUE.sub("проспект", text)
        text = _BORN.sub(lambda m: "родился" if m[1] else "умер", text)
        text = _TITLE.sub(lambda m: _TITLES[m[1]], text)
        text = _NOUN.sub(_noun, text)
    text = _DAY_RANGE.sub(lambda m: f"{_DAYS[m[1].lower()]} — {_DAYS[m[2].lower()]}", text)
    return _ABBREVIATION.sub(_plain, text)


def _noun(m: re.Match[str]) -> str:
    before = m[1] or ""
    form = _NOUNS[m[2].lower()][CASES.get(before.lower(), 0)]
    lead = "смотри " if before.lower() == "см" else f"{before} " if before else ""
    return f"{lead}{form} "


def _plain(m: re.Match[str]) -> str:
    word = m[0] if m[0] in _PLAIN else m[0].lower()
    if word not in _PLAIN:  # "КОм": written as no table has it
        return m[0]
    rest = m.string[m.end() :].lstrip()
    ends = word.endswith(".") and word not in _BEFORE_A_NAME and (not rest or rest[0].isupper())
    return _PLAIN[word] + ("." if ends else "")
