"""Letters in Russian: their names, acronyms, single letters, and Latin words as a Russian reads them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any

from intona.text.once import once


def _names(letters: str, names: str) -> dict[str, str]:
    return dict(zip(letters, names.split(), strict=True))


NAMES = {
    **_names("абвгдежз", "а бэ вэ гэ дэ е жэ зэ"),
    **_names("иклмнопрст", "и ка эль эм эн о пэ эр эс тэ"),
    **_names("уфхцчшщыэюя", "у эф ха цэ че ша ща ы э ю я"),
    **{"ё": "ё", "й": "и краткое", "ъ": "твёрдый знак", "ь": "мягкий знак"},
}
# Inside an acronym "л" is эл, and vowels carry a mark: a single "а" or "у" would be read as a clitic.
_SPELLED = NAMES | {"л": "эл", "й": "и"} | {v: f"+{v}" for v in "аеиоуыэюя"}
# Acronyms that are not read by the names of their letters; `+` marks the stress.
_ACRONYMS = {
    "США": "сэ шэ +а", "ООН": "о+он", "ОАЭ": "о а +э", "АЭС": "а э +эс", "ООО": "о о +о", "ПАО": "п+ао",
    "ЗАО": "з+ао", "ФСБ": "эф эс б+э", "ФБР": "фэ бэ +эр", "ФРГ": "фэ эр г+э", "ФИО": "ф+ио", "ТЭЦ": "тэц",
    "ГИБДД": "ги бэ дэ д+э", "ЦСКА": "цэ эс к+а", "ЖЭК": "жэк", "ГЭС": "гэс", "ВОЗ": "воз", "АТС": "а тэ +эс",
    "АЗС": "а зэ +эс", "ЕС": "е +эс", "ОС": "о +эс", "ИИ": "и +и", "СМИ": "сми", "ГОСТ": "гост", "ЦУМ": "цум",
    "ИТ": "ай т+и", "ГУМ": "гум", "НИИ": "ни+и", "АН": "а +эн", "РАН": "ран", "МКАД": "мкад", "АО": "а +о",
    "ОБСЕ": "о бэ эс +е", "ИКЕА": "ик+еа", "ОМОН": "ом+он", "КАМАЗ": "кам+аз", "УЗИ": "уз+и", "ЧАЭС": "ча+эс",
    "ИП": "и п+э", "УК": "у к+а", "ЭКГ": "э ка г+э", "НЛО": "эн эл +о", "ЕГЭ": "ег+э", "ОГЭ": "ог+э",
    "МИД": "мид", "ЗАГС": "загс", "ТАСС": "тасс", "ЦРУ": "цэ эр +у", "ВУЗ": "вуз", "НАТО": "н+ато",
}  # fmt: skip
# Labels after which ru-normalizr reads a number digit by digit.
_LABELS = frozenset(["ИНН", "КПП", "ОГРН", "БИК", "СНИЛС"])
_SPELLABLE = re.compile(r"(?<![\w+])(?<!\d )[А-ЯЁ]{2,6}(?![\w+])")  # after a number it is a unit
_VOWELS = frozenset("АЕЁИОУЫЭЮЯ")
# A single capital is a letter before a sign, at the end, and anywhere inside a sentence.
_ALONE = re.compile(r"(?<![\w+.'-])(?<!\d )([А-ЯЁ])(?![\w+.'\u0301-])(?=(\s*[^\s\w]|\s*$)?)")
_WITH_NUMBER = re.compile(r"(?<![\w+.])([А-ЯЁ])-?(?=\d)")
_INITIALS = re.compile(r"(?<![\w+])([А-ЯЁ])\.\s?(?:([А-ЯЁ])\.\s?)?(?=([А-ЯЁ][а-яё]+))")
# "Пушкин А. С.", "угол А."
_FINAL = re.compile(r"(?<=[а-яё]\s)([А-ЯЁ])\.(?:\s?([А-ЯЁ])\.)?(?=\s*($)|\s*[,;)])")
_SHOUTED = re.compile(r"(?<!\w)[А-ЯЁ]+(?:[\s,-]+[А-ЯЁ]+(?!\w)){2,}")

_LATIN_NAMES = {
    **_names("abcdefghijklm", "эй би си ди и эф джи эйч ай джей кей эл эм"),
    **_names("nopqrstuvwxyz", "эн оу пи кью ар эс ти ю ви даблъю экс уай зед"),
}
# A single small letter is a variable or a vitamin: their names in Russian mathematics.
VARIABLES = {
    **_names("abcdefghijklm", "а бэ цэ дэ е эф гэ аш и йот ка эль эм"),
    **_names("nopqrstuvwxyz", "эн о пэ ку эр эс тэ у вэ дубль-вэ икс игрек зет"),
}
_LATIN = (
    ("tion", "шн"), ("sch", "ш"), ("tch", "ч"), ("igh", "ай"), ("ch", "ч"), ("sh", "ш"), ("th", "т"),
    ("ph", "ф"), ("zh", "ж"), ("kh", "х"), ("ck", "к"), ("qu", "кв"), ("oo", "у"), ("ee", "и"), ("ea", "и"),
    ("ou", "ау"), ("ow", "оу"), ("ai", "эй"), ("ay", "эй"), ("ey", "и"), ("ya", "я"), ("yu", "ю"),
    ("yo", "йо"), ("ce", "се"), ("ci", "си"), ("cy", "си"), ("ge", "дже"), ("a", "а"), ("b", "б"), ("c", "к"),
    ("d", "д"), ("e", "э"), ("f", "ф"), ("g", "г"), ("h", "х"), ("i", "и"), ("j", "дж"), ("k", "к"),
    ("l", "л"), ("m", "м"), ("n", "н"), ("o", "о"), ("p", "п"), ("q", "к"), ("r", "р"), ("s", "с"),
    ("t", "т"), ("u", "у"), ("v", "в"), ("w", "в"), ("x", "кс"), ("y", "и"), ("z", "з"),
)  # fmt: skip
_LATIN_PIECE = re.compile("|".join(k for k, _ in _LATIN))
_LATIN_TO = dict(_LATIN)
_LATIN_WORD = re.compile(r"[A-Za-z]+(?:'[A-Za-z]+)?")
_LOOKALIKE = str.maketrans("aceopxykmtbhABCEHKMOPTXY", "асеорхукмтвнАВСЕНКМОРТХУ")
# Well-known names for which the spelling rules would fail.
_KNOWN = {
    "android": "андр+оид", "api": "эй пи ай", "apple": "эпл", "bluetooth": "блют+ус", "bmw": "бэ эм вэ",
    "chatgpt": "чат джи пи ти", "com": "ком", "email": "им+ейл", "e-mail": "им+ейл", "excel": "экс+ель",
    "facebook": "фейсб+ук", "firefox": "файрф+окс", "gmail": "джим+ейл", "google": "гугл", "info": "инфо",
    "html": "эйч ти эм эл", "http": "эйч ти ти пи", "https": "эйч ти ти пи эс", "id": "айд+и",
    "instagram": "инстагр+ам", "internet": "интернет", "ipad": "айп+ад", "iphone": "айф+он", "java": "дж+ава",
    "linux": "л+инукс", "mail": "мейл", "microsoft": "майкрос+офт", "net": "нэт", "office": "офис",
    "ok": "ок+ей", "online": "онл+айн", "openai": "оупен эй ай", "org": "орг", "ozon": "оз+он",
    "page": "пейдж", "pdf": "пэ дэ эф",
    "php": "пи эйч пи", "python": "п+айтон", "ru": "ру", "samsung": "самс+унг",
    "skype": "скайп", "sony": "с+они", "sql": "эс кью эл", "telegram": "телегр+ам", "tiktok": "тикт+ок",
    "toyota": "той+ота", "twitter": "твиттер", "usb": "ю эс би", "vip": "вип", "whatsapp": "ватс+ап",
    "wifi": "вайф+ай", "wi-fi": "вай-ф+ай", "wikipedia": "викип+едия", "windows": "в+индоус", "word": "ворд",
    "www": "вэ вэ вэ", "yandex": "яндекс", "youtube": "ют+уб", "zoom": "зум",
}  # fmt: skip
_FORMULAS = {"H2O": "аш два о", "CO2": "цэ о два", "H2": "аш два", "O2": "о два", "N2": "эн два"}
_KNOWN_WORD = re.compile(rf"(?i:(?<![\w-])(?:{'|'.join(sorted(_KNOWN, key=len, reverse=True))})(?!\w))")
_MATHS = "=+−≈≠<>≤≥*^"
# NASA is a word, HTML is not, XVIII is a number.
_LATIN_CAPITALS = re.compile(r"(?<!\w)(?=[A-Z]*[AEOUY])[A-Z]{4,}(?!\w)")
_SQUARE = re.compile(r"(?<=[A-Za-z)])([²³])")
_VARIABLE = re.compile(
    rf"(?<!\w)([A-Za-z])(?=\s*[{_MATHS}])|(?<=[{_MATHS}]\s)([A-Za-z])(?!\w)|(?<=[{_MATHS}])([A-Za-z])(?!\w)"
)
_FORMULA = re.compile(r"(?<!\w)(?:H2O|CO2|[HON]2)(?!\w)")
_VITAMIN = re.compile(r"(?i:(?<=витамин )|(?<=витамина )|(?<=витамины )|(?<=витаминов ))([A-EK])(?=\d|\W|$)")


def spell(word: str) -> str:
    """The names of the letters of a Cyrillic word; the last one is stressed."""
    return " ".join(_SPELLED[c] for c in word.lower())


def letter_name(character: str) -> str:
    """The name of one letter, Cyrillic or Latin; anything else as it is."""
    small = character.lower()
    return _SPELLED.get(small) or _LATIN_NAMES.get(small) or character


def acronyms(text: str) -> str:
    """Acronyms as they are pronounced; ordinary words in capitals are read as words."""
    return _SPELLABLE.sub(lambda m: acronym(m[0]), text)


@lru_cache(maxsize=4096)
def acronym(word: str) -> str:
    """The reading of a word in capitals: from the table, as a word, or by its letters."""
    if word in _ACRONYMS:
        return _ACRONYMS[word]
    if word in _LABELS or _is_ordinary(word.lower()):
        return word
    letters = spell(word)
    # ru-normalizr knows whether one with vowels is a word (ЮНЕСКО) or spelled (МГУ).
    spelled = not _VOWELS & set(word) or " " in normalizer().normalize(word)
    return letters if spelled else word.capitalize()


def _is_ordinary(word: str) -> bool:
    likeliest = morphology().parse(word)[0]
    return likeliest.is_known and "Abbr" not in likeliest.tag


@once
def morphology() -> Any:
    """pymorphy3's analyzer with the Russian dictionary."""
    import pymorphy3

    return pymorphy3.MorphAnalyzer(lang="ru")


