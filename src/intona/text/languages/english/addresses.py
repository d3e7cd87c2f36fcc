"""E-mail and web addresses, file names and paths, versions, telephone numbers."""

from __future__ import annotations

import re

from intona.text.numerals import DIGITS_EN, cardinal
from intona.text.symbols import words

LIKELY = re.compile(r"[@/\\+]|[^\W_]\.[^\W_]|\d[-)]|\bv\d|\b0\d\d", re.I)
_SIGNS = {
    ".": "dot", "…": "dot dot", "/": "slash", "-": "dash", "_": "underscore", ":": "colon", "=": "equals",
    "?": "question mark", "&": "and", "%": "percent", "#": "hash", "~": "tilde", "+": "plus", "@": "at",
    "\\": "backslash",
}  # fmt: skip
_DOMAINS = (
    "com|org|net|edu|gov|mil|int|info|biz|io|ai|dev|app|tv|me|co|uk|us|eu|de|fr|it|es|nl|pl|ch|at|be|se|no|fi|dk|cz|"
    "ru|su|ua|by|kz|cn|jp|kr|in|au|nz|ca|br|mx|ar|za|il|tr|gr|ie|pt|hu|ro|bg|xyz|online|site|shop|blog|cloud|tech"
)
_FILES = (
    "txt|pdf|docx?|xlsx?|pptx?|csv|tsv|json|ya?ml|toml|xml|html?|css|js|ts|py|ipynb|java|cpp|hpp|rs|go|rb|php|sh|bat|"
    "md|rst|tex|log|ini|cfg|zip|tar|gz|rar|7z|exe|dll|iso|dmg|apk|jpe?g|png|gif|svg|bmp|webp|mp3|mp4|wav|flac|ogg|avi|"
    "mkv|mov|epub|srt|db|sql|bak"
)
_PART = r"[\w%~+-]{1,64}"
_EMAIL = re.compile(
    rf"(?<![\w.@+-])[\w+-]{{1,64}}(?:\.[\w+-]{{1,64}}){{0,5}}@{_PART}(?:\.[\w-]{{1,64}}){{1,5}}"
)
_TAIL = r"(?::\d{1,5})?(?:[/?#][\w%~+/?=&#.:@-]{0,300}(?<=[\w/=])|/)?"
_URL = re.compile(rf"(?<![\w.@])(?:(?:https?|ftp)://|www\.){_PART}(?:\.{_PART}){{0,6}}{_TAIL}", re.I)
_SITE = re.compile(
    rf"(?<![\w.@/-])[A-Za-z0-9-]{{2,63}}(?:\.[A-Za-z0-9-]{{1,63}}){{0,4}}\.(?:{_DOMAINS})(?![\w@-]|\.\w){_TAIL}"
)
_FILE = re.compile(
    rf"(?<![\w.@/\\-])[\w-]{{1,64}}(?:\.[\w-]{{1,32}}){{0,3}}\.(?:{_FILES})(?![\w-]|\.\w)", re.I
)
_PATH = re.compile(
    r"(?<![\w.)<])(?:"
    r"(?:[A-Za-z]:\\(?:[\w.-]{1,64}(?:\s[\w.-]{1,64}){0,2}\\){0,12}|~?/|[.…]/|\.{1,2}[/\\])"
    r"(?:[\w.-]{1,64}[/\\]){0,12}[\w.-]{0,63}\w"
    r"|/(?=[a-z])[\w-]{2,64})"
)
_VERSION = re.compile(
    r"(?<![\w.])(?!\d{1,2}\.\d{1,2}\.\d{4}(?!\d)|[1-9]\d{0,2}(?:\.\d{3}){2,4}(?![\w.]))([vV]\.?\s?|)("
    r"\d{1,4}(?:\.\d{1,4}){1,5})(?![\w]|\.\d)"
)
_SOFTWARE = re.compile(
    r"\b(?:[Vv]ersion|[Rr]elease|Python|Java|Windows|iOS|iPadOS|macOS|Android|Ubuntu|Debian|Fedora|Chrome|Firefox|Linux|"
    r"kernel|Node|PHP|Ruby|Perl|Go|Rust|CUDA|PyTorch|TensorFlow|NumPy|Django|Swift|Kotlin|Java|Section|section|Chapter|"
    r"chapter|Figure|figure|Table|table|API|GPT|HTTP|USB|Bluetooth)\s$"
)
_SHORT_VERSION = re.compile(r"(?<!\w)[vV](\d{1,4})(?!\w|\.\d)")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:"
    r"\+\d{1,3}(?:[\s.-]?\(?\d{1,4}\)?){2,6}"
    r"|(?:1[\s.-])?\(\d{3}\)\s?\d{3}[\s.-]\d{4}"
    r"|(?:1[\s.-])?\d{3}[.-]\d{3}[.-]\d{4}"
    r"|\d{3}-\d{4}(?!\s?=)"
    r"|(?<!\d\s)0\d{2,4}[\s-]\d{3,8}(?:[\s-]\d{3,4})?"
    r")(?![\d/]|-\d|\.\d)|(?<![\w.+-])1-\d{3}-(?=[A-Z]{3})"
)
_GROUPS = re.compile(
    r"(?<![\w.,/-])(?!\d{4}-[01]?\d-[0-3]?\d(?!\d))\d{1,9}(?:-\d{1,9}){2,6}(?![\w/]|-\d|[.,]\d)"
)
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_SHORT_WORDS = words("me my in is it to of on us go by we be he no or so up at an as do if am hi")
_LETTERS = words("aws api url faq cia fbi ibm usa avi exe iso")
_VOWEL = re.compile("[aeiouy]", re.I)


