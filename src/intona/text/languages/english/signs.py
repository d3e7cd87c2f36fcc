"""Signs between and beside words, Greek letters, powers."""

from __future__ import annotations

import re
import unicodedata

from intona.text.numerals import cardinal

_WORDS = {
    "&": "and", "=": "equals", "№": "number", "§": "section", "@": "at", "%": "percent", "‰": "per mille",
    "±": "plus or minus", "×": "times", "÷": "divided by", "≈": "approximately", "≠": "is not equal to",
    "≤": "is less than or equal to", "≥": "is greater than or equal to", "√": "square root of",
    "∞": "infinity", "+": "plus", "$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₽": "ruble",
    "₹": "rupee", "¢": "cent", "°": "degrees", "©": "copyright", "¶": "paragraph", "−": "minus",
}  # fmt: skip
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi",
    "ρ": "rho", "σ": "sigma", "τ": "tau", "υ": "upsilon", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
    "µ": "mu",
}  # fmt: skip
# A sign, once or twice: a longer row ("=====") is decoration and has no reading.
_SIGN = re.compile(r"(?P<row>([^\w\s])\2{2,})|[" + re.escape("".join(_WORDS)) + "]")
_GREEK_LETTER = re.compile(r"(?<![α-ωΑ-Ωά-ώ])[α-ωΑ-Ωµ](?![α-ωΑ-Ωά-ώ])")
_HASH = re.compile(r"#(?=\w)")
_SHARP = re.compile(r"(?<![^\W\d_])([ACDFG])#(?!\w)")
_ABOUT = re.compile(r"(?<!\w)[~∼](?=\s?[.\d$€£])")
_COMPARED = re.compile(r"(?<=[\w)])(?:\s[<>](?=\s[\w(-]|\d)|\s?[<>!]=(?=\s?[\w(-])|\s?[<>]\s(?=[\w(-]))")
_COMPARISONS = {"<": "is less than", ">": "is greater than", "<=": "is less than or equal to",
                ">=": "is greater than or equal to", "!=": "is not equal to"}  # fmt: skip
_SLASH = re.compile(r"(?<=[^\W\d_])/(?=[^\W\d_])")
_AND_OR = re.compile(r"\b(and|either)/(or)\b", re.I)
_ALTERNATIVES = re.compile(r"\b(he|she|his|her|him|hers|himself|yes|true|pass)/(?=[a-z])", re.I)
_RATE = re.compile(r"(?<=[a-z])/(?=(?:day|week|month|year|hour|minute|second|night|person|capita)\b)")
_SUBSCRIPT = re.compile(r"(?<=[^\W\d_])_(?=\d)")
_UNDERSCORE = re.compile(r"(?<=[^\W_])_(?=[^\W_])")
_SUPERSCRIPT = re.compile("([⁺⁻]?)([⁰¹²³⁴-⁹]{1,9})")
_POWER_OF_LETTER = re.compile(r"(?<=[\w)])\s?\^\s?(?=[A-Za-z](?!\w))")
_EXPONENT = re.compile(r"\^(-?)(\d{1,9})")
_POWER = re.compile(r"(?<=[\w)])\s?\^\s?\(?(-?)(\d{1,9})\)?")


def prepare(text: str) -> str:
    """Superscripts as `^2`, fraction characters as `1/2`, and signs whose meaning depends on a number."""
    text = _ABOUT.sub("about ", text)
    text = _SUBSCRIPT.sub(" ", text)
    text = _COMPARED.sub(_compared, text)
    if text.isascii():
        return text
    if any(unicodedata.category(c) == "No" for c in text):
        text = _SUPERSCRIPT.sub(_superscript, text)
        text = re.sub("[¼-¾⅐-⅞]", lambda m: " " + unicodedata.normalize("NFKC", m[0]), text)
    return text.replace("\u2044", "/")


def _compared(m: re.Match[str]) -> str:
    words = _COMPARISONS[m[0].strip()]
    verb = re.search(
        r"\b(?:is|are|was|were|be|but|and|not)$", m.string[max(m.start() - 5, 0) : m.start()].rstrip()
    )
    return f" {words.removeprefix('is ') if verb else words} "


def _superscript(m: re.Match[str]) -> str:
    return f"^{'-' * (m[1] == '⁻')}{unicodedata.normalize('NFKC', m[2])}"


def exponents(text: str, *, bare: bool = False) -> str:
    """ "x^2" is x squared, "10^-6" ten to the power of minus six; `bare`: for an exponent alone."""
    if bare:
        return _EXPONENT.sub(_power, text)
    return _POWER.sub(_power, text) if "^" in text else text


def _power(m: re.Match[str]) -> str:
    if m[2] in ("2", "3") and not m[1]:
        return " squared" if m[2] == "2" else " cubed"
    return f" to the power of {'minus ' * bool(m[1])}{cardinal(m[2], 'en')}"


def verbalize(text: str) -> str:
    if "/" in text:
        text = _AND_OR.sub(r"\1 \2", text)
        text = re.sub(r"(?<!\w)w/(?:(o)\b|(?=\s?\w))", lambda m: "without " if m[1] else "with ", text)
        text = re.sub(r"(?<![^\W\d_])([A-Z])/([A-Z])(?!\w)", r"\1 \2", text)
        text = _ALTERNATIVES.sub(r"\1 or ", text)
        text = _RATE.sub(" per ", text)
        text = _SLASH.sub(" slash ", text)
    if "#" in text:
        text = _SHARP.sub(r"\1 sharp", text)
        text = _HASH.sub(" hashtag ", text)
    if "_" in text:
        text = _UNDERSCORE.sub(" underscore ", text)
    text = _POWER_OF_LETTER.sub(" to the power of ", text)
    text = _SIGN.sub(lambda m: m[0] if m["row"] else f" {_WORDS[m[0]]} ", text)
    if not text.isascii():
        text = _GREEK_LETTER.sub(_greek, text)
    return text


def _greek(m: re.Match[str]) -> str:
    name = _GREEK.get(m[0].lower())
    return f" {name} " if name else m[0]