@once
def normalizer(*, roman: bool = False) -> Any:
    """ru-normalizr with the options of the front end. Half of its time is the search for Roman numerals."""
    from ru_normalizr import NormalizeOptions, Normalizer

    options = NormalizeOptions.tts(
        letter_vowel_mode="single",
        initials_pause_mode="preserve",
        enable_latinization=False,  # `latin` is closer to how Russians pronounce Latin names
        enable_first_word_decap=False,
        remove_links=False,  # nothing is dropped
        enable_roman_normalization=roman,
    )
    return Normalizer(options)


def initials(text: str) -> str:
    """ "А. С. Пушкин", "Л.Толстой" with the names of the letters.

    A single letter before a space is an initial only if a name follows: "угол А. Затем" ends a sentence.
    """
    text = re.sub(r"(?<!\w)Дж\.\s?(?=[А-ЯЁ])", "дж+ей ", text)
    text = re.sub(r"(?<!\w)([А-ЯЁ])\.-(?=[А-ЯЁ]\.)", r"\1. ", text)  # Ж.-Ж. Руссо
    text = _INITIALS.sub(_initials, text)
    return _FINAL.sub(lambda m: _letters(m[1], m[2]) + ("." if m[3] is not None else ""), text)


def _letters(*letters: str | None) -> str:
    return " ".join(spell(letter) for letter in letters if letter)


