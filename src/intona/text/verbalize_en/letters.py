"""Roman numerals, and acronyms as people pronounce them: by letters ("F B I") or as words ("NASA")."""

from __future__ import annotations

import re

from intona.text.verbalize_en.abbreviations import next_word

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_VALID = re.compile("M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_HEADINGS = (
    "chapter part act scene book volume vol. ch. section article phase stage level type class category title "
    "appendix figure table mark episode season apollo canto psalm symphony sonata war bowl number no. "
    "lecture lesson unit tier division group round page fig. sec. art. olympiad games corps army fantasy "
    "rocky"
).split()
_RULERS = (
    "Henry Louis Elizabeth George Edward Charles James William Richard Mary Paul Pius Benedict Leo Gregory "
    "Innocent Clement Urban Francis Nicholas Alexander Catherine Peter Ivan Frederick Friedrich Philip Ferdinand "
    "Napoleon Wilhelm Ramses Ramesses Ptolemy Cleopatra Darius Xerxes Otto Franz Alfonso Gustav Gustavus Christian "
    "Victor Vittorio Umberto Carlos Juan Felipe Pedro Manuel Robert David Margaret Anne Harald Haakon Olaf Olav "
    "Erik Eric Baldwin Constantine Justinian Theodosius Michael Boris Stephen Sigismund Maximilian Rudolf Joseph "
    "Leopold Albert Rainier Juliana Wilhelmina Selim Mehmed Murad Suleiman Ahmed Thutmose Amenhotep Seti John "
    "Emmanuel Isabella Malcolm Artaxerxes Cyrus Tiberius Casimir Ladislaus Sixtus Boniface Celestine Julius Pepin "
    "Thomas Samuel Daniel Walter Arthur Hugh Harry Frank Howard Roger Ralph Donald Kenneth Davis Rockefeller "
    "Jr. junior"
).split()
_ENGLISH_HEADINGS = "|".join(re.escape(w) for w in _HEADINGS)
_HEADING = re.compile(rf"(?<![\w'])((?i:{_ENGLISH_HEADINGS})\s)([IVXLCDM]{{1,7}})(?![\w'’-]|\.[A-Z])")
_RULER = re.compile(rf"(?<![\w'])((?:{'|'.join(map(re.escape, _RULERS))})\s)([IVX]{{1,7}})(?![\w-]|\.[A-Z])")
_CENTURY = re.compile(
    r"(?<![\w'])([IVX]{1,5})(?:(\s?[-–—]\s?|\sand\s|\sto\s)([IVX]{1,5}))?(?=(?:th|st|nd|rd)?[\s-]centur)"
)
_LONE = re.compile(r"(?<![\w'.&-])(?:[IVX]{2,7}|[MDCLXVI]{5,9})(?![\w&]|'[a-z]|\.[A-Z])")
_LISTED = re.compile(r"(?<=\()(i{1,3}|iv|vi{0,3}|ix|x)(?=\))")
_NOT_I = re.compile(r"\s(?:am|have|think|know|will|would|could|can|must|did|do|don't|had|shall|should|never)\b")
_FEW = frozenset("ivx")

