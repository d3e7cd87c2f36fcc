"""Phone alignments made elsewhere: formats, damage, shifting, frames."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import parselmouth
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parselmouth.praat import call, run

from intona.data.labels import (
    Label,
    frames,
    is_silence,
    read_lab,
    read_labels,
    read_textgrid,
    shift,
    symbols,
)
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
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


def praat_tiers(path: Path) -> dict[str, list[Label]]:
    """The interval tiers of a file as Praat itself reads them."""
    grid = parselmouth.Data.read(str(path))
    tiers = {}
    for tier in range(1, int(call(grid, "Get number of tiers")) + 1):
        if call(grid, "Is interval tier", tier):
            tiers[call(grid, "Get tier name", tier)] = [
                Label(
                    call(grid, "Get start time of interval", tier, i),
                    call(grid, "Get end time of interval", tier, i),
                    call(grid, "Get label of interval", tier, i),
                )
                for i in range(1, int(call(grid, "Get number of intervals", tier)) + 1)
            ]
    return tiers


@pytest.mark.parametrize("form", ["Save as text file", "Save as short text file"])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_what_praat_writes_is_read_as_praat_reads_it(tmp_path: Path, form: str, encoding: str) -> None:
    grid = call("Create TextGrid", 0.0, 2.25, "phones words marks", "marks")
    for tier, edges in ((1, (0.4, 0.9, 1.0, 1.7)), (2, (0.4, 1.7))):
        for edge in edges:
            call(grid, "Insert boundary", tier, edge)
    for i, label in enumerate(("<p:>", "aɪ", 'say ""hi"" ! 3', "ё <exists> 7", ""), 1):
        call(grid, "Set interval text", 1, i, label)
    call(grid, "Set interval text", 2, 2, "привет = 5")
    call(grid, "Insert point", 3, 0.7, "! 1 2")
    path = tmp_path / "a.TextGrid"
    run(f'Text writing preferences: "{encoding}"')
    try:
        call(grid, form, str(path))
    finally:
        run('Text writing preferences: "try ASCII, then UTF-16"')
    assert path.read_bytes().startswith(b"\xfe\xff") == (encoding == "UTF-16")
    tiers = read_textgrid(path)
    assert tiers == praat_tiers(path)
    assert [x.label for x in tiers["phones"]] == ["<p:>", "aɪ", 'say ""hi"" ! 3', "ё <exists> 7", ""]


COMMENTED = """"ooTextFile" ! not "a" short one
"TextGrid"   ! what 3 it is
0 1.5 ! the "time" domain, 7
<exists> ! <absent> 5
2 tiers, no! 9 fewer
"IntervalTier" "phones" ! type and "name"
0 1.5
3 intervals coming ! 4
0 0.5! half
"a" ! 1 2
0.5 0.7 "b""!
c" ! "d"
0.7 1.5 "<p:>"
"TextTier" "marks" 0 1.5 1 point: 0.7 "!"
! 1
"""


def test_comments_are_left_out_as_praat_leaves_them_out(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    text = COMMENTED.replace("2 tiers, no! 9 fewer", "2 tiers, no!wonder")
    path.write_text(text, encoding="utf-8")
    expected = [Label(0, 0.5, "a"), Label(0.5, 0.7, 'b"!\nc'), Label(0.7, 1.5, "<p:>")]
    assert read_textgrid(path) == praat_tiers(path) == {"phones": expected}


def test_a_binary_textgrid_says_how_to_save_it(tmp_path: Path) -> None:
    grid = call("Create TextGrid", 0.0, 1.0, "phones", "")
    path = tmp_path / "a.TextGrid"
    call(grid, "Save as binary file", str(path))
    with pytest.raises(UserError, match=r"a binary TextGrid.*text file"):
        read_textgrid(path)


@pytest.mark.parametrize("text", [LONG, SHORT])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("intervals: size = 2", "intervals: size = 3"), 'tier "words" declares 3 intervals and holds 2'),
        (("intervals: size = 2", "intervals: size = 1"), 'tier "words" declares 1 intervals and holds 2'),
        (("points: size = 1", "points: size = 2"), 'tier "marks" declares 2 points and holds 1'),
        (("size = 3\n", "size = 2\n"), "declares 2 tiers and holds 3"),
        (("size = 3\n", "size = 4\n"), "declares 4 tiers and holds 3"),
    ],
)
def test_a_size_that_is_not_true_is_refused(
    tmp_path: Path, text: str, change: tuple[str, str], message: str
) -> None:
    old, new = change
    if text is SHORT:  # the same numbers, without the words that say what they are
        places = {"intervals: size = 2": '"words"\n0\n1.5\n2\n', "points: size = 1": '"marks"\n0\n1.5\n1\n'}
        old = places.get(old, "<exists>\n3\n")
        new = old[:-2] + new.strip()[-1] + "\n"
    assert old in text
    path = tmp_path / "a.TextGrid"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError, match=rf"a\.TextGrid: {message}"):
        read_textgrid(path)


def test_the_last_interval_that_is_cut_off_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text(SHORT.removesuffix('0.5\n1.5\n"aɪ"\n'), encoding="utf-8")
    with pytest.raises(UserError, match='tier "phones" declares 2 intervals and holds 1'):
        read_textgrid(path)


def test_gaps_are_silence(tmp_path: Path) -> None:
    head = '"ooTextFile"\n"TextGrid"\n0 2 <exists> 1\n"IntervalTier" "phones" 0 2 4\n'
    rows = '0.1 0.5 "a" 0.8 1.0 "b" 1.001 1.2 "c" 1.2 1.5 "d"\n'
    path = tmp_path / "a.TextGrid"
    path.write_text(head + rows)
    labels = read_labels(path)
    assert labels == [
        Label(0, 0.1, ""),
        Label(0.1, 0.5, "a"),
        Label(0.5, 0.8, ""),
        Label(0.8, 1.001, "b"),  # a millisecond is the rounding of another program
        Label(1.001, 1.2, "c"),
        Label(1.2, 1.5, "d"),
        Label(1.5, 2, ""),
    ]
    assert [x.label for x in symbols(labels)] == ["pau", "a", "pau", "b", "c", "d", "pau"]


def test_an_empty_tier_has_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.TextGrid"
    path.write_text('"ooTextFile" "TextGrid" 0 2 <exists> 1 "IntervalTier" "phones" 0 2 0\n')
    with pytest.raises(UserError, match="holds no label of a sound"):
        read_labels(path)


@pytest.mark.parametrize(
    "label",
    ["", " ", "sil", "<sil>", "SIL", "sp", "sp1", "SP2", "spn", "pau", "Pau", "_", "silence", "<p:>", "<P:>"],
)
def test_the_usual_names_of_silence(label: str) -> None:
    assert is_silence(label)
    assert symbols([Label(0, 1, "a"), Label(1, 2, label)])[1].label == "pau"


@pytest.mark.parametrize("label", ["a", "s", "p", "p:", "@", "{", "?", "1", "spa", "ʔ", "ə1", "SH"])
def test_sounds_are_no_silence(label: str) -> None:
    assert not is_silence(label)


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


def test_a_corpus_labelled_with_gaps_is_prepared_as_with_pauses(tmp_path: Path, corpus: Path) -> None:
    """The real labels as TextGrids that leave every pause out: the same symbols last as long."""
    for path in (corpus / "lab").iterdir():
        labels = read_lab(path)
        kept = [x for x in labels if not is_silence(x.label)]
        end = labels[-1].end
        head = f'"ooTextFile" "TextGrid" 0 {end} <exists> 1 "IntervalTier" "phones" 0 {end}'
        rows = "\n".join(f'{x.start} {x.end} "{x.label}"' for x in kept)
        (tmp_path / f"{path.stem}.TextGrid").write_text(f"{head} {len(kept)}\n{rows}\n")
    config = PrepareConfig(language="ru", phonemes="corpus", workers=0, limit=5)
    prepared = []
    for name, folder in (("pauses", None), ("gaps", str(tmp_path))):
        prepare("festvox", corpus, tmp_path / name, dataclasses.replace(config, labels=folder))
        prepared.append(Prepared.open(tmp_path / name))
    assert sum("pau" in item.phonemes[1:-1] for item in prepared[0]) >= 2
    for a, b in zip(*prepared, strict=True):
        assert a.phonemes == b.phonemes
        ours, theirs = prepared[0].durations(a), prepared[1].durations(b)
        assert ours is not None and theirs is not None and np.array_equal(ours, theirs)
