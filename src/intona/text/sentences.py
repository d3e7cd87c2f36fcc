"""Long text to sentences that a voice can read in one breath.

Russian boundaries are those of razdel (https://github.com/natasha/razdel) with a few corrections; other
languages follow rules of our own, with English abbreviations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from intona.text.verbalize_en import abbreviations as en

MAX_CHARS = 240
_WINDOW = 4000  # characters that razdel sees at a time: its work grows with the square of a run without an end
_WRAPPED = 50  # a line this long goes on in the next one: text wrapped by hand
_LIST_ITEM = re.compile(r"(?:[-–—−•*·▪◦‣]|\d{1,3}[.)]|[^\W\d_]\))\s")
_SOFT = re.compile(r"[,;:—–)](?=\s)|\s[-—–](?=\s)")
# A run of signs is tried from its first sign alone: a long one that ends no sentence costs its length once.
_END = re.compile(r"(?<![.!?…。！？])[.!?…。！？]+[\"»”’')\]]*(?=\s|$)|[。！？]")
_TOKEN = re.compile(r"([^\W_](?:[\w.'’-]{0,24}[^\W_])?)$")
_ACRONYM = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]|Ph\.D")
_SPEECH = re.compile(
    r"\s*[A-Z][\w'’]{0,20}\s(?:said|asked|replied|answered|cried|shouted|whispered|called|exclaimed|added|muttered|"
    r"murmured|yelled|screamed|demanded|continued|thought|wondered|laughed|sighed|wrote)\b"
)
_HEADINGS = frozenset("war chapter part act scene book volume phase type class section title stage level article".split())
_PLACED = frozenset(("st", "dr"))  # "Elm St. He", "Riverside Dr. The": street or drive only after a name

# Russian words that begin a sentence after an abbreviation or a letter that may as well go on.
_RU_STARTERS = frozenset(
    """а без более в вам вас ваш весь во вот все всё вскоре вы где да даже для до его ее её если есть ещё еще за зато
    затем здесь и из или им их к каждый как когда кроме кто лишь мне многие можно мой мы на надо нам нас наш не него
    нет ни но ну о об однако он она они оно от очень перед по под позже пока после потом потому поэтому при про раз с
    сам сегодня сейчас со спустя сразу так также такой там тем теперь то тогда того тоже только тот ты у уже хотя чего
    чем через что чтобы эта эти это этот этого этой я далее иногда никто ничего обычно всего часто вчера завтра""".split()
)
_RU_LETTERED = re.compile(
    r"(?:уг[ол][а-я]{0,4}|точк[а-я]{1,3}|витамин[а-я]{0,3}|групп[а-я]{1,3}|класс[а-я]{0,3}|план[а-я]{0,3}|"
    r"пункт[а-я]{0,3}|букв[а-я]{1,3}|вариант[а-я]{0,3}|тип[а-я]{0,3}|отрез[а-я]{2,4}|прям[а-я]{2,3}|сторон[а-я]{1,3}|"
    r"вершин[а-я]{1,3}|множеств[а-я]{1,3}|подъезд[а-я]{0,3}|корпус[а-я]{0,3}|категори[а-я]{1,3}|гепатит[а-я]{0,3}|"
    r"команд[а-я]{1,3}|блок[а-я]{0,3}|зон[а-я]{1,3}|лини[а-я]{1,3})"
)
_RU_UNIT = (
    r"гг?|вв?|см|мм|м|км|кг|мг|т|л|мл|га|ч|час|мин|сек|с|р|руб|коп|долл|тыс|млн|млрд|шт|чел|экз|об|[а-я]{1,3}/[а-я]{1,3}"
)
# Where razdel sees an abbreviation or an initial but a sentence may end: "5 см. Потом", "в 1941 г. Он", "угол А.
# Затем", "Пушкин А. С. Он".
_RU_CUT = re.compile(
    rf"(?:(?P<amount>(?:\d|\b[IVXLC]{{1,6}}|\b(?:тыс|млн|млрд)\.)\s?(?:{_RU_UNIT})\.(?:\s?до\sн\.\s?э\.)?"
    r"|\d\s?°\s?[CFС]\.|рт\.\sст\.|\bи\s(?:пр|др|т\.\s?д|т\.\s?п)\.)"
    r"|\b(?P<noun>[а-яё]{2,20})\s[А-ЯЁA-Z]\."
    r"|\b[А-ЯЁ][а-яё]{2,20}\s(?:[А-ЯЁIVX]\.\s?){1,2}(?<=\.))"
    r"\s+(?=[«„\"(]?[А-ЯЁ])"
)
_RU_YEAR_FIRST = re.compile(
    r"(?:(?:[Уу]же|[Ее]щ[её]|И|А|Но|Только|Лишь)\s)?(?:(?:[Вв]|[Кк]|[Сс]о?|[Дд]о|[Пп]осле|Около|На|Летом|Зимой|Весной|"
    r"Осенью)\s)(?:[а-я]{3,10}\s)?[\dIVXLC–—-]+\s?(?:гг?|вв?)\.\s*"
)
_RU_COUNTED = re.compile(
    r"(?<!\w)(?:табл|доб|прил|разд|илл|вып|поз|фиг|черт|прим|корп|кв|ок|д|оф|комн|янв|февр?|апр|авг|сент?|окт|нояб?|дек)\.$", re.IGNORECASE
)
_RU_WORD = re.compile(r"[«„\"(—– ]*([А-ЯЁ][а-яё]*)")
_RU_NUMBER = re.compile(r"\d[\d.,–-]{0,9}(?<!\.)(?:(\.)\s+(?=[А-ЯЁ]))?")


def split_sentences(text: str, language: str, *, max_chars: int = MAX_CHARS) -> list[str]:
    """Sentences of a text in a language ("ru", "en-us", ...), in order; nothing but white space is lost.

    A blank line, a list item and a short line end a sentence; a full stop ends none after an abbreviation, an
    initial, or before a small letter. Sentences longer than `max_chars` are cut at punctuation, then at
    spaces, then anywhere. Pieces without a letter or digit are joined to the piece before. Linear in the
    length.
    """
    rules = _russian if language.split("-")[0] == "ru" else _general
    out: list[str] = []
    for block in _blocks(text):
        for sentence in rules(block):
            for part in _capped(sentence, max_chars):
                if out and not any(c.isalnum() for c in part) and len(out[-1]) + len(part) < max_chars:
                    out[-1] += " " + part
                else:
                    out.append(part)
    return out


def _blocks(text: str) -> Iterator[str]:
    """Lines, those of a wrapped paragraph joined by spaces."""
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if lines and not (line and _goes_on(lines[-1], line)):
            yield " ".join(lines)
            lines = []
        if line:
            lines.append(line)
    if lines:
        yield " ".join(lines)


def _goes_on(line: str, following: str) -> bool:
    if _LIST_ITEM.match(following):
        return False
    return following[0].islower() or line[-1] in ",;—–-" or len(line) >= _WRAPPED


def _general(text: str) -> Iterator[str]:
    start = 0
    for m in _END.finditer(text):
        if _ends(text, m, start):
            yield text[start : m.end()].strip()
            start = m.end()
    if text[start:].strip():
        yield text[start:].strip()


def _ends(text: str, m: re.Match[str], start: int) -> bool:
    sign = m[0]
    after = text[m.end() : m.end() + 40].lstrip()
    if sign[0] in "。！？" or not after:
        return True
    if after.lstrip("\"'“‘«([")[:1].islower():
        return False
    if sign[-1] in "\"»”’'" and _SPEECH.match(text, m.end(), m.end() + 60):
        return False
    if sign[0] != "." or len(sign.rstrip("\"»”’')]")) > 1:
        return True
    before = _TOKEN.search(text, max(m.start() - 27, start), m.start())
    return before is None or _stop_ends(text, before[1], before.start(), m.end(), start)


def _stop_ends(text: str, token: str, at: int, end: int, start: int) -> bool:
    """Whether a full stop after `token` (at `at`) ends a sentence that began at `start`."""
    word, lower = en.next_word(text, end), token.lower()
    starts = word in en.STARTERS
    numbered = word[:1].isdigit() or text[end : end + 3].lstrip()[:1] == "#"
    if token.isdigit():
        return bool(text[start:at].strip())  # "1. First": the number of a list item
    if lower in en.COUNTED and numbered:
        return False
    if lower in en.INNER or token in en.TITLES:
        return False
    before = text[max(at - 30, start) : at].split()[-1:]
    last = before[0] if before else ""
    if lower in _PLACED:
        return starts and word != "Who" and last[:1].isalnum() and not last[:1].islower()
    if token in en.LOOSE:
        return word not in en.TIME_WORDS and not numbered
    if token in en.FINAL or _ACRONYM.fullmatch(token):
        return starts
    if token in en.MONTHS:
        return not numbered and starts
    if len(token) == 1 and token.isupper():
        if re.match(r"\s?[A-Z]\.", text[end : end + 3]):
            return False  # another initial follows
        lettered = last.lower() in en.LETTERED or last.lower() in _HEADINGS
        return starts or lettered or (token == "I" and last.islower())
    return True


def _russian(text: str) -> Iterator[str]:
    held = ""
    for sentence in _razdel(text):
        number = _RU_NUMBER.match(sentence)
        if held and number and _RU_COUNTED.search(held[-10:]):
            held = f"{held} {sentence[: number.end()]}".strip()
            sentence = sentence[number.end() :]
            if number[1] is None:  # "табл. 5 и", not "доб. 5. Он"
                held += sentence
                continue
        if held and _RU_YEAR_FIRST.fullmatch(held) and not _starts(sentence):
            held = f"{held} {sentence}"  # "В 2020–2021 гг. Россия"
            continue
        if held:
            yield from _parted(held)
        held = sentence
    if held:
        yield from _parted(held)


def _razdel(text: str) -> Iterator[str]:
    from razdel import sentenize

    at = 0
    while at < len(text):
        window = text[at : at + _WINDOW]
        sentences = [s.text for s in sentenize(window)]
        at += len(window)
        if at < len(text) and len(sentences) > 1:
            # The last one may go on after the window. One that fills it is cut at `max_chars` anyway.
            at -= len(window) - len(window.rstrip()) + len(sentences.pop())
        yield from sentences


def _parted(sentence: str) -> Iterator[str]:
    """A sentence of razdel cut where a unit, a year or a single letter ends one."""
    start = 0
    for m in _RU_CUT.finditer(sentence):
        starts = _starts(sentence, m.end())
        if m["amount"]:
            # "В 1812 г. Наполеон пришёл", but "Он погиб в 1837 г. Россия скорбела".
            ends = starts or not _RU_YEAR_FIRST.fullmatch(sentence, start, m.end())
        else:
            ends = starts or (m["noun"] is not None and _RU_LETTERED.fullmatch(m["noun"]) is not None)
        if ends:
            yield sentence[start : m.end()].strip()
            start = m.end()
    yield sentence[start:].strip()


def _starts(text: str, at: int = 0) -> bool:
    """Whether the word at `at` is one that begins sentences, and no initial."""
    m = _RU_WORD.match(text, at)
    return m is not None and m[1].lower() in _RU_STARTERS and not (len(m[1]) == 1 and text[m.end() : m.end() + 1] == ".")


def _capped(piece: str, cap: int) -> list[str]:
    out: list[str] = []
    at = 0
    while len(piece) - at > cap:
        window = piece[at : at + cap]
        cuts = [m.end() for m in _SOFT.finditer(window) if m.end() >= cap // 4]
        cut = cuts[-1] if cuts else window.rfind(" ")
        if cut <= 0:
            cut = cap
        out.append(window[:cut].strip())
        at += cut
    out.append(piece[at:].strip())
    return [p for p in out if p]
