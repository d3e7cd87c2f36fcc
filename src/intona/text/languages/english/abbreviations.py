"""Abbreviations, initials, dotted acronyms. The full stop that ends a sentence is kept."""

from __future__ import annotations

import re

from intona.text.languages.english.tables import LETTERED, STARTERS, TIME_WORDS

MONTHS = {
    "Jan": "January", "Feb": "February", "Mar": "March", "Apr": "April", "Jun": "June", "Jul": "July",
    "Aug": "August", "Sept": "September", "Sep": "September", "Oct": "October", "Nov": "November",
    "Dec": "December",
}  # fmt: skip
_DAYS = {
    "Mon": "Monday", "Tues": "Tuesday", "Tue": "Tuesday", "Wed": "Wednesday", "Thurs": "Thursday",
    "Thur": "Thursday", "Thu": "Thursday", "Fri": "Friday", "Sat": "Saturday", "Sun": "Sunday",
}  # fmt: skip
# Before a name only. The full stop may be left out, the British way, in `_BARE`.
TITLES = {
    "Mr": "mister", "Mrs": "missus", "Ms": "miz", "Prof": "professor", "Gen": "general", "Col": "colonel",
    "Capt": "captain", "Lt": "lieutenant", "Sgt": "sergeant", "Cpl": "corporal", "Maj": "major",
    "Adm": "admiral", "Cmdr": "commander", "Rev": "reverend", "Hon": "honorable", "Sen": "senator",
    "Rep": "representative", "Gov": "governor", "Pres": "president", "Msgr": "monsignor", "Mt": "mount",
    "Ft": "fort", "Messrs": "messers", "Ste": "saint",
}  # fmt: skip
_BARE = "Mr|Mrs|Ms|Prof|Sgt|Capt|Lt"
# Before a number only.
COUNTED = {
    "no": "number", "nos": "numbers", "p": "page", "pp": "pages", "vol": "volume", "vols": "volumes",
    "ch": "chapter", "chap": "chapter", "fig": "figure", "figs": "figures", "eq": "equation",
    "eqs": "equations", "sec": "section", "para": "paragraph", "art": "article", "c": "circa", "ca": "circa",
    "est": "established", "apt": "apartment", "tel": "telephone", "ext": "extension",
    "ver": "version", "rev": "revision",
}  # fmt: skip
# Never the end of a sentence.
INNER = {
    "vs": "versus", "e.g": "for example", "eg": "for example", "i.e": "that is", "cf": "compare",
    "viz": "namely", "approx": "approximately",
}  # fmt: skip
# These may end a sentence: the full stop stays before a word that starts one and at the end of the text.
FINAL = {
    "etc": "et cetera", "Co": "company", "Inc": "incorporated", "Ltd": "limited", "Corp": "corporation",
    "Bros": "brothers", "Jr": "junior", "Sr": "senior", "Ave": "avenue", "Blvd": "boulevard", "Rd": "road",
    "Ln": "lane", "Hwy": "highway", "Pkwy": "parkway", "Dept": "department", "dept": "department",
    "govt": "government", "Govt": "government", "Univ": "university", "al": "al", "Assn": "association",
    "a.m": "A M", "p.m": "P M", "A.M": "A M", "P.M": "P M", "a.k.a": "A K A", "Ph.D": "P H D",
    "B.Sc": "B S C", "M.Sc": "M S C",
}  # fmt: skip
LOOSE = frozenset(("etc", "a.m", "p.m", "A.M", "P.M"))  # any capitalized word but a name of time starts one


def _alternatives(table: dict[str, str]) -> str:
    return "|".join(sorted(map(re.escape, table), key=len, reverse=True))