def _initials(m: re.Match[str]) -> str:
    if not m[2] and m[0].endswith(" ") and not _is_name(m[3]):
        return f"{spell(m[1])}. "
    return _letters(m[1], m[2]) + " "


@lru_cache(maxsize=4096)
def _is_name(word: str) -> bool:
    names = ("Name", "Surn", "Patr")
    if not morphology().word_is_known(word.lower()):
        return True
    return any(tag in p.tag for p in morphology().parse(word.lower())[:3] for tag in names)


def shouted(text: str) -> str:
    """Three or more words in capitals: ordinary words in lower case, so that they are not spelled."""

    def lower(m: re.Match[str]) -> str:
        words = re.findall(r"[А-ЯЁ]+", m[0])
        if not any(len(w) > 4 and w not in _ACRONYMS and _is_ordinary(w.lower()) for w in words):
            return m[0]
        return re.sub("[А-ЯЁ]+", lambda w: w[0].lower() if _is_ordinary(w[0].lower()) else w[0], m[0])

    return _SHOUTED.sub(lower, text)


def letters_with_numbers(text: str) -> str:
    """ "Т-34", "А4": the name of the letter, separated from the number."""
    return _WITH_NUMBER.sub(lambda m: _SPELLED[m[1].lower()] + " ", text)


