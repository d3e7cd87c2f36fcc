"""The default contour of questions: which vowels it moves, and how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from intona.text import Utterance, Word
from intona.text.question import HIGHEST, QuestionPlan, plan_of

FLAT = -1.0  # semitones: a monotonous prediction, that of the statement too


def utterance(*words: tuple[str, str], end: str = "?") -> Utterance:
    """Words as (letters, phonemes)."""
    row: list[str] = []
    out = []
    for letters, phones in words:
        row += [" "] if row else []
        symbols = phones.split()
        out.append(Word(letters, len(row), len(row) + len(symbols)))
        row += symbols
    text = " ".join(w for w, _ in words) + end
    return Utterance(text=text, normalized=text, phonemes=(*row, *end), words=tuple(out))


@dataclass(frozen=True)
class Spoken:
    """The contour of a question whose prediction is flat, by its symbols."""

    symbols: tuple[str, ...]
    pitch: np.ndarray

    def of(self, symbol: str) -> float:
        return float(self.pitch[self.symbols.index(symbol)])


def spoken(u: Utterance, language: str) -> Spoken:
    plan = plan_of(u, language)
    assert plan is not None
    flat = np.full(len(u.phonemes), FLAT)
    return Spoken(u.phonemes, plan.apply(flat, flat))


def test_russian_yes_no() -> None:
    """High on the stressed vowel of the verb, low after it, as predicted before it."""
    u = utterance(("ты", "t ˈɨ"), ("видел", "vʲ ˈi dʲ ɪ ɫ"), ("ивана", "ɪ v ˈa n ə"))
    s = spoken(u, "ru")
    assert s.of("ˈɨ") == FLAT
    assert s.of("ˈi") == max(6.0, FLAT + 7.0) and s.of("ˈi") - FLAT >= 6
    assert s.of("ɪ") == s.of("ˈa") == s.of("ə") == -2.0
    assert FLAT < s.of("vʲ") < s.of("ˈi") and -2 < s.of("dʲ") < s.of("ˈi")  # no steps


def test_russian_nucleus_in_the_last_syllable() -> None:
    s = spoken(utterance(("это", "ˈɛ t ə"), ("дом", "d ˈo m")), "ru")
    assert s.of("ˈo") == 6.0 and s.of("m") == 6.0 and s.of("ə") == FLAT


def test_russian_wh() -> None:
    s = spoken(utterance(("где", "ɡ dʲ ˈe"), ("он", "ˈo n"), ("был", "b ˈɨ ɫ")), "ru")
    assert s.of("ˈe") == 4.0 and s.of("ˈo") == FLAT and s.of("ˈɨ") == -2.0


def test_english_yes_no_rises_to_its_end() -> None:
    u = utterance(
        ("did", "d ɪ d"), ("you", "j uː"), ("see", "s ˈiː"), ("the", "ð ə"), ("animal", "ˈæ n ɪ m ʊ l")
    )
    s = spoken(u, "en")
    assert s.of("uː") == FLAT
    assert 0 == s.of("ˈæ") < s.pitch[u.words[-1].start + 2] < s.of("ʊ") == 10.0 == s.pitch[-1]


def test_a_last_vowel_that_bears_the_nucleus_rises_less() -> None:
    u = utterance(("did", "d ɪ d"), ("they", "ð eɪ"), ("finish", "f ˈɪ n ɪ ʃ"), ("work", "w ˈɜː k"))
    s = spoken(u, "en")
    assert s.of("ˈɜː") == 7.0 and s.of("ˈɪ") == FLAT


def test_what_is_raised_is_voiced() -> None:
    plan = plan_of(utterance(("is", "ɪ z"), ("it", "ɪ t"), ("open", "ˈoʊ p ə n")), "en")
    assert plan is not None and plan.voiced == (6, 8, 9)  # not p
    plan = plan_of(utterance(("это", "ˈɛ t ə"), ("дом", "d ˈo m")), "ru")
    assert plan is not None and plan.voiced == (5, 6)


def test_english_wh_falls_from_a_high_start() -> None:
    u = utterance(("where", "w ˈɛ ɹ"), ("is", "ɪ z"), ("everybody", "ˈɛ v ɹ i b ɑː d i"))
    s = spoken(u, "en")
    assert s.of("ˈɛ") == 4.0 and s.pitch[-2] == -2.0


def test_a_prediction_that_is_high_enough_stays() -> None:
    u = utterance(("ты", "t ˈɨ"), ("видел", "vʲ ˈi dʲ ɪ ɫ"))
    plan = plan_of(u, "ru")
    assert plan is not None
    pitch, statement = np.zeros(len(u.phonemes)), np.full(len(u.phonemes), -3.0)
    pitch[u.phonemes.index("ˈi")], pitch[u.phonemes.index("ɪ")] = 9.0, -4.0
    np.testing.assert_array_equal(plan.apply(pitch, statement), pitch)


def test_it_is_above_a_statement_that_is_high_but_not_without_limit() -> None:
    u = utterance(("был", "b ˈɨ ɫ"), ("дома", "d ˈo m ə"))
    plan = plan_of(u, "ru")
    assert plan is not None
    for level, expected in ((3.0, 10.0), (10.0, HIGHEST), (20.0, 20.0)):
        level_contour = np.full(len(u.phonemes), level)
        assert plan.apply(level_contour, level_contour).max() == expected


@pytest.mark.parametrize("end", [".", "!", "…"])
def test_only_questions_have_one(end: str) -> None:
    assert plan_of(utterance(("ты", "t ˈɨ"), ("видел", "vʲ ˈi dʲ ɪ ɫ"), end=end), "ru") is None


def test_a_question_without_vowels_has_none() -> None:
    assert plan_of(utterance(("к", "k")), "ru") is None
    assert QuestionPlan(vowels=(0,), targets=()).apply(np.zeros(2), np.zeros(2)).tolist() == [0, 0]
