"""A corpus that `intona prepare` refused is mended, and the same command works."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from intona.cli.prepare import main
from intona.data.prepared import Prepared, write_durations
from intona.data.report import PrepareReport
from intona.errors import UserError

TEXTS = {f"u{i}": text for i, text in enumerate(("Привет, мир!", "Доброе утро.", "Это дом.", "Снег идёт."))}
MENDED = "".join(f"{id}|{text}|аня\n" for id, text in TEXTS.items())


@pytest.fixture
def tree(tmp_path: Path, wav: Callable[..., Path]) -> Path:
    for id in TEXTS:
        wav(tmp_path / "corpus" / "wavs" / f"{id}.wav", 0.9)
    return tmp_path


def run(tree: Path, *extra: str) -> Prepared:
    main(["csv", str(tree / "corpus"), str(tree / "out"), "--workers", "0", "--stress", "marks", *extra])
    return Prepared.open(tree / "out")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (MENDED.replace("|аня", "|лишнее|аня"), r"metadata\.csv:1: bad line, 4 fields, expected id\|text"),
        ("".join(f"{id}|аня|{text}\n" for id, text in TEXTS.items()), "are the columns swapped"),
        (MENDED.splitlines()[0] + "\nu1\nu2\nu3 Снег\n", "3 of 4 recordings would be dropped: bad line"),
        (MENDED.replace("u", "x"), r"nothing is left of the corpus: missing \(4\); first x0"),
        (MENDED.replace("u", "../u"), "refused path"),
    ],
)
def test_a_mended_table(tree: Path, table: str, message: str) -> None:
    path = tree / "corpus" / "metadata.csv"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        run(tree, "--language", "ru")
    path.write_text(MENDED, encoding="utf-8")
    prepared = run(tree, "--language", "ru")
    assert {item.id: item.text for item in prepared} == TEXTS
    assert (tree / "out" / "rejected.jsonl").read_text() == ""


def test_the_next_command_depends_on_the_durations(
    tree: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "corpus" / "metadata.csv").write_text(MENDED, encoding="utf-8")
    run(tree, "--language", "ru")
    assert "next: intona align" in capsys.readouterr().err
    options = ["--language", "ru", "--phonemes", "corpus", "--workers", "0", "--limit", "4"]
    main(["festvox", str(corpus), str(tree / "aligned"), *options])
    assert "next: intona train" in capsys.readouterr().err


def test_recordings_that_were_added(tree: Path) -> None:
    """The table is the same, and so is its fingerprint: the recordings are looked for again."""
    (tree / "corpus" / "metadata.csv").write_text(MENDED, encoding="utf-8")
    (tree / "corpus" / "wavs").rename(tree / "later")
    with pytest.raises(UserError, match=r"missing \(4\)"):
        run(tree, "--language", "ru")
    (tree / "later").rename(tree / "corpus" / "wavs")
    assert len(run(tree, "--language", "ru")) == len(TEXTS)


def test_an_option_that_was_added(tree: Path) -> None:
    (tree / "corpus" / "metadata.csv").write_text(MENDED, encoding="utf-8")
    with pytest.raises(UserError, match="add --language"):
        run(tree)
    assert len(run(tree, "--language", "ru")) == len(TEXTS)


def test_a_raised_limit_takes_what_was_done(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "corpus" / "metadata.csv").write_text(MENDED, encoding="utf-8")
    for id in ("u1", "u2", "u3"):
        (tree / "corpus" / "wavs" / f"{id}.wav").unlink()
    with pytest.raises(UserError, match="3 of 4 recordings would be dropped"):
        run(tree, "--language", "ru")
    monkeypatch.setattr("intona.data.workers.clean", lambda *a: pytest.fail("cleaned again"))
    assert [item.id for item in run(tree, "--language", "ru", "--max-dropped", "0.8")] == ["u0"]
    rows = (tree / "out" / "rejected.jsonl").read_text().splitlines()
    assert [json.loads(row)["reason"] for row in rows] == ["missing"] * 3


def test_a_line_that_was_mended_after_the_rest_was_prepared(tree: Path) -> None:
    path = tree / "corpus" / "metadata.csv"
    path.write_text(MENDED.replace("u1|", "u1"), encoding="utf-8")
    assert len(run(tree, "--language", "ru")) == 3
    path.write_text(MENDED, encoding="utf-8")
    assert {item.id: item.text for item in run(tree, "--language", "ru")} == TEXTS
    # A table that was whole is not prepared into the same directory again, whatever is changed in it.
    path.write_text(MENDED.replace("дом", "сад"), encoding="utf-8")
    with pytest.raises(UserError, match="prepared otherwise"):
        run(tree, "--language", "ru")


@pytest.mark.parametrize("added", ["durations", "notes.txt", "an option", "another corpus"])
def test_what_was_added_to_a_finished_directory_is_kept(tree: Path, added: str) -> None:
    path = tree / "corpus" / "metadata.csv"
    path.write_text(MENDED.replace("u1|", "u1"), encoding="utf-8")
    prepared = run(tree, "--language", "ru")
    if added == "durations":
        one = {item.id: [item.n_frames] + [0] * (len(item.phonemes) - 1) for item in prepared}
        write_durations(tree / "out", one, "intona align")
    elif added == "notes.txt":
        (tree / "out" / added).write_text("mine")
    before = {p.name: p.stat().st_mtime_ns for p in (tree / "out").iterdir()}
    path.write_text(MENDED.replace("u2|", "v2|") if added == "another corpus" else MENDED, encoding="utf-8")
    with pytest.raises(UserError, match="prepared otherwise"):
        run(tree, "--language", "ru", *(("--dev", "0") if added == "an option" else ()))
    assert {p.name: p.stat().st_mtime_ns for p in (tree / "out").iterdir()} == before


def test_a_split_that_does_not_fit_is_mended(tree: Path) -> None:
    (tree / "corpus" / "metadata.csv").write_text(MENDED, encoding="utf-8")
    with pytest.raises(UserError, match="leave none to train on"):
        run(tree, "--language", "ru", "--dev", "9")
    assert len(run(tree, "--language", "ru", "--dev", "1")) == len(TEXTS)


def test_labels_that_were_mended(tree: Path) -> None:
    (tree / "corpus" / "metadata.csv").write_text(MENDED, encoding="utf-8")
    (tree / "labels").mkdir()
    path = tree / "labels" / "u0.TextGrid"
    grid = '"ooTextFile" "TextGrid" 0 0.9 <exists> 1 "IntervalTier" "phones" 0 0.9 {} 0 0.4 "a" 0.4 0.9 "b"'
    path.write_text(grid.format(3))
    options = ("--language", "ru", "--labels", str(tree / "labels"))
    assert run(tree, *options).labels(run(tree, *options)["u0"]) is None
    assert "declares 3 intervals and holds 2" in PrepareReport.load(tree / "out").warnings[0]
    sealed = (tree / "out" / "prepared.json").stat().st_mtime_ns
    path.write_text(grid.format(2))
    os.utime(path, ns=(sealed + 10**9, sealed + 10**9))
    prepared = run(tree, *options)
    assert [x.label for x in prepared.labels(prepared["u0"]) or ()] == ["a", "b"]
    assert PrepareReport.load(tree / "out").warnings == []