def single_letters(text: str) -> str:
    """Single capitals as names of letters: "вариант Б", "Ж". The capital in "В доме" is a preposition."""

    def read(m: re.Match[str]) -> str:
        starts = not re.search(r"\w", m.string[: m.start()]) or m.string[: m.start()].rstrip()[-1] in ".!?…"
        if (
            m[1] == "Я"
            or (starts and m[2] is None)
            or (m[1] in "АИО" and starts and m[2].strip()[:1] in ",—")
        ):
            return m[0]
        return NAMES[m[1].lower()] if m[1] in "ЁЙЛ" else _SPELLED[m[1].lower()]

    return _ALONE.sub(read, text)


def latin_text(text: str) -> str:
    """A Russian text with its Latin words, acronyms and variables in Cyrillic letters."""
    text = "".join(unicodedata.normalize("NFKD", c) if "À" <= c <= "ɏ" else c for c in text)
    text = re.sub("(?<=[A-Za-z])[\u0300-\u036f]+", "", text)
    text = _KNOWN_WORD.sub(lambda m: _KNOWN[m[0].lower()], text)
    text = _mixed(text)
    text = re.sub(r"(?<=[A-Za-z])\.(?=[A-Za-z]{2})", " точка ", text)
    return _LATIN_WORD.sub(lambda m: latin(m[0]), text)


def formulas(text: str) -> str:
    """Chemical formulas, variables and the letters of vitamins, before digits and signs are read."""
    text = _LATIN_CAPITALS.sub(lambda m: m[0].lower(), text)
    text = _SQUARE.sub(lambda m: " в квадрате " if m[1] == "²" else " в кубе ", text)
    text = _VARIABLE.sub(lambda m: VARIABLES[(m[1] or m[2] or m[3]).lower()], text)
    text = _FORMULA.sub(lambda m: _FORMULAS[m[0]], text)
    return _VITAMIN.sub(lambda m: VARIABLES[m[1].lower()] + " ", text)


@lru_cache(maxsize=16384)
def latin(word: str) -> str:
    """A Latin word in Cyrillic letters, roughly as Russian speakers read it; acronyms are spelled."""
    if len(word) == 1 and word.islower():
        return VARIABLES[word]
    if word.isupper() and len(word) <= 5:
        return " ".join(_LATIN_NAMES[c] for c in word.lower() if c in _LATIN_NAMES)
    w = word.lower().replace("'", "")
    if len(w) > 3 and w[-1] == "e" and w[-2] not in "aeiou":
        w = w[:-1]
    return _LATIN_PIECE.sub(lambda m: _LATIN_TO[m[0]], w)


def _mixed(text: str) -> str:
    """Latin letters that look Cyrillic, inside a Cyrillic word ("мoлоко"), as Cyrillic ones."""

    def cyrillic(m: re.Match[str]) -> str:
        word = m[0]
        if word in ("a", "c", "o", "y", "k"):  # a Russian one-letter word typed on the wrong layout
            return word.translate(_LOOKALIKE)
        if not re.search("[а-яёА-ЯЁ]", word) or not re.search("[A-Za-z]", word):
            return word
        return word.translate(_LOOKALIKE)

    return re.sub(r"[A-Za-zА-Яа-яЁё]+", cyrillic, text) if re.search("[а-яё]", text) else text