# Said as words whatever their letters.
_AS_WORDS = frozenset(
    """AIDS ACID AJAX ASCII ASEAN AWOL BASIC BIOS BREXIT CAPTCHA COVID CUDA DARPA DOS ERASMUS FEMA FIFA FOMO FORTRAN
    GATT GIF HIPAA IKEA INTERPOL JPEG JSON LAN LASER LEGO MERS MIDI MOMA NAFTA NASA NASDAQ NATO NIMBY NIST NOAA
    NORAD OPEC OSHA PIN POTUS RADAR RAID RAM ROM SALT SARS SCOTUS SCUBA SIM SOAP SONAR SQUID SWAT SWIFT TED
    UEFA UNESCO UNICEF UNIX WAN WASP WIMAX YAML YOLO ZIP BMX LED OK TOEFL IELTS HAMAS OXFAM SOHO GUI VIP""".split()
) - {"BMX", "LED", "VIP", "GUI"}
# Short English words that capitals only stress: "I am NOT going".
_ORDINARY = frozenset(
    """ALL AND ANY ARE AS ASK AT ATE BAD BE BED BIG BOY BUT BUY BY CAN CAR CUT DAY DID DIE DO DOG EAT END EYE FAR
    FEW FIX FOR FUN GET GOD GO GOT GUN HAD HAS HE HER HEY HIM HIS HIT HOT HOW IF IN IS ITS JOB KEY KID LAW LET LIE
    LOT LOW MAD MAN MAY ME MEN MIX MOM MUM DAD MY NAY NEW NO NOR NOT NOW OF OFF OH OLD ON ONE OR OUR OUT OWN PAY
    PUT RED RAN RUN SAD SAW SAY SEE SET SHE SIT SIX SO SON TAX TEA TEN THE TO TOO TOP TRY TWO UP USE WAR WAS WAY
    WE WET WHY WIN WON YES YET YOU AH AHA UGH WOW HA HI YO YEA NAH SHH HMM PSST BRR GRR PFFT MR MRS DR ST MS II
    AM OK ARM ART BAG BAR BAT BOX CAT COW CRY CUP EGG FAT FIT FLY FOX GAS HAT ICE KEEP LEG LIP MAP NET OIL PEN PET
    PIG POT RAT SEA SKY SUN TOY WHO VS""".split()
)
_SPELLED = frozenset(
    """AA AAA AARP AI API APR ASAP ATM BA BBC CEO CFO CIA CIO COO CTO DIY DUI EEG ECG EKG ESPN ETA EU EQ ER FAQ FAO
    GED GEO GOP HIV IBM ICU ID IEEE IMF IP IPO IQ IRA IRS ISBN ISO IT IUCN IV LA LED MBA MIA MIT MRI MTV NAACP NBA
    NCAA NGO NYC NYU OCR OECD PIN RSVP SAT SUV TV UAE UCLA UFC UFO UI UK UN URL US USA USB USSR UTC VAT VIP WHO WTO
    YMCA NAD BMI EUR USD AUD IELTS AOL AMD ABC ABBA EOF IDE IOS IO UX OS PA AC AD AU UV UAV USAF USDA""".split()
) - {"PIN", "IELTS", "ABBA", "NAD"}
_AMBIGUOUS = frozenset(("US", "IT", "WHO", "AM", "LA"))  # words too, among other capitals
_MIXED = {"PhD": "P H D", "PhDs": "P H D's", "mRNA": "M R N A", "tRNA": "T R N A", "IoT": "I O T", "BSc": "B S C",
          "MSc": "M S C", "pH": "P H", "mp3": "M P 3", "mp4": "M P 4", "IEEE": "I triple E", "NAACP": "N double A C P",
          "JPEG": "jay-peg", "JPG": "jay-peg", "ASCII": "askey", "SQL": "S Q L"}  # fmt: skip
_MIXED_WORD = re.compile(rf"(?<![\w'])(?:{'|'.join(_MIXED)})(?!\w)")
_AMPERSAND = re.compile(r"(?<!\w)([A-Z]{1,3})\s?&\s?([A-Z]{1,3})(s?)(?![A-Za-z])")
_ACRONYM = re.compile(r"(?<![^\W\d_]['-])(?<![\w'+])(([A-Z]{2,10})(s|'s|s')?)(?:(-)(?=[A-Za-z])|(?!\w))")
_INNER_ACRONYM = re.compile(r"(?<=[a-z])-([A-Z]{2,5})(?![\w-])")
_VOWEL = re.compile("[AEIOUY]")
_ONSETS = frozenset(
    "BL BR CH CL CR DR DW FL FR GH GL GN GR KN KR PH PL PR PS RH SC SH SK SL SM SN SP SQ ST SW TH TR TW WH WR".split()
)
_THREE = ("SCH", "SCR", "SHR", "SPL", "SPR", "STR", "THR", "CHR")
_CODAS = re.compile(
    "(?:NGS|NTS|NCH|TCH|RST|GHT|NTH|LTH|MPS|NKS|RDS|RTS|LLS|SKS|STS|FTS|CKS|RKS|RMS|RNS|LDS|NDS|RCH|NGTH|RTH|GHTS|LPS|"
    "PTS|CTS|MPT|XTH|NST|NCT|RLD|RLS|RPS|MBS|WNS|WLS)$"
)


