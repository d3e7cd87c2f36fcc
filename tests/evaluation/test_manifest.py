"""The list of utterances: what is refused, and what its hash covers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from intona.config import read_json
from intona.errors import UserError
from intona.evaluation import Manifest, Row, read_manifest, write_manifest


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_both_forms_are_one_manifest(tmp_path: Path) -> None:
    rows = (Row(id="a", text="раз, два", speaker="s1"), Row(id="b", text="три", speaker="s2"))
    manifest = Manifest(rows=rows)
    for name in ("m.csv", "m.jsonl"):
        write_manifest(tmp_path / name, manifest)
        assert read_manifest(tmp_path / name) == manifest
        assert read_manifest(tmp_path / name).sha256 == manifest.sha256


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    manifest = Manifest(
        rows=(Row(id="a", text="раз\u2028два\u2029три\x85четыре\x0cпять"), Row(id="b", text="шесть"))
    )
    for name in ("m.csv", "m.jsonl"):
        write_manifest(tmp_path / name, manifest)
        assert read_manifest(tmp_path / name) == manifest
    (tmp_path / "dos.csv").write_bytes("a|раз\r\nb|два\r\n".encode())
    assert [r.text for r in read_manifest(tmp_path / "dos.csv").rows] == ["раз", "два"]
    with pytest.raises(UserError, match=r"^\S+dos.csv, line 3: 1 fields"):
        read_manifest(_write(tmp_path / "dos.csv", "a|раз\x0c\nb|два\nc\n"))


def test_header_names_columns_in_any_order(tmp_path: Path) -> None:
    path = _write(tmp_path / "m.csv", "speaker|text|id\nann|привет|x1\n")
    assert read_manifest(path).rows == (Row(id="x1", text="привет", speaker="ann"),)


def test_speaker_may_be_left_out(tmp_path: Path) -> None:
    assert read_manifest(_write(tmp_path / "m.csv", "x1|привет\n")).rows[0].speaker == ""


def test_a_text_is_not_cut_at_a_pipe(tmp_path: Path) -> None:
    rows = "a|раз\nb|два\nc|три | четыре\n"
    with pytest.raises(UserError, match=r"line 3: 3 fields where most lines have 2"):
        read_manifest(_write(tmp_path / "m.csv", rows))
    assert read_manifest(_write(tmp_path / "m.csv", "a|раз|x\nb|два\n")).rows[0].speaker == "x"


@pytest.mark.parametrize("field", ["id", "text", "speaker"])
def test_hash_covers_every_field_and_the_order(field: str) -> None:
    base = {"id": "a", "text": "раз", "speaker": "s"}
    second = Row(id="b", text="два")
    one = Manifest(rows=(Row(**base), second))
    other = Manifest(rows=(Row(**{**base, field: base[field] + "х"}), second))
    assert len({one.sha256, other.sha256, Manifest(rows=one.rows[::-1]).sha256}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a|раз\nb|два\na|три\n", r'id "a" is in rows 1 and 3'),
        ("a|раз\nA|два\n", r'id "A" is in rows 1 and 2'),
        ("a|раз\nb|\n", r'"b" has no words'),
        ("a|раз\nb|…!\n", r'"b" has no words'),
        ("../a|раз\n", "not a plain file name"),
        ("a\x1b[2J|раз\n", "cannot be printed"),
        ("я" * 101 + "|раз\n", "longer than 200 bytes"),
        ("a\n", "1 fields"),
        ("a|b|c|d\n", "4 fields"),
        ("", "lists no utterances"),
        ("id|text|speaker\n", "lists no utterances"),
    ],
)
def test_bad_csv_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path / "m.csv", text)
    with pytest.raises(UserError, match=message) as caught:
        read_manifest(path)
    assert "m.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        json.dumps({"id": "a"}),
        json.dumps({"id": 1, "text": "x"}),
        "[" * 100_000,
        r'{"id": "a", "text": "x \ud800"}',
    ],
)
def test_bad_jsonl_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match=r"(line|row) 1"):
        read_manifest(_write(tmp_path / "m.jsonl", line + "\n"))


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("a|привет\n".encode("koi8-r"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_manifest(tmp_path / "latin.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for read in (read_manifest, read_json):
        with pytest.raises(UserError, match="not a plain file"):
            read(tmp_path / "pipe.csv")
        with pytest.raises(UserError, match="null byte"):
            read(Path("a\0b"))
        with pytest.raises(UserError, match="not a plain file"):
            read(Path("/dev/zero"))


def test_optional_columns_belong_to_their_row_and_not_to_the_hash(tmp_path: Path) -> None:
    """A prompt or a length says how a row is synthesized, not what is judged."""
    plain = read_manifest(_write(tmp_path / "p.csv", "a|раз\nb|два\n"))
    first = '{"id": "a", "text": "раз", "length": 1.5, "prompt": " p ", "language": ""}'
    jsonl = first + '\n{"id": "b", "text": "два"}\n'
    csv = "id|text|prompt|length|note\na|раз|p|1.5|x\nb|два|||\n"
    for path in (_write(tmp_path / "m.jsonl", jsonl), _write(tmp_path / "m.csv", csv)):
        manifest = read_manifest(path)
        assert [dict(row.more) for row in manifest.rows] == [{"prompt": "p", "length": "1.5"}, {}]
        assert manifest == plain and manifest.sha256 == plain.sha256
        assert hash(manifest.rows[0]) == hash(plain.rows[0])
    with pytest.raises(UserError, match=r'm.jsonl, line 1: "length" of "a" is neither text nor a number'):
        read_manifest(_write(tmp_path / "m.jsonl", '{"id": "a", "text": "раз", "length": [1]}\n'))
