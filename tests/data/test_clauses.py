"""Clauses of recordings, cut in their pauses, and of texts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from intona.data.clauses import KEPT, LEAD, PAUSE, clauses_of, gaps, pauses, split
from intona.data.pieces import utterance_of
from intona.data.prepared import Item
from intona.text import Utterance, Word

# "da, net - da." with a long pause at the comma and the dash, and "net: da, da" with a short one.
ITEM = Item(
    id="a",
    text="да, нет — да.",
    normalized="да, нет — да.",
    phonemes=("d", "a", ",", " ", "nʲ", "e", "t", " ", "—", " ", "d", "a", ",", " ", "d", "a", "."),
    words=(Word("да", 0, 2), Word("нет", 4, 7), Word("да", 10, 12), Word("да", 14, 16)),
    speaker=0,
    language="ru",
    n_frames=152,
    offset=1000,
    seconds=1.52,
    file="a.wav",
)
DURATIONS = np.array([12, 12, 20, 0, 10, 15, 15, 0, 9, 2, 10, 10, 5, 2, 12, 12, 6])


def test_a_recording_is_cut_in_its_long_pauses() -> None:
    assert DURATIONS.sum() == ITEM.n_frames
    first, second, third = clauses_of(ITEM, DURATIONS)
    assert first.phonemes == ("d", "a", ",") and first.words == (Word("да", 0, 2),)
    assert second.phonemes == ("nʲ", "e", "t", " ", "—") and second.words == (Word("нет", 0, 3),)
    assert third.phonemes == ("d", "a", ",", " ", "d", "a", ".")  # a pause of 7 frames stays
    assert third.words == (Word("да", 0, 2), Word("да", 4, 6))
    # Of the pause of 20 frames from 24 on 6 stay before the cut and 4 after.
    assert (first.offset, first.n_frames) == (1000, 24 + KEPT)
    assert (second.offset, second.n_frames) == (1000 + 44 - LEAD, LEAD + 40 + KEPT)
    assert (third.offset, third.n_frames) == (1000 + 95 - LEAD, LEAD + 57)
    assert third.offset + third.n_frames == ITEM.offset + ITEM.n_frames
    assert len({first.id, second.id, third.id, ITEM.id}) == 4
    assert first.seconds == pytest.approx(0.30) and first.file == ITEM.file
    assert utterance_of(second).plain == "нет"
    assert pauses([ITEM], [DURATIONS]) == {",": 20 - KEPT - LEAD, "—": 11 - KEPT - LEAD}


def test_short_pauses_and_short_clauses_are_not_cut() -> None:
    even = np.full(17, 9)
    even[[2, 3, 7, 8, 9, 12, 13]] = [PAUSE - 2, 1, 1, PAUSE - 3, 1, 1, 1]
    item = dataclasses.replace(ITEM, n_frames=int(even.sum()))
    assert clauses_of(item, even) == []
    quick = np.where(np.isin(ITEM.phonemes, (",", "—")), 20, 3)  # three words of 6 to 9 frames
    item = dataclasses.replace(ITEM, n_frames=int(quick.sum()))
    found = clauses_of(item, quick)
    assert all(c.n_frames >= 24 for c in found) and len(found) < 3
    bare = dataclasses.replace(ITEM, phonemes=("d", "a", " ", "nʲ", "e", "t"), n_frames=120)
    assert clauses_of(bare, np.full(6, 20)) == []


def test_marks_at_the_ends_are_no_gaps() -> None:
    assert list(gaps(("—", " ", "d", "a", "!"))) == []
    assert list(gaps(("d", ",", " ", "—", " ", "a"))) == [(4, 5, 1)]
    assert list(gaps(())) == []


def test_a_long_text_is_cut_and_nothing_is_lost() -> None:
    text = Utterance(text="", normalized="", phonemes=ITEM.phonemes, words=ITEM.words)
    assert split(text, least=2, most=17) == [text]
    parts = split(text, least=2, most=10)
    assert [p.phonemes[-1] for p in parts] == [",", "—", ",", "."]
    assert [w.text for p in parts for w in p.words] == ["да", "нет", "да", "да"]
    assert all(p.phonemes[w.start : w.end] for p in parts for w in p.words)
    assert [s for p in parts for s in p.phonemes if s != " "] == [s for s in ITEM.phonemes if s != " "]
    # Clauses of at least 5 symbols: the first comma comes too early, the last one too late.
    assert [len(p.phonemes) for p in split(text, least=5, most=10)] == [9, 7]
    assert split(text, least=17, most=10) == [text]