def value(numeral: str) -> int | None:
    """The number that a Roman numeral in capitals stands for, None when it is none."""
    if not numeral or not _VALID.fullmatch(numeral):
        return None
    digits = [_VALUES[c] for c in numeral]
    return sum(-a if a < b else a for a, b in zip(digits, [*digits[1:], 0], strict=True))


def roman(text: str) -> str:
    """Roman numerals as digits: "Chapter 4", "Henry the 8th", "the 19th century"."""
    if not any(c in text for c in "IVX") and "(" not in text:
        return text
    text = _CENTURY.sub(_century, text)
    text = _RULER.sub(_ruler, text)
    text = _HEADING.sub(_heading, text)
    text = _LONE.sub(_lone, text)
    return _LISTED.sub(lambda m: str(value(m[1].upper())), text)


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
    if number is None or (m[2] == "I" and _NOT_I.match(m.string, m.end())):
        return m[0]
    if m[1] == "Malcolm " and m[2] == "X":
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
    # "an IV drip", "use VI": capitals after a small word are no numeral, unless nothing else can be meant.
    if m[0] in ("IV", "VI", "XI", "XIX") and not (before and before[-1][:1].isupper()):
        return m[0]
    return str(number)


def suffix(number: int) -> str:
    """st, nd, rd or th."""
    return "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def acronyms(text: str) -> str:
    """Capitals spelled out with spaces, those that are words left alone; "CDs" becomes "C D's"."""
    text = _MIXED_WORD.sub(lambda m: _MIXED[m[0]], text)
    if "&" in text:
        text = _AMPERSAND.sub(
            lambda m: f"{' '.join(m[1])} and {' '.join(m[2])}{chr(39) * bool(m[3])}{m[3]}", text
        )
    text = _ACRONYM.sub(_acronym, text)
    return _INNER_ACRONYM.sub(lambda m: " " + " ".join(m[1]) if _is_spelled(m[1], m) else m[0], text)


def _acronym(m: re.Match[str]) -> str:
    letters, ending, hyphen = m[2], m[3] or "", m[4] or ""
    if not _is_spelled(letters, m):
        return m[0]
    ending = "'s" if ending else ""
    return " ".join(letters) + ending + (" " if hyphen else "")


def _is_spelled(letters: str, m: re.Match[str]) -> bool:
    if letters in _AS_WORDS or (letters in _ORDINARY and letters not in _AMBIGUOUS):
        return False
    if letters == "WHO" and not m.string[: m.start()].lower().endswith("the "):
        return False
    if letters == "AM":
        return bool(re.search(r"(?:\d|[a-z])\s$", m.string[max(m.start() - 2, 0) : m.start()])) and not (
            re.search(r"\b[Ii]\s$", m.string[max(m.start() - 3, 0) : m.start()])
        )
    if not _VOWEL.search(letters):
        return True
    if letters in _SPELLED and letters not in _AMBIGUOUS:
        return True
    if len(letters) <= 3:
        return not _shouted(m)
    return len(letters) <= 6 and not _pronounceable(letters)


def _shouted(m: re.Match[str]) -> bool:
    """Whether a neighbour is a word in capitals that is no acronym itself."""
    before = m.string[max(m.start() - 24, 0) : m.start()].split()
    around = [*(before[-1:]), next_word(m.string, m.end())]
    words = [w.strip("\"'.,;:!?()") for w in around]
    return any(
        len(w) > 1 and w.isupper() and w not in _SPELLED - _AMBIGUOUS and w not in _AS_WORDS and _pronounceable(w)
        for w in words
    )


def _pronounceable(word: str) -> bool:
    """Whether English spelling could hold such a word: a vowel, known clusters at the start and the end."""
    if not _VOWEL.search(word):
        return False
    first = _VOWEL.search(word)
    onset = word[: first.start()] if first else word
    if len(onset) > 3 or (len(onset) == 3 and onset not in _THREE) or (len(onset) == 2 and onset not in _ONSETS):
        return False
    coda = re.search("[^AEIOUY]{3,}$", word)
    return not re.search("[^AEIOUY]{5}", word) and (coda is None or bool(_CODAS.search(word)))
