"""Rows that stand in for one another: every row once, another text each, the same speaker where possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.errors import UserError
from intona.evaluation import Manifest, Row
from intona.evaluation.companions import companions, destroyed_texts

rows = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["s", "t"])), min_size=1, max_size=25)


@given(rows)
def test_a_derangement_or_an_error(drawn: list[tuple[str, str]]) -> None:
    manifest = Manifest(rows=tuple(Row(id=f"u{i}", text=t, speaker=s) for i, (t, s) in enumerate(drawn)))
    groups = companions(manifest)
    assert sorted(r.id for g in groups for r in g) == sorted(r.id for r in manifest.rows)
    text = {r.id: r.text for r in manifest.rows}
    try:
        swapped = destroyed_texts(manifest)
    except UserError:
        assert any(len(g) == 1 for g in groups)
        return
    assert sorted(swapped) == sorted(swapped.values()) == sorted(text)
    assert all(text[a] != text[b] for a, b in swapped.items())


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_one_speaker_of_distinct_texts_always_works(n: int) -> None:
    manifest = Manifest(rows=tuple(Row(id=f"u{i}", text="да " * (i + 1)) for i in range(n)))
    swapped = destroyed_texts(manifest)
    # Neighbours in length: a destroyed text is not a text of another length.
    assert all(abs(int(a[1:]) - int(b[1:])) <= 2 for a, b in swapped.items())


def test_speakers_are_kept() -> None:
    spoken = tuple(Row(id=f"u{i}", text=f"слово {i}", speaker="ab"[i % 2]) for i in range(10))
    speaker = {r.id: r.speaker for r in spoken}
    assert all(speaker[a] == speaker[b] for a, b in destroyed_texts(Manifest(rows=spoken)).items())


def test_the_order_of_rows_plays_no_part() -> None:
    spoken = tuple(Row(id=f"u{i}", text=f"слово {i}") for i in range(9))
    assert destroyed_texts(Manifest(rows=spoken)) == destroyed_texts(Manifest(rows=spoken[::-1]))


def test_one_row_has_nothing_to_be_swapped_with() -> None:
    with pytest.raises(UserError, match="no row has another text"):
        destroyed_texts(Manifest(rows=(Row(id="a", text="да"),)))
