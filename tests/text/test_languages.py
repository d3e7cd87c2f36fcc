"""Which language a text is read in, for voices of several."""

from __future__ import annotations

import warnings

import pytest

from intona.errors import UserError
from intona.text.languages import fitting, language_of, warn_of_script


@pytest.mark.parametrize(
    ("text", "languages", "language"),
    [
        ("Привет", ("en", "ru"), "ru"),
        ("hello", ("ru", "en"), "en"),
        ("Слово word и ещё", ("en", "ru"), "ru"),
        ("hello", ("ru",), "ru"),
        ("123", ("en",), "en"),
    ],
)
def test_the_language_is_that_of_the_script(text: str, languages: tuple[str, ...], language: str) -> None:
    assert language_of(text, languages) == language


def test_the_one_asked_for_is_taken() -> None:
    assert language_of("Привет", ("en", "ru"), "en") == "en"
    with pytest.raises(UserError, match=r'--language: unknown language "ens"; did you mean "en"'):
        language_of("hello", ("en", "ru"), "ens")


def test_a_text_that_may_be_in_several_is_not_guessed_at() -> None:
    with pytest.raises(UserError, match=r"speaks en, es: the text may be in any.*--language en"):
        language_of("hola", ("en", "es", "ru"))
    with pytest.raises(UserError, match="speaks en, ru"):
        language_of("123", ("en", "ru"))
    assert fitting("hola", ("en", "es", "ru")) == ["en", "es"]
    assert fitting("да", ("en", "es")) == ["en", "es"]


def test_a_text_in_another_script_is_not_read_in_silence() -> None:
    with pytest.warns(UserWarning, match="another script than ru: it is spelled by the rules of ru"):
        warn_of_script("hello there", "ru")
    with pytest.warns(UserWarning, match="another script than en"):
        warn_of_script("привет", "en")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_script("Привет, Bob", "ru")
        warn_of_script("hello", "es")
        warn_of_script("12", "ru")
