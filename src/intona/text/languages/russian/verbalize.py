"""Everything in a Russian text that is not a word, as words: numbers, dates, units, abbreviations, acronyms.

Case, gender and number are up to ru-normalizr, which inflects with pymorphy3's dictionary. The rules of this
package rewrite its input where that was measured to be better (`numbers`, `abbreviations`), and they read
what it does not: acronyms, single letters, Latin words (`letters`). A text of only words and punctuation
passes unchanged and loads nothing.
"""

from __future__ import annotations

import re

from intona.text.languages.russian import abbreviations, letters, numbers
from intona.text.numerals import cardinal, signs

CHUNK = 600  # characters per call of ru-normalizr, whose time grows faster than linearly
# Symbols with a reading; any other is reported as unreadable.
READABLE = frozenset("$%&*+-<=>^~¢£¥§°±²³¹¼½¾×÷‰‱⁰⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉₦₩₪₫€₱₴₸₹₺₽№⅓⅔⅛⅜⅝⅞∂∏∑−∓√∞∩∪∫≈≠≤≥@#|⁻`")

_WORD = "А-Яа-яЁё"
_NEEDS_READING = re.compile(
    rf"[^{_WORD}\s,.!?:;…—«»\"“”„()'+\u0301-]"  # digits, Latin letters, symbols
    r"|[А-ЯЁ]{2}"  # acronyms
    rf"|(?<![{_WORD}])[А-ЯЁ](?![{_WORD}\u0301'-]|\s+[а-яё])"  # initials, letters
    rf"|(?<![{_WORD}])[{_WORD}]{{1,6}}\.(?=\s*[^\s.])"  # abbreviations inside a text, then at its end
    rf"|(?<![{_WORD}])(?:{abbreviations.FINAL})\.\s*$|(?<![{_WORD}])(?:г-н|г-жа|пр-т|б-р|р-н|кол-во)(?![{_WORD}])"
)
_GRAMS = re.compile(r"\d\s?(?:г|кг|мг|мкг)(?!\w)")
_GRAM_WORD = re.compile(r"(?<!один )(?<!\w)((?:кило|милли|микро)?грамм)(?!\w)")
# A negated verb governs the genitive, as "без" does, which ru-normalizr knows.
_NEGATION = r"(?i:(?<!\w)(нет|не хватает|не хватало|не было|не будет|не осталось))\s+"
_NEGATED, _LENT = re.compile(_NEGATION + r"(?=\d)"), re.compile(_NEGATION + "без ")
_SIGNS = {
    "&": " и ", "=": " равно ", "№": " номер ", "§": " параграф ", "@": " собака ", "×": " на ",
    "÷": " разделить на ", "±": " плюс-минус ", "#": " решётка ", "%": " процент ", "$": " доллар ",
    "€": " евро ", "₽": " рубль ", "£": " фунт ", "°": " градус ", "≈": " приблизительно равно ",
    "√": " корень из ", "~": " примерно ", "²": " в квадрате ", "³": " в кубе ", "^": " в степени ",
    "−": " минус ", "≠": " не равно ", "≤": " меньше или равно ", "≥": " больше или равно ",
}  # fmt: skip


def verbalize(text: str) -> str:
    """A Russian text with everything that is not a Russian word spelled out.

    Args:
        text: NFC without control characters, quotes and dashes as written; `+` before a stressed vowel.
    """
    if not _NEEDS_READING.search(text):
        return text
    text = re.sub(r"(?<=[^\W\d])\s+-+\s+|(?<=\s)-+\s+(?=[^\W\d])", " — ", f" {text} ").strip()
    text = letters.initials(letters.shouted(text))
    if re.search("[A-Za-z]", text):
        text = letters.formulas(text)
    text = abbreviations.expand(text)
    if re.search(r"\d", text):
        text = numbers.prepare(text)
    text = numbers.prepare_roman(text)
    text = re.sub(r"(?<=\s)>(?=\s)", "больше", re.sub(r"(?<=\s)<(?=\s)", "меньше", text))
    text = letters.acronyms(letters.single_letters(text))
    if _NEEDS_READING.search(text):
        text = " ".join(_inflected(part) for part in _chunks(text))
    return _leftovers(text)


def _inflected(text: str) -> str:
    grams = _GRAMS.search(text)
    normalizer = letters.normalizer(roman=bool(re.search("[IVXLCDM]", text)))
    text = normalizer.normalize(_NEGATED.sub(r"\1 без ", text))
    text = _LENT.sub(r"\1 ", text)
    return _GRAM_WORD.sub(r"\1ов", text) if grams else text


def _leftovers(text: str) -> str:
    """What ru-normalizr leaves: Latin words, letters, digits and signs."""
    if re.search("[A-Za-zÀ-ɏ]", text):
        text = letters.latin_text(text)
    text = letters.acronyms(letters.single_letters(text))
    text = re.sub(r"\+(?=\s|$)", " плюс ", text)
    text = re.sub(r"\d+", lambda m: f" {cardinal(m[0], 'ru')} ", text)
    return signs(text, _SIGNS)


def _chunks(text: str) -> list[str]:
    """Runs of at most CHUNK characters, cut at the end of a sentence, else at a space, else anywhere."""
    out: list[str] = []
    at = 0
    while len(text) - at > CHUNK:
        window = text[at : at + CHUNK]
        stop = max(window.rfind(". "), window.rfind("! "), window.rfind("? "))
        cut = stop + 1 if stop > CHUNK // 4 else window.rfind(" ")
        if cut <= 0:
            cut = CHUNK
        out.append(window[:cut])
        at += cut
    return [*out, text[at:]]
