"""Edit counts against jiwer and closed forms; corpus and macro rates; defects 7 and 9 of known evaluators."""

from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.errors import UserError
from intona.evaluation.judges.wer import (
    character_edits,
    corpus_rate,
    count_edits,
    macro_rate,
    word_edits,
)

WORDS = st.lists(st.sampled_from(["а", "б", "в", "г"]), max_size=12)


@given(WORDS.filter(bool), WORDS)
def test_agrees_with_jiwer(reference: list[str], hypothesis: list[str]) -> None:
    ours = word_edits(" ".join(reference), " ".join(hypothesis))
    theirs = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    assert ours.rate == pytest.approx(theirs.wer)
    assert ours.deletions - ours.insertions == theirs.deletions - theirs.insertions
    # The split into S, D, I is not unique; ours has at least as many matches.
    assert ours.substitutions <= theirs.substitutions


@given(st.text("абв ", min_size=1, max_size=15).filter(str.strip), st.text("абв ", max_size=15))
def test_characters_agree_with_jiwer_without_blanks(reference: str, hypothesis: str) -> None:
    ours = character_edits(reference, hypothesis)
    assert ours.rate == pytest.approx(jiwer.cer(reference.replace(" ", ""), hypothesis.replace(" ", "")))


@given(WORDS.filter(bool), WORDS)
def test_counts_are_consistent(reference: list[str], hypothesis: list[str]) -> None:
    e = count_edits(reference, hypothesis)
    assert min(e.substitutions, e.deletions, e.insertions) >= 0
    matches = e.reference - e.substitutions - e.deletions
    assert matches >= 0
    assert len(hypothesis) == matches + e.substitutions + e.insertions


def test_known_answers() -> None:
    def counts(reference: str, hypothesis: str) -> tuple[int, int, int, int]:
        e = count_edits(reference, hypothesis)
        return e.substitutions, e.deletions, e.insertions, e.reference

    assert counts("abc", "abc") == (0, 0, 0, 3)
    assert counts("abc", "") == (0, 3, 0, 3)
    assert counts("a", "xyaz") == (0, 0, 3, 1)
    assert counts("abcd", "axd") == (1, 1, 0, 4)
    # "ab" -> "ba": two substitutions or one deletion and one insertion; the match decides.
    assert counts("ab", "ba") == (0, 1, 1, 2)


def test_denominator_never_contains_insertions() -> None:
    """Ten inserted words on a reference of five: 2.0, where errors / (N + I) would say 0.67."""
    said = "раз два три четыре пять"
    assert word_edits(said, said + " ой" * 10).rate == 2.0


def test_corpus_and_macro_differ_and_are_both_right() -> None:
    """One short wrong utterance beside a long right one: macro .5, corpus 1/14 (they are not the same)."""
    long = " ".join("абвгдежзиклмн")
    edits = [word_edits("да", "нет"), word_edits(long, long)]
    assert macro_rate(edits) == 0.5
    assert corpus_rate(edits) == pytest.approx(1 / 14)


def test_empty_reference_is_an_error_not_a_score() -> None:
    with pytest.raises(UserError, match="empty reference"):
        word_edits("", "два слова")


def test_characters_after_nfkc() -> None:
    # A ligature and a decomposed "й" are the letters that they stand for.
    assert character_edits("ﬁ и\u0306", "fi й").errors == 0
