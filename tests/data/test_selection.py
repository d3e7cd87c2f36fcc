"""A limited preparation: its splits are parts of the whole corpus's."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona.data.corpora import BadLine, Record
from intona.data.finish import split_ids
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.data.selection import RecordSelection, of_kept, stand_ins
from intona.errors import UserError

HERE = Path(__file__)  # any file that exists stands for a recording
SPLITS = ("train", "dev", "test")
TEXT = "добрый день"


def records(n: int) -> list[Record | BadLine]:
    return [Record(id=f"u{i:04d}", audio=HERE, text="a", speaker="s") for i in range(n)]


def select(
    entries: list[Record | BadLine], limit: int | None, **how: Any
) -> tuple[list[Record | BadLine], dict[str, list[str]]]:
    selection = RecordSelection(lambda: entries, limit, **how)
    return list(selection), selection.splits


@given(n=st.integers(3, 700), share=st.floats(0.05, 1), dropped=st.sets(st.integers(0, 699)))
def test_parts_of_a_limited_corpus_are_parts_of_the_whole(n: int, share: float, dropped: set[int]) -> None:
    entries, limit = records(n), max(3, round(share * n))
    bad = {f"u{i:04d}" for i in dropped}
    whole, splits = select(entries, None)
    some, same = select(entries, limit)
    assert whole == entries and len(some) == min(limit, n) and same == splits
    assert [e.id for e in some] == sorted(e.id for e in some)  # as in the transcript
    ids = {e.id for e in some}
    taken = {name: ids & set(splits[name]) for name in SPLITS}
    alone = split_ids(ids, None, None)
    assert {name: len(part) for name, part in taken.items()} == {n: len(part) for n, part in alone.items()}
    # Recordings that are dropped on the way change nobody's split, as long as one is left in each.
    kept_whole = of_kept(splits, {e.id for e in whole} - bad)
    kept_some = of_kept(splits, ids - bad)
    if all(taken[name] - bad for name in SPLITS):
        assert all(set(kept_some[name]) <= set(kept_whole[name]) for name in SPLITS)


def test_missing_recordings_repeated_ids_and_bad_lines() -> None:
    there = records(30)
    missing: list[Record | BadLine] = [
        dataclasses.replace(e, id=f"m{e.id}", audio=HERE / "none")
        for e in records(300)
        if isinstance(e, Record)
    ]
    entries = [BadLine(id="line 1", reason="columns"), *missing, *there, there[0]]
    _, splits = select(entries, None)
    assert {i for part in splits.values() for i in part} == {e.id for e in there}
    some, _ = select(entries, 20)
    assert len(some) == 20 and isinstance(some[0], BadLine)
    assert select([BadLine(id="a", reason="b")], None)[1] == {n: [] for n in SPLITS}


def test_a_held_set_that_lost_all_gets_one_of_the_rest() -> None:
    splits = {"train": ["a", "b", "c"], "dev": ["d"], "test": ["e"]}
    parts = of_kept(splits, {"a", "b", "c", "d"})
    assert parts["dev"] == ["d"] and len(parts["test"]) == 1 and len(parts["train"]) == 2
    assert stand_ins(splits, parts) == [
        f"all recordings of test were dropped; {parts['test'][0]} of train replaces them"
    ]
    assert stand_ins(splits, splits) == []
    assert of_kept(splits, {"a"}) == {"train": ["a"], "dev": [], "test": []}


def test_a_limit_changes_nobodys_split(corpus: Path, tmp_path: Path) -> None:
    config = PrepareConfig(language="ru", phonemes="corpus", workers=0)
    prepare("festvox", corpus, tmp_path / "whole", config)
    whole = Prepared.open(tmp_path / "whole")
    parts = {i.id: name for name in SPLITS for i in whole.items(name)}
    for limit in (4, 6):
        prepare("festvox", corpus, tmp_path / f"{limit}", dataclasses.replace(config, limit=limit))
        some = Prepared.open(tmp_path / f"{limit}")
        assert sum(len(some.items(name)) for name in SPLITS) == limit
        assert all(parts[i.id] == name for name in SPLITS for i in some.items(name))
        assert some.items("dev") and some.items("test")


def test_nothing_left_to_train_on_is_refused(wav: Callable[..., Path], tmp_path: Path) -> None:
    src, ids = tmp_path / "src", ["a", "b", "c"]
    (trained,) = split_ids(ids, None, None)["train"]
    for id in ids:
        wav(src / "wavs" / f"{id}.wav", level=0.0 if id == trained else 0.2)
    (src / "metadata.csv").write_text("".join(f"wavs/{id}.wav|{TEXT}|s\n" for id in ids), encoding="utf-8")
    config = PrepareConfig(language="ru", stress="none", workers=0)
    with pytest.raises(UserError, match="is all of dev and test"):
        prepare("csv", src, tmp_path / "out", config)


def test_a_replaced_test_set_is_a_warning(wav: Callable[..., Path], tmp_path: Path) -> None:
    src, ids = tmp_path / "src", [f"wavs/{c}" for c in "abcde"]
    (tested,) = split_ids(ids, None, None)["test"]
    for id in ids:
        wav(src / f"{id}.wav", level=0.0 if id == tested else 0.2)
    (src / "metadata.csv").write_text("".join(f"{id}.wav|{TEXT}|s\n" for id in ids), encoding="utf-8")
    report = prepare("csv", src, tmp_path / "out", PrepareConfig(language="ru", stress="none", workers=0))
    (moved,) = Prepared.open(tmp_path / "out").items("test")
    assert report.warnings == [f"all recordings of test were dropped; {moved.id} of train replaces them"]
    assert f"all recordings of test were dropped; {moved.id}" in report.table()


@given(n=st.integers(3, 60), per=st.integers(1, 5), limit=st.integers(6, 40) | st.none())
def test_held_out_speakers_are_in_one_split(n: int, per: int, limit: int | None) -> None:
    entries: list[Record | BadLine] = [
        Record(id=f"u{i:03d}", audio=HERE, text="a", speaker=f"s{i % n}") for i in range(n * per)
    ]
    some, splits = select(entries, limit, hold_out="speakers")
    speaker = {e.id: e.speaker for e in entries if isinstance(e, Record)}
    names = {split: {speaker[id] for id in ids} for split, ids in splits.items()}
    assert sorted(i for ids in splits.values() for i in ids) == sorted(speaker)
    assert all(names.values()) and sum(map(len, names.values())) == n
    groups = split_ids([f"s{i}" for i in range(n)], None, None)
    assert {k: sorted(v) for k, v in names.items()} == groups
    assert len(some) <= min(limit or n * per, n * per)
    if limit is not None and limit < n * per:
        assert {e.id for e in some} & set(splits["dev"]) and {e.id for e in some} & set(splits["test"])


@given(n=st.integers(3, 40), per=st.integers(12, 20), limit=st.integers(6, 40) | st.none())
def test_held_out_speakers_beside_as_many_utterances_of_others(n: int, per: int, limit: int | None) -> None:
    entries: list[Record | BadLine] = [
        Record(id=f"u{i:04d}", audio=HERE, text="a", speaker=f"s{i % n}") for i in range(n * per)
    ]
    one_each = {"dev": 1, "test": 1}
    some, splits = select(entries, limit, hold_out="both", **one_each)
    alone = select(entries, None, hold_out="speakers", **one_each)[1]
    speaker = {e.id: e.speaker for e in entries if isinstance(e, Record)}
    trained = {speaker[id] for id in splits["train"]}
    assert sorted(i for ids in splits.values() for i in ids) == sorted(speaker)
    for name in ("dev", "test"):
        new = [id for id in splits[name] if speaker[id] not in trained]
        assert sorted(new) == alone[name] and len(new) == per
        assert len(splits[name]) == per + min(per, max(1, len(alone["train"]) // 10))
    assert len(some) <= (limit or n * per)


def test_two_speakers_cannot_be_held_out() -> None:
    with pytest.raises(UserError, match="2 speakers cannot be divided"):
        two = [Record(id=str(i), audio=HERE, text="a", speaker=str(i % 2)) for i in range(9)]
        RecordSelection(lambda: two, hold_out="speakers")
