"""Clause types and nuclei of Russian and English sentences."""

from __future__ import annotations

import dataclasses

import pytest

from intona.text import Utterance, Word
from intona.text.intonation import AFTER, BEFORE, CLAUSE_TYPES, NUCLEUS, clauses_of, symbols_of
from intona.text.symbols import PUNCTUATION


def utterance(text: str) -> Utterance:
    """Letters instead of phonemes, which need neither espeak-ng nor a stress model."""
    row: list[str] = []
    words = []
    for token in text.split():
        bare = token.rstrip("".join(PUNCTUATION))
        if bare:
            row += [" "] if row else []
            words.append(Word(bare, len(row), len(row) + len(bare)))
            row += bare
        row += token[len(bare) :]
    return Utterance(text=text, normalized=text, phonemes=tuple(row), words=tuple(words))


def shown(text: str, language: str) -> str:
    """ "type: words with the NUCLEUS in capitals | …"."""
    u = utterance(text.lower())
    return " | ".join(
        f"{c.type}: "
        + " ".join(
            w.text.upper() if c.start + i == c.nucleus else w.text
            for i, w in enumerate(u.words[c.start : c.end])
        )
        for c in clauses_of(u, language)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Он купил дом.", "statement: он купил ДОМ"),
        ("Он был там .", "statement: он был ТАМ"),  # function words only: the last of them
        ("Ты видел Ивана?", "yes_no: ты ВИДЕЛ ивана"),
        ("Это твой дом?", "yes_no: это твой ДОМ"),
        ("Он готов?", "yes_no: он ГОТОВ"),
        ("Можно ли войти?", "yes_no: МОЖНО ли войти"),
        ("Ты знаешь, где он живёт?", "yes_no: ты ЗНАЕШЬ где он живёт"),
        ("Если пойдёт дождь, ты останешься?", "continuation: если пойдёт ДОЖДЬ | yes_no: ты ОСТАНЕШЬСЯ"),
        ("Где он живёт?", "wh: ГДЕ он живёт"),
        ("А в каком году?", "wh: а в КАКОМ году"),
        ("Иван, где ты?", "continuation: ИВАН | wh: ГДЕ ты"),
        ("Купи хлеб, сыр, чай.", "continuation: купи ХЛЕБ | continuation: СЫР | statement: ЧАЙ"),
        ("Какой дом! Он наш.", "exclamation: какой ДОМ | statement: он НАШ"),
        ("Правда ?! Да.", "yes_no: ПРАВДА | statement: ДА"),
    ],
)
def test_russian(text: str, expected: str) -> None:
    assert shown(text, "ru") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Did you see him?", "yes_no: did you SEE him"),
        ("Is this your house?", "yes_no: is this your HOUSE"),
        ("Where does he live?", "wh: where does he LIVE"),
        ("And what's the time?", "wh: and what's the TIME"),
        ("I like it.", "statement: i LIKE it"),
    ],
)
def test_english(text: str, expected: str) -> None:
    assert shown(text, "en") == expected
    assert shown(text, "en-gb") == expected


def test_a_mark_in_the_text_decides() -> None:
    u = dataclasses.replace(utterance("ты видел ивана? да."), nucleus=2)
    question, answer = clauses_of(u, "ru")
    assert (question.nucleus, answer.nucleus) == (2, 3)
    u = dataclasses.replace(utterance("иван, где ты?"), nucleus=0)
    assert [(c.type, c.start, c.end, c.nucleus) for c in clauses_of(u, "ru")] == [("wh", 0, 3, 0)]


def test_each_symbol_has_a_type_and_a_place() -> None:
    types, places = symbols_of(utterance("да. он дома?"), "ru")
    # д а . _ о н _ д о м а ?
    assert [CLAUSE_TYPES[t] for t in types] == ["statement"] * 4 + ["yes_no"] * 8
    assert places == [NUCLEUS] * 4 + [BEFORE] * 3 + [NUCLEUS] * 5
    assert symbols_of(utterance("видел он?"), "ru")[1] == [NUCLEUS] * 6 + [AFTER] * 3


def test_other_languages_have_types_too() -> None:
    assert shown("maison bleue?", "fr") == "yes_no: maison BLEUE"
