"""Roman numerals, and acronyms as people pronounce them: by letters ("F B I") or as words ("NASA")."""

from __future__ import annotations

import re

from intona.text.languages.english.abbreviations import next_word
from intona.text.languages.english.tables import (
    AMBIGUOUS,
    HEADINGS,
    LETTERED,
    ORDINARY,
    RULERS,
    SPELLED,
    WORD_ACRONYMS,
)
from intona.text.symbols import words

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_VALID = re.compile("M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_HEADING_NAMES, _RULER_NAMES = ("|".join(sorted(map(re.escape, names))) for names in (HEADINGS, RULERS))
_HEADING = re.compile(rf"(?<![\w'])((?i:{_HEADING_NAMES})\s)([IVXLCDM]{{1,7}})(?![\w'’-]|\.[A-Z])")
_RULER = re.compile(rf"(?<![\w'])((?:{_RULER_NAMES})\s)([IVX]{{1,7}})(?![\w-]|\.[A-Z])")
_CENTURY = re.compile(
    r"(?<![\w'])([IVX]{1,5})(?:(\s?[-–—]\s?|\sand\s|\sto\s)([IVX]{1,5}))?(?=(?:th|st|nd|rd)?[\s-]centur)"
)
_LONE = re.compile(r"(?<![\w'.&-])(?:[IVX]{2,7}|[MDCLXVI]{5,9})(?![\w&]|'[a-z]|\.[A-Z])")
_WORLD_WAR = re.compile(r"(?<!\w)WW(I{1,3})(?!\w)")
_LISTED = re.compile(r"(?<!\w)\((i{1,3}|iv|vi{0,3}|ix|x)\)")
_NOT_I = re.compile(
    r"\s(?:am|have|think|know|will|would|could|can|must|did|do|don't|had|shall|should|never|told|said|saw|went|love|"
    r"like|hope|want|need|feel|just|really|always|believe|guess|mean|met|got|came|asked|knew|thought|wish|promise|see|"
    r"remember|cannot|can't|won't|didn't|wasn't|haven't|may|might|say)\b"
)
_MIXED = {
    "PhD": "P H D", "PhDs": "P H D's", "mRNA": "M R N A", "tRNA": "T R N A", "IoT": "I O T", "BSc": "B S C",
    "MSc": "M S C", "pH": "P H", "mp3": "M P 3", "mp4": "M P 4", "IEEE": "I triple E",
    "NAACP": "N double A C P", "JPEG": "jay-peg", "JPG": "jay-peg", "ASCII": "askey", "SQL": "S Q L",
}  # fmt: skip
_MIXED_WORD = re.compile(rf"(?<![\w'])(?:{'|'.join(_MIXED)})(?!\w)")
_CODE = re.compile(r"(?<!\w)[A-Z]{1,3}\d{1,5}(?:[A-Z]{1,2}\d{0,4}){0,4}(?!\w)")
_AMPERSAND = re.compile(r"(?<!\w)([A-Z]{1,3})\s?&\s?([A-Z]{1,3})(s?)(?![A-Za-z])")
_ACRONYM = re.compile(r"(?<![^\W\d_]['-])(?<![\w+])(([A-Z]{2,10})(s|'s|s')?)(?:(-)(?=[A-Za-z])|(?!\w))")
_INNER_ACRONYM = re.compile(r"(?<=[a-z])-([A-Z]{2,5})(?![\w-])")
_ARTICLE = re.compile(r"(?<![\w'])([^\W\d_]{2,20}) A(?= [A-Z][A-Za-z])")
# First names of ordinary people, too: "Thomas I" need not be a ruler.
_FIRST_NAMES = words(
    "Thomas Samuel Daniel Walter Arthur Hugh Harry Frank Howard Roger Ralph Donald Kenneth Eric"
)
_VOWEL = re.compile("[AEIOUY]")
_ONSETS = words(
    "BL BR CH CL CR DR DW FL FR GH GL GN GR KN KR PH PL PR PS RH SC SH SK SL SM SN SP SQ ST SW TH TR TW WH WR"
)
_THREE = ("SCH", "SCR", "SHR", "SPL", "SPR", "STR", "THR", "CHR")
_CODAS = re.compile(
    "(?:NGS|NTS|NCH|TCH|RST|GHT|NTH|LTH|MPS|NKS|RDS|RTS|LLS|SKS|STS|FTS|CKS|RKS|RMS|RNS|LDS|NDS|RCH|NGTH|RTH|GHTS|LPS|"
    "PTS|CTS|MPT|XTH|NST|NCT|RLD|RLS|RPS|MBS|WNS|WLS)$"
)


def value(numeral: str) -> int | None:
    """The value of a Roman numeral in capitals, None if it is not one."""
    if not numeral or not _VALID.fullmatch(numeral):
        return None
    digits = [_VALUES[c] for c in numeral]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))


def roman(text: str) -> str:
    """Roman numerals as digits: "Chapter 4", "Henry the 8th", "the 19th century"."""
    if "I" not in text and "V" not in text and "X" not in text and "(" not in text:
        return text
    text = _WORLD_WAR.sub(lambda m: f"World War {len(m[1])}", text)
    text = _CENTURY.sub(_century, text)
    text = _RULER.sub(_ruler, text)
    text = _HEADING.sub(_heading, text)
    text = _LONE.sub(_lone, text)
    return _LISTED.sub(lambda m: f"({value(m[1].upper())})", text)


