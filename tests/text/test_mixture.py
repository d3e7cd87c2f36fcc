"""Texts of Russian and English: each sentence in its language, and everything else as before."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from intona.errors import Unspeakable
from intona.text import Utterance, read
from intona.text.controls import MarkedText, WordControl, read_marks
from intona.text.frontend import Frontend, FrontendConfig
from intona.text.inline import PhonemeError
from intona.text.mixture import Split, parts_of, read_parts, stretches_of
from intona.text.reading import left_out

BOTH = ("en", "ru")


def _splitters(*codes: str) -> dict[str, Split]:
    return {code: Frontend(FrontendConfig(language=code)).whole_sentences for code in codes or BOTH}


def _parts(text: str, *codes: str) -> list[tuple[str, str]] | None:
    stretches = stretches_of(text, _splitters(*codes))
    if stretches is None:
        return None
    assert stretches[0].start == 0 and stretches[-1].end == len(text)
    assert all(a.end == b.start for a, b in itertools.pairwise(stretches))
    return [(s.language, text[s.start : s.end].strip()) for s in stretches]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Привет. Hello.", [("ru", "Привет."), ("en", "Hello.")]),
        ("Hello.\nПривет! Как дела?", [("en", "Hello."), ("ru", "Привет! Как дела?")]),
        # The full stop of an abbreviation ends no sentence in the language that has it.
        ("Он ушёл. Then Mr. Smith came.", [("ru", "Он ушёл."), ("en", "Then Mr. Smith came.")]),
        ("He left. Это было в г. Москве.", [("en", "He left."), ("ru", "Это было в г. Москве.")]),
        # A Latin word inside a Russian sentence is read as Russian, however many there are.
        ("Windows Pro вышла. It works.", [("ru", "Windows Pro вышла."), ("en", "It works.")]),
        ("Это iPhone.", [("ru", "Это iPhone.")]),
        # What has no letters goes with what is before it, or else with what follows.
        ("1999. Привет. 42! Hello.", [("ru", "1999. Привет. 42!"), ("en", "Hello.")]),
        ("Привет. [[h ə l ˈoʊ]]! Hello.", [("ru", "Привет. [[h ə l ˈoʊ]]!"), ("en", "Hello.")]),
    ],
)  # fmt: skip
def test_sentences_go_by_their_script(text: str, expected: list[tuple[str, str]]) -> None:
    assert _parts(text) == expected


@pytest.mark.parametrize("text", ["Привет. Как дела?", "Hello. How are you?", "1999.", ""])
def test_a_text_of_one_script_is_left_to_its_language(text: str) -> None:
    assert _parts(text) is None


def test_a_script_that_does_not_decide_changes_nothing() -> None:
    assert _parts("Привет. Hello.", "en", "es", "ru") is None
    assert _parts("Привет. Hello.", "ru") is None


def test_a_long_sentence_is_not_cut_between_languages() -> None:
    quote = "the quick brown fox jumps over the lazy dog and runs away, " * 5
    text = f"Он сказал, {quote}и ушёл. Bye."
    assert [language for language, _ in _parts(text) or ()] == ["ru", "en"]


def test_marks_stay_with_their_words() -> None:
    parts = parts_of(read_marks("Это *важно*. It *is* so."), _splitters())
    assert parts is not None
    marked = [
        (language, [part.text[s.start : s.end] for s in part.spans], [s.nucleus for s in part.spans])
        for language, part in parts
    ]
    assert marked == [("ru", ["важно"], [True]), ("en", ["is"], [True])]
    assert all(s.control == WordControl(emphasis="moderate") for _, part in parts for s in part.spans)


def test_read_takes_several_languages() -> None:
    lines = read("В 2 ч. придёт Mr. Bean. He is 5.", language=("ru", "en"), phonemes=True)
    assert [u.normalized for u in lines][-1] == "He is five." and len(lines) == 2
    assert "ˈaɪ" in lines[1].phonemes
    assert read("Кот.", language=BOTH)[0].normalized == "Кот." == read("Кот.")[0].normalized
    with pytest.raises(Unspeakable, match="may be in any of them"):
        read("Hello.", language=("en", "es", "ru"))


def test_what_cannot_be_spoken_is_left_out_unless_it_is_all() -> None:
    parts = [("ru", read_marks("Привет.")), ("en", read_marks("Hello."))]

    def read_in(language: str, part: MarkedText, *, refused: tuple[str, ...] = ("en",)) -> list[Utterance]:
        if language in refused:
            raise Unspeakable("no words", where=language)
        return read(part.text, language=language)

    with pytest.warns(UserWarning, match='left out: "Hello."'):
        assert [u.normalized for u in read_parts(parts, read_in)] == ["Привет."]
    with pytest.raises(Unspeakable, match="ru: no words"):
        read_parts(parts, partial(read_in, refused=BOTH))
    with pytest.raises(PhonemeError):
        read("Привет. Hello [[ʘʘ3]].", language=BOTH, phonemes=True)


def test_what_is_left_out_is_named_in_its_language() -> None:
    text = "Привет. ሰላም ሰላም. Hello."
    with pytest.warns(UserWarning):
        utterances = read(text, language=BOTH)
    assert [sentence for sentence, _ in left_out(text, utterances, language=BOTH)] == ["ሰላም ሰላም."]
    assert left_out("Кот. Cat.", read("Кот. Cat.", language=BOTH), language=BOTH) == []
