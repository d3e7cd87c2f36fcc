"""Normalization: spelled-out numbers and signs, Unicode cleaning, the bad-text matrix, long text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.errors import UserError
from intona.text import Frontend, FrontendConfig
from intona.text.languages.russian import verbalize as verbalize_ru
from intona.text.normalize import PUNCTUATION, clean, joined, marked_vowel, normalize

RU = [
    ("В 1941 году было 22 книги.", "В тысяча девятьсот сорок первом году было двадцать две книги."),
    ("5-го числа", "Пятого числа"),
    ("21 марта 2020 года", "двадцать первого марта две тысячи двадцатого года"),
    ("12.05.1999 г.", "двенадцатого мая тысяча девятьсот девяносто девятого года."),
    ("в 14:05", "в четырнадцать часов пять минут"),
    ("1 250 руб. и т.д.", "одна тысяча двести пятьдесят рублей и так далее."),
    ("$5 и 50%", "пять долларов и пятьдесят процентов"),
    ("3,14", "три целых четырнадцать сотых"),
    ("-5 °C, 2 мин", "минус пять градусов Цельсия, две минуты"),
    ("СССР и USB", "эс эс эс эр и ю эс би"),
    ("мoлоко", "молоко"),  # a Latin o
    ("2+2=4", "два плюс два равно четыре"),
    ("XX век", "двадцатый век"),
    ("1990-е годы", "тысяча девятьсот девяностые годы"),
    ("за́мок и +окна", "з+амок и +окна"),
    ("«Да», — сказал он...", "Да, — сказал он…"),
    ("дом - лес", "дом — лес"),
    ("кто-то из-за угла", "кто-то из-за угла"),
    ("да!!! нет?!", "да! нет?!"),
]
EN = [
    (
        "In 1984, Dr. Smith paid $3.50.",
        "In nineteen eighty-four, doctor Smith paid three dollars fifty cents.",
    ),
    ("1,250 items", "one thousand two hundred fifty items"),
    ("the 21st of May", "the twenty-first of May"),
    ("at 5:05 or 7:00", "at five oh five or seven o'clock"),
    ("the 1990s", "the nineteen nineties"),
    ("-3.14", "minus three point one four"),
    ("it’s “fine”", "it's fine"),
]


@pytest.mark.parametrize(("raw", "said"), RU)
def test_russian(raw, said):
    assert joined(normalize(raw, "ru").tokens) == said


@pytest.mark.parametrize(("raw", "said"), EN)
def test_english(raw, said):
    assert joined(normalize(raw, "en").tokens) == said


def test_latin_words_in_russian_are_read_with_russian_letters():
    said = normalize("Он открыл Windows и сказал hello", "ru").tokens
    assert all(all("а" <= c <= "я" or c in "ёЁ+" for c in w.lower()) for w in said)
    assert len(said) == 6


def test_spelled_out_text_is_a_fixed_point():
    for raw, _ in RU:
        once = joined(normalize(raw, "ru").tokens)
        assert joined(normalize(once, "ru").tokens) == once


def test_100k_characters():
    u = Frontend(FrontendConfig(stress="marks"))(["Привет, мир! " * 7700])[0]
    assert len(u.words) == 15_400


def test_sister_alphabets_and_strange_letters():
    assert normalize("Київ", "ru").tokens == ["Кийив"]
    with pytest.raises(UserError, match=r"does not read: қ \(U\+049B\)"):
        normalize("қала", "ru")


def test_marks():
    assert marked_vowel("мол+око") == 1
    assert marked_vowel("молоко") is None
    assert normalize("мо́локо", "ru").tokens == ["м+олоко"]
    assert normalize("и\u0306 и е\u0308", "ru").tokens == ["й", "и", "ё"]


BAD = {
    "empty": ("", "empty text"),
    "spaces": (" \t\n\u00a0 ", "empty text"),
    "punctuation": ("... !? —", "no words"),
    "emoji": ("😀🎉👍🏽", "no words"),
    "zero width only": ("\u200b\u200d\ufeff", "no words"),
    "NUL only": ("\0\0", "no words"),
    "lone surrogate only": ("\ud800", "no words"),
    "right to left": ("مرحبا", "does not read: م (U+0645)"),
    "unknown script": ("Привет 世界", "does not read: 世 (U+4E16)"),
    "plus signs": ("++++", ""),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_bad_text_has_one_clear_answer(name, language):
    text, message = BAD[name]
    try:
        tokens = normalize(text, language).tokens
    except UserError as e:
        assert message in str(e) or language == "en"
        assert "\n" not in str(e)
    else:
        assert name == "plus signs" and tokens


GOOD = {
    "zero width inside": ("при\u200bвет", "привет"),
    "NUL inside": ("привет\0мир", "привет мир"),
    "surrogate inside": ("при\ud800вет", "привет"),
    "combining": ("е" + "\u0301" * 1000 + "ли", "+ели"),
    "combining grave": ("е" + "\u0300" * 1000 + "ли", "ели"),
    "path": ("../../etc/passwd", "етк"),
    "markup": ("<speak><break time='9s'/>да</speak>", "да"),
    "emoji beside words": ("да 😀 нет", "да нет"),
    "direction marks": ("\u202eда\u202c нет", "да нет"),
}


@pytest.mark.parametrize("name", GOOD)
def test_odd_text_is_cleaned(name):
    text, part = GOOD[name]
    said = joined(normalize(text, "ru").tokens)
    if name not in ("path", "markup"):
        assert said == part
    assert not any(c in said for c in "\0\u200b<>/\ud800")


# Each of these made some rule take time that grew with the square of the length.
REPEATED = ["Привет мир, ", "а", "1", "-", "a.", "+а", "е\u0301", "<b>да</b>", "aб", "IV ", "111 ", "1.",
            " -а", "т.", "г. ", "А. ", "АБВ ", "5 км ", "½", "2 пути "]  # fmt: skip


@pytest.mark.parametrize("unit", REPEATED)
@pytest.mark.parametrize("size", [5_000, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_long_text_is_read_or_refused(unit, size):
    """Work that grew with the square of the length would take hours at the slow size."""
    frontend = Frontend(FrontendConfig(stress="marks"))
    try:
        utterance = frontend([unit * (size // len(unit))])[0]
    except UserError:
        assert unit == "-"
    else:
        assert len(utterance.phonemes) >= size // len(unit)


def test_the_normalizer_gets_short_pieces():
    for text in ("а" * 5000, "раз 2 " * 900, "Раз. Два. " * 600):
        pieces = verbalize_ru._chunks(text)
        assert "".join(pieces) == text and max(map(len, pieces)) <= verbalize_ru.CHUNK


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["ru", "en", "de"]))
def test_any_text_is_read_or_refused(text, language):
    try:
        tokens = normalize(text, language).tokens
    except UserError:
        return
    assert tokens and tokens[0] not in PUNCTUATION
    for token in tokens:
        assert token in PUNCTUATION or any(c.isalnum() for c in token)
        assert not set(token) & set("\0\ud800 \u200b")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="абвеёжийощьъыя+\u0301-.,!?«» 0123456789%гtk'№", max_size=60))
def test_russian_fuzz_gives_exact_words(text):
    try:
        u = _FRONTEND([text])[0]
    except UserError:
        return
    owned = [i for w in u.words for i in range(w.start, w.end)]
    assert owned == [i for i, s in enumerate(u.phonemes) if s != " " and s not in PUNCTUATION]
    assert all(s.strip() or s == " " for s in u.phonemes)


_FRONTEND = Frontend(FrontendConfig(stress="marks"))


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz' ,.-ABC019$&é", max_size=80))
def test_english_fuzz_gives_exact_words(text):
    try:
        u = _ENGLISH([text])[0]
    except UserError:
        return
    owned = [i for w in u.words for i in range(w.start, w.end)]
    assert owned == [i for i, s in enumerate(u.phonemes) if s != " " and s not in PUNCTUATION]


_ENGLISH = Frontend(FrontendConfig(language="en"))


@given(st.text(max_size=60))
def test_clean_is_idempotent(text):
    once = clean(text)
    assert clean(once) == once
