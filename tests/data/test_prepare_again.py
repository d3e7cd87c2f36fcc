"""A corpus that `intona prepare` refused is mended, and the same command works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from intona.cli.prepare import main
from intona.data.prepared import Prepared
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
