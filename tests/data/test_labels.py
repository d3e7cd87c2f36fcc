"""Phone alignments made elsewhere: formats, damage, shifting, frames."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.data.labels import Label, frames, read_lab, read_labels, read_textgrid, shift, symbols
from intona.errors import UserError

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "say ""hi"" 2"
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.7
            mark = "x"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sil"
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "aɪ"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
3
"IntervalTier"
"words"
0
1.5
2
0
0.5
""
0.5
1.5
"say ""hi"" 2"
"TextTier"
"marks"
0
1.5
1
0.7
"x"
"IntervalTier"
"phones"
0
1.5
2
0
0.5
"sil"
0.5
1.5
"aɪ"
"""
EXPECTED = {
    "words": [Label(0.0, 0.5, ""), Label(0.5, 1.5, 'say "hi" 2')],
    "phones": [Label(0.0, 0.5, "sil"), Label(0.5, 1.5, "aɪ")],
}


@pytest.mark.parametrize("text", [LONG, SHORT])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_both_textgrid_formats_say_the_same(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(text, encoding=encoding)
    assert read_textgrid(path) == EXPECTED
    assert read_labels(path) == EXPECTED["phones"]


@pytest.mark.parametrize("keep", range(0, len(LONG), 41))
def test_a_textgrid_cut_anywhere_is_refused_or_whole(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG[:keep])
    with pytest.raises(UserError, match=r"a\.TextGrid"):
        read_textgrid(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("size = 3", "size = 1e999", "not finite"),
        ("xmax = 1.5", "xmax = 1e999", "not finite"),
        ('name = "words"', 'name = "phones"', 'two tiers "phones"'),
    ],
)
def test_a_damaged_textgrid_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(LONG.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=rf"a\.TextGrid: .*{message}"):
        read_textgrid(path)


def test_festvox_labels_of_the_real_corpus(corpus: Path) -> None:
    for path in sorted((corpus / "lab").iterdir()):
        labels = read_lab(path)
        assert labels[0].label == "pau" and labels[-1].label == "pau"
        assert all(a.end == b.start for a, b in itertools.pairwise(labels))
        assert 3 < labels[-1].end < 7


@pytest.mark.parametrize(
    "text", ["", "#\n", "#\n0.5 125\n", "#\nabc 125 a\n", "#\n0.5 1 a\n0.4 1 b\n", "#\nnan 1 a\n"]
)
def test_bad_lab_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.lab"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.lab"):
        read_lab(path)


def test_shift_cuts_to_the_kept_stretch() -> None:
    labels = [Label(0.0, 1.0, "pau"), Label(1.0, 2.0, "a"), Label(2.0, 3.0, "pau")]
    assert shift(labels, 0.75, 2.5) == [
        Label(0.0, 0.25, "pau"),
        Label(0.25, 1.25, "a"),
        Label(1.25, 1.75, "pau"),
    ]
    assert shift(labels, 1.0, 2.0) == [Label(0.0, 1.0, "a")]


def test_neighbouring_silences_become_one_symbol() -> None:
    labels = [Label(0, 1, "sil"), Label(1, 2, "pau"), Label(2, 3, "a"), Label(3, 4, "a"), Label(4, 5, "")]
    assert symbols(labels) == [Label(0, 2, "pau"), Label(2, 3, "a"), Label(3, 4, "a"), Label(4, 5, "pau")]


def test_frames_round_each_boundary() -> None:
    labels = [Label(0, 0.024, "a"), Label(0.024, 0.061, "b"), Label(0.061, 0.1, "c")]
    assert frames(labels, 10, 0.01).tolist() == [2, 4, 4]


@given(st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=40), st.integers(0, 60))
def test_frames_are_positive_and_sum(steps: list[float], spare: int) -> None:
    ends = np.cumsum(steps)
    labels = [Label(0.0, float(e), "x") for e in ends]
    made = frames(labels, len(labels) + spare, 0.0116)
    assert made.min() >= 1 and made.sum() == len(labels) + spare


def test_more_labels_than_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        frames([Label(0, 1, "a")] * 3, 2, 0.01)
