"""Languages as objects, and which of a voice's languages a text is in."""

from __future__ import annotations

import warnings

import pytest

from intona import registry
from intona.errors import UserError
from intona.text import Frontend, FrontendConfig, languages, split_sentences
from intona.text.languages import by_script, fitting, language_of, main_script, warn_of_script
from intona.text.languages.base import Language, Verbalized


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


def test_the_requested_language_is_used() -> None:
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


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Привет", "CYRILLIC"),
        ("Слово word", "CYRILLIC"),
        ("word слов", "LATIN"),  # half of the letters are not enough
        ("hello, мир", "LATIN"),
        ("γειά σου", "GREEK"),
        ("12 — !", None),
    ],
)
def test_the_script_of_a_text(text: str, script: str | None) -> None:
    assert main_script(text) == script


def test_a_script_that_no_language_declares_is_not_cyrillic() -> None:
    assert fitting("γειά σου", ("en", "ru")) == ["en"]
    assert fitting("γειά σου", ("en", "el", "ru")) == ["el"]
    assert fitting("привіт", ("en", "uk")) == ["uk"]
    assert by_script("да yes") == "ru" and by_script("yes") == "en"


def test_a_region_is_a_variant_of_its_language() -> None:
    british = languages.get("en-gb")
    assert type(british) is type(languages.get("en")) and british.voice == british.code == "en-gb"
    assert languages.get("en").voice == "en-us"
    assert languages.get("ru-RU").has_stress_model and languages.get("ru-RU").scripts == ("CYRILLIC",)
    assert languages.get("uk").scripts == ("CYRILLIC",) and languages.get("de").scripts == ()


class Esperanto(Language):
    """A language that a third party could register."""

    def verbalize(self, text: str) -> Verbalized:
        return super().verbalize(text.replace("3", " tri "))

    def sentences(self, paragraph: str):
        yield from paragraph.split("; ")


ESPERANTO = Esperanto(code="eo", voice="eo", scripts=("LATIN",))


def test_a_registered_language_is_what_the_front_end_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Frontend(FrontendConfig(language="eo"))(["mi havas tri hundojn"])[0]
    monkeypatch.setattr(registry, "names", lambda group: ("en", "eo", "ru"))
    monkeypatch.setattr(registry, "get", lambda group, name: {"eo": ESPERANTO}[name])
    languages.get.cache_clear()
    try:
        utterance = Frontend(FrontendConfig(language="eo"))(["mi havas 3 hundojn"])[0]
        assert utterance.normalized == "mi havas tri hundojn"
        assert utterance.phonemes == plain.phonemes
        assert split_sentences("mi havas; vi havas. Jes", "eo") == ["mi havas", "vi havas. Jes"]
    finally:
        languages.get.cache_clear()