def _heading(m: re.Match[str]) -> str:
    number = value(m[2])
    if number is None or (len(m[2]) == 1 and m[2] not in "IVX"):
        return m[0]
    # "Part I", but "the part I liked" and "In the second World War I was a boy" keep the pronoun.
    if m[2] == "I" and (m[1][0].islower() or _NOT_I.match(m.string, m.end())):
        return m[0]
    return f"{m[1]}{number}"


def _ruler(m: re.Match[str]) -> str:
    number = value(m[2])
    name = m[1].strip()
    if number is None or (name == "Malcolm" and m[2] == "X"):
        return m[0]
    if m[2] == "I" and (name in _FIRST_NAMES or _NOT_I.match(m.string, m.end())):
        return m[0]
    return f"{m[1]}the {number}{suffix(number)}"


def _century(m: re.Match[str]) -> str:
    a, b = value(m[1]), value(m[3]) if m[3] else 0
    if a is None or b is None:
        return m[0]
    link = "" if not m[3] else m[2] if m[2].strip().isalpha() else " to "
    return f"{a}{suffix(a)}{link}{f'{b}{suffix(b)}' if b else ''}"


def _lone(m: re.Match[str]) -> str:
    number = value(m[0])
    before = m.string[max(m.start() - 20, 0) : m.start()].split()
    if number is None or m[0] in ("XX", "XXX", "MIX", "MIXX", "CIVIC", "LIVID", "VIVID"):
        return m[0]
    if before and before[-1].lower() == "the":
        return f"{number}{suffix(number)}"
    # "an IV drip", "use VI": capitals after a small word are no numeral, unless nothing else can be meant.
    if m[0] in ("IV", "VI", "XI", "XIX") and not (before and before[-1][:1].isupper()):
        return m[0]
    return str(number)


def suffix(number: int) -> str:
    """st, nd, rd or th."""
    return "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def codes(text: str) -> str:
    """Codes of letters and digits, separated: "H2SO4" is H two S O four, "BA2490" B A two thousand ..."""
    return _CODE.sub(lambda m: " ".join(re.findall(r"\d+|[A-Z]", m[0])), text)


def acronyms(text: str) -> str:
    """Acronyms spelled out with spaces, except those that are words; "CDs" becomes "C D's"."""
    text = _ARTICLE.sub(_article, text)
    text = _MIXED_WORD.sub(lambda m: _MIXED[m[0]], text)
    if "&" in text:
        text = _AMPERSAND.sub(
            lambda m: f"{' '.join(m[1])} and {' '.join(m[2])}{chr(39) * bool(m[3])}{m[3]}", text
        )
    text = _ACRONYM.sub(_acronym, text)
    return _INNER_ACRONYM.sub(lambda m: " " + " ".join(m[1]) if _is_spelled(m[1], m) else m[0], text)


def _article(m: re.Match[str]) -> str:
    """ "Once Upon A Time" and "THIS IS A TEST" have the article; elsewhere a capital A is the letter."""
    is_letter = m[1].lower() in LETTERED or m[1].lower() in HEADINGS
    return m[0] if is_letter else f"{m[1]} a"


def _acronym(m: re.Match[str]) -> str:
    letters, ending, hyphen = m[2], m[3] or "", m[4] or ""
    if not _is_spelled(letters, m):
        return m[0]
    ending = "'s" if ending else ""
    return " ".join(letters) + ending + (" " if hyphen else "")


def _is_spelled(letters: str, m: re.Match[str]) -> bool:
    if letters in WORD_ACRONYMS or (letters in ORDINARY and letters not in AMBIGUOUS):
        return False
    if letters == "WHO" and m.string[max(m.start() - 4, 0) : m.start()].lower() != "the ":
        return False
    if letters == "AM":
        return bool(re.search(r"(?:\d|[a-z])\s$", m.string[max(m.start() - 2, 0) : m.start()])) and not (
            re.search(r"\b[Ii]\s$", m.string[max(m.start() - 3, 0) : m.start()])
        )
    if not _VOWEL.search(letters):
        return True
    if letters in SPELLED and letters not in AMBIGUOUS:
        return True
    if len(letters) <= 3:
        return not _shouted(m)
    return len(letters) <= 6 and not _pronounceable(letters)


def _shouted(m: re.Match[str]) -> bool:
    """Whether a word beside it is in capitals without being an acronym."""
    before = m.string[max(m.start() - 24, 0) : m.start()].split()
    around = [*(before[-1:]), next_word(m.string, m.end())]
    words = [w.strip("\"'.,;:!?()") for w in around]
    return any(
        len(w) > 1
        and w.isupper()
        and w not in SPELLED - AMBIGUOUS
        and w not in WORD_ACRONYMS
        and _pronounceable(w)
        for w in words
    )


def _pronounceable(word: str) -> bool:
    """Whether it could be an English word: a vowel, known clusters at the start and the end."""
    first = _VOWEL.search(word)
    if first is None:
        return False
    onset = word[: first.start()]
    if (
        len(onset) > 3
        or (len(onset) == 3 and onset not in _THREE)
        or (len(onset) == 2 and onset not in _ONSETS)
    ):
        return False
    coda = re.search("[^AEIOUY]{3,}$", word)
    return not re.search("[^AEIOUY]{5}", word) and (coda is None or bool(_CODAS.search(word)))