_COMPASS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_COMPASS_POINT = re.compile(
    r"(?<![\w.])([NSEW])\.\s(?=\d{1,3}(?:st|nd|rd|th)\b|(?:[A-Z][a-z]+\s)?(?:St|Ave|Blvd|Rd)\b|Korea|Africa|America|"
    r"Carolina|Dakota|Virginia|Ireland|Vietnam)"
)
_LED = re.compile(r"(?<=[A-Z]\.)[—-](?=(?:led|backed|based|style|born|made|wide|owned|funded|trained)\b)")
_TITLE = re.compile(rf"(?<![\w.])(?:({_alternatives(TITLES)})\.|({_BARE}))(?=\s(?:[A-Z]|and\s))")
_TITLE_ALONE = re.compile(r"(?<![\w.])(Mr|Mrs|Ms|Prof)\.(?!\w)")
_COUNTED = re.compile(rf"(?<![\w.])({_alternatives(COUNTED)})\.\s?(?=#?\d|\(\d)", re.I)
_BORN = re.compile(r"(?<![\w.])([bd])\.\s(?=1\d{3}|20\d\d)")
_DAY_RANGE = re.compile(
    rf"(?<!\w)({_alternatives(_DAYS)})\.?\s?[-–—]\s?({_alternatives(_DAYS)})(?:(\.)|(?!\w))"
)
_INNER = re.compile(rf"(?<![\w.])(?:({_alternatives(INNER)})\.|(vs))(?!\w)", re.I)
_VERSUS = re.compile(r"(?<=[a-z])\sv\.?\s(?=[A-Z])")
_FINAL = re.compile(rf"(?<![\w.])({_alternatives(FINAL)})\.(?!\w)")
_MONTH = re.compile(
    rf"(?<!\w)({_alternatives(MONTHS)})\.?(?=\s\d)"
    rf"|(?<=\d\s)({_alternatives(MONTHS)})(?:\.|(?=[\s,]\s?\d{{4}}))"
    rf"|(?<=\b(?:in|of|by)\s)({_alternatives(MONTHS)})\."
)
_DAY = re.compile(
    rf"(?<!\w)({_alternatives(_DAYS)})\.(?=,|\s(?:{_alternatives(MONTHS)}|\d|at\s|and\s)|[-–—])"
)
_DOCTORATES = re.compile(r"(?<!\w)Ph\.\s?D\.?'?s\b|(?<![\w.])(?:[A-Z]\.){2,5}s\b")
_DOTTED = re.compile(r"(?<![\w.])((?:[A-Z]\.){2,6})(?!\w)|(?<![\w.])((?:[A-Z]\.){1,5}[A-Z])(?='s|s?\b)")
_DOTTED_NAME = re.compile(r"(?<![\w.])((?:[A-Z]\.){2,5})(?=[A-Z][a-z])")
_INITIAL = re.compile(r"(?<![\w.'])(?<![A-Z]\s)([A-Z])\.\s(?=[A-Z])")
_SAINT_OR_STREET = re.compile(r"(?<![\w.])St(\.|(?=\s[A-Z][a-z]|[,.;!?]|$|\s[a-z]))(?!\w)")
_DOCTOR_OR_DRIVE = re.compile(r"(?<![\w.])Dr(?:(\.)(?!\w)|(?=\s[A-Z]))")
_BEFORE = re.compile(r"(?:(\S{1,12})\s)?([\w'.]{1,20})\s$")
_NEXT = re.compile(r"[\s\"'“‘(\[]*([\w']*)")


def next_word(text: str, at: int) -> str:
    m = _NEXT.match(text, at, at + 40)
    return m[1] if m else ""


def ends_sentence(text: str, at: int, *, loose: bool = False) -> bool:
    """Whether the full stop before `at` is that of a sentence: at the end, or before a word that starts one.

    Args:
        loose: any capital letter starts a sentence, not only one of `STARTERS`.
    """
    rest = text[at : at + 40].lstrip("\"'”’)] ")
    if not rest:
        return True
    word = next_word(text, at)
    if not text[at : at + 1].strip(" \"'”’)]") and word in STARTERS:
        return True
    return loose and word[:1].isupper() and word not in TIME_WORDS


