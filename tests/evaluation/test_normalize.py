"""The normalizer: stress marks go, letters stay, and what it is called is recorded."""

from __future__ import annotations

import pytest

from intona.evaluation.normalize import normalizer, strip_stress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Она завела, прядь вол+ос за ухо.", "она завела прядь волос за ухо"),
        ("до\u0301ма ду\u0301мал", "дома думал"),
        ("+Окна — иные разбитые", "окна иные разбитые"),
        ("Мой чай, ещё Ёлка и и\u0306од", "мой чай еще елка и йод"),
        ("кто-нибудь (и никто)", "кто нибудь и никто"),
        ("«Привет!» [сказал] он…", "привет сказал он"),
        ("", ""),
    ],
)
def test_russian(text: str, expected: str) -> None:
    assert normalizer("ru")(text) == expected


def test_short_i_survives() -> None:
    """Removing diacritics, as the published default may, would make "мой" and "мои" one word."""
    assert normalizer("ru")("мой") != normalizer("ru")("мои")


def test_english_is_the_published_one() -> None:
    """Defect 8: two popular normalizers differ 0.60 to 0.00 on this sentence."""
    n = normalizer("en")
    assert n("We don't think it's Bob's.") == n("we do not think it is bob is")
    assert n("colour, twenty-five dollars") == n("color 25 dollars") == "color $25"


def test_accents_of_other_languages_stay() -> None:
    assert normalizer("es")("Él está aquí.") == "él está aquí"
    assert strip_stress("café + 2") == "café + 2"


def test_its_name_carries_versions_and_language() -> None:
    assert normalizer("ru").id != normalizer("en").id
    assert "whisper-normalizer" in normalizer("ru").id
    assert "/ru" in normalizer("ru").id