def verbalize(text: str) -> str:
    if "@" in text:
        text = _EMAIL.sub(lambda m: spell(m[0]), text)
    if "." in text or "/" in text or "\\" in text:
        text = _URL.sub(lambda m: spell(m[0]), text)
        text = _SITE.sub(lambda m: spell(m[0]), text)
        text = _FILE.sub(lambda m: spell(m[0]), text)
        text = _PATH.sub(_path, text)
    text = _PHONE.sub(lambda m: _digits(m[0]) if _is_phone(m[0]) else m[0], text)
    text = _GROUPS.sub(lambda m: _digits(m[0]), text)
    text = _VERSION.sub(_version, text)
    return _SHORT_VERSION.sub(r"version \1", text)


def spell(address: str) -> str:
    """An address as it is dictated: "dot", "at", "slash"; parts that are not words are spelled."""
    return " ".join(filter(None, map(_part, _WORD.findall(address))))


def _part(part: str) -> str:
    if part in _SIGNS:
        return _SIGNS[part]
    if part.isdigit():
        return cardinal(part, "en") if len(part) < 5 else " ".join(DIGITS_EN[int(d)] for d in part)
    if not part.isalpha():
        return part
    if part.lower() in _SHORT_WORDS or (
        len(part) > 2 and _VOWEL.search(part) and part.lower() not in _LETTERS
    ):
        return part
    return " ".join(part.upper())


def _path(m: re.Match[str]) -> str:
    """A path of several parts, or one that begins a word: "/usr/bin", "C:\\Users", "./run"."""
    return spell(m[0])


def _is_phone(number: str) -> bool:
    return not number.startswith("+") or sum(c.isdigit() for c in number) >= 8


def _digits(number: str) -> str:
    """Groups of digits, one digit after the other, a comma between groups."""
    groups = [" ".join(DIGITS_EN[int(d)] for d in group) for group in re.findall(r"\d+", number)]
    return "plus " * number.startswith("+") + ", ".join(groups) + ", " * number.endswith("-")


def _version(m: re.Match[str]) -> str:
    """ "v2.0.1" and "Python 3.11" by their parts; four parts are a network address."""
    parts = m[2].split(".")
    named = bool(m[1]) or _SOFTWARE.search(m.string, max(m.start() - 16, 0), m.start()) is not None
    if len(parts) == 2 and not named:
        return m[0]
    lead = "version " if m[1] else ""
    link = " dot " if len(parts) == 4 and not named and all(int(p) < 256 for p in parts) else " point "
    return lead + link.join(_version_part(p) for p in parts)


def _version_part(part: str) -> str:
    zeros = len(part) - len(part.lstrip("0"))
    words = ["zero"] * zeros
    return " ".join(words if zeros == len(part) else [*words, cardinal(part[zeros:], "en")])