def verbalize(text: str) -> str:
    if "." not in text and not re.search(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sgt|Capt|Lt|vs|v)\b", text):
        return _MONTH.sub(_month, text)
    text = _COMPASS_POINT.sub(lambda m: _COMPASS[m[1]] + " ", text)
    text = _LED.sub(" ", text)
    text = _TITLE.sub(lambda m: TITLES[m[1] or m[2]], text)
    text = _TITLE_ALONE.sub(lambda m: TITLES[m[1]], text)
    text = _DOCTOR_OR_DRIVE.sub(_doctor_or_drive, text)
    text = _SAINT_OR_STREET.sub(_saint_or_street, text)
    text = _VERSUS.sub(" versus ", text)
    text = _INNER.sub(lambda m: INNER[(m[1] or m[2]).lower()], text)
    text = _COUNTED.sub(lambda m: COUNTED[m[1].lower()] + " ", text)
    text = _MONTH.sub(_month, text)
    text = _BORN.sub(lambda m: "born " if m[1] == "b" else "died ", text)
    text = _DAY_RANGE.sub(_day_range, text)
    text = _DAY.sub(lambda m: _DAYS[m[1]], text)
    text = _DOCTORATES.sub(lambda m: " ".join(re.findall("[A-Za-z]", m[0])[:-1]).upper() + "'s", text)
    text = _DOTTED_NAME.sub(lambda m: m[1].replace(".", " "), text)
    text = _INITIAL.sub(_initial, text)  # before the next rules produce single letters: "P M. Then"
    text = _FINAL.sub(_final, text)
    return _DOTTED.sub(_dotted, text)


def _month(m: re.Match[str]) -> str:
    return MONTHS[m[1] or m[2] or m[3]]


def _day_range(m: re.Match[str]) -> str:
    stop = m[3] is not None and ends_sentence(m.string, m.end())
    return f"{_DAYS[m[1]]} to {_DAYS[m[2]]}{'.' * stop}"


def _final(m: re.Match[str]) -> str:
    stop = ends_sentence(m.string, m.end(), loose=m[1] in LOOSE)
    return FINAL[m[1]] + "." * stop


def _dotted(m: re.Match[str]) -> str:
    spelled = " ".join((m[1] or m[2]).replace(".", ""))
    return spelled + "." * (m[1] is not None and ends_sentence(m.string, m.end()))


def _initial(m: re.Match[str]) -> str:
    word = next_word(m.string, m.end())
    before = _BEFORE.search(m.string, max(m.start() - 34, 0), m.start())
    last = before[2] if before else ""
    is_initial_too = m.string[m.end() + len(word) : m.end() + len(word) + 1] == "." and len(word) == 1
    if (word in STARTERS and not is_initial_too) or last in LETTERED or (m[1] == "I" and last.islower()):
        return m[0]
    return m[1] + " "


def _saint_or_street(m: re.Match[str]) -> str:
    word = next_word(m.string, m.end())
    before = _BEFORE.search(m.string, max(m.start() - 34, 0), m.start())
    last, one_before = (before[2], before[1] or "") if before else ("", "")
    named = last[:1].isupper() or last[:1].isdigit()
    numbered = named and one_before[-1:].isdigit()
    ends = m[1] == "." and ends_sentence(m.string, m.end())
    if word[:1].isupper() and not ends and not numbered:
        return "saint"
    if named:
        return "street" + "." * ends
    return m[0] if ends else "saint"


def _doctor_or_drive(m: re.Match[str]) -> str:
    word = next_word(m.string, m.end())
    before = _BEFORE.search(m.string, max(m.start() - 34, 0), m.start())
    last, one_before = (before[2], before[1] or "") if before else ("", "")
    named = last[:1].isupper() and last not in STARTERS
    numbered = named and one_before[-1:].isdigit()
    ends = m[1] == "." and word != "Who" and ends_sentence(m.string, m.end())
    if named and word != "Who" and (ends or numbered or not word[:1].isupper()):
        return "drive" + "." * ends
    return "doctor" + "." * (ends and not word)
