"""Format 2 of prepared directories: the same corpus as format 1, in an index and shards."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from intona.data.index import BATCH, SCHEMA, ArrowWriter
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared, read_mark, seal, verify
from intona.data.shards import Shards, ShardWriter, link
from intona.errors import UserError

Format1 = Callable[[Path, Path], Path]
SPLITS = ("train", "dev", "test")


def test_both_formats_are_the_same_corpus(prepared_dir: Path, tmp_path: Path, format_1: Format1) -> None:
    old, new = Prepared.open(format_1(prepared_dir, tmp_path / "old")), Prepared.open(prepared_dir)
    assert old.fingerprint == new.fingerprint and old.alignment == new.alignment != ""
    assert list(old) == list(new) and len(old) == len(new) == 14
    for split in SPLITS:
        assert old.items(split) == new.items(split) == [new[i.id] for i in old.items(split)]
    for name in ("n_frames", "offsets", "speakers"):
        assert np.array_equal(getattr(old.index, name), getattr(new.index, name))
    for item in new:
        assert np.array_equal(old.mel_rows(item), new.mel_rows(item))
        assert np.array_equal(old.durations(item), new.durations(item))
        assert old.labels(item) == new.labels(item) and old.tokens(item) == new.tokens(item)
    rows = new.rows("train")[::2]
    for a, b in zip(old.index.tokens(rows), new.index.tokens(rows), strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_labels_are_read_one_line_at_a_time(prepared_dir: Path, tmp_path: Path) -> None:
    prepared = Prepared.open(shutil.copytree(prepared_dir, tmp_path / "p"))
    before = {i.id: prepared.labels(i) for i in prepared}
    path = prepared.root / "labels.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    other = '{"id": "unknown", "labels": [[0, 1, "a"]]}\n'
    path.write_text("".join([*reversed(lines[2:]), other]), encoding="utf-8")  # without order, and two fewer
    again = Prepared.open(prepared.root)
    after = {i.id: again.labels(i) for i in again}
    missing = [json.loads(line)["id"] for line in lines[:2]]
    assert after == before | dict.fromkeys(missing) and all(before.values())
    path.unlink()
    assert not any(Prepared.open(prepared.root).labels(i) for i in prepared)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"id": "a"}',
        '{"id": 3, "labels": []}',
        '{"id": "a", "labels": [[0, "b", "c"]]}',
        "[" * 9999,
    ],
)
def test_a_damaged_line_of_labels_is_named(prepared_dir: Path, tmp_path: Path, line: str) -> None:
    prepared = Prepared.open(shutil.copytree(prepared_dir, tmp_path / "p"))
    with open(prepared.root / "labels.jsonl", "a", encoding="utf-8") as f:
        f.write(line + "\n")
    with pytest.raises(UserError, match=r"labels\.jsonl: line 15 is not valid"):
        prepared.labels(prepared.items("train")[0])


def test_format_1_needs_no_pyarrow(prepared_dir: Path, tmp_path: Path, format_1: Format1) -> None:
    old = format_1(prepared_dir, tmp_path / "old")
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from intona.data import Prepared; p = Prepared.open(sys.argv[1])\n"
        "assert len([p.durations(i) for i in p]) == 14"
    )
    subprocess.run([sys.executable, "-c", code, str(old)], check=True)


@pytest.mark.parametrize("id", ["", "ru_0000", "zzz", "ru_", "\U0010ffff"])
def test_an_unknown_id_is_an_error(prepared: Prepared, id: str) -> None:
    assert prepared.index.find(id) is None
    with pytest.raises(UserError, match="unknown utterance"):
        prepared[id]


def test_items_are_a_lazy_sequence(prepared: Prepared) -> None:
    items = prepared.items("train")
    assert items[-1] == items[len(items) - 1] and list(items[2:4]) == [items[2], items[3]]
    assert items[3] in items and items != items[1:] and items[0].name == items[0].id
    with pytest.raises(IndexError):
        items[len(items)]


def test_mels_in_several_files(
    tmp_path: Path, corpus: Path, prepared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = lambda root, row_bytes, limit: ShardWriter(root, row_bytes=row_bytes, limit=300_000)  # noqa: E731
    monkeypatch.setattr("intona.data.journal.ShardWriter", small)
    config = PrepareConfig(language="ru", phonemes="corpus", workers=0)
    prepare("festvox", corpus, tmp_path / "small", config)
    one, several = Prepared.open(prepared_dir), Prepared.open(tmp_path / "small")
    assert len(several.mels.paths) > 1 and one.fingerprint == several.fingerprint
    assert all(p.stat().st_size <= 300_000 for p in several.mels.paths)
    assert np.array_equal(one.mels[:], several.mels[:])
    assert all(
        np.array_equal(one.mel_rows(a), several.mel_rows(b)) for a, b in zip(one, several, strict=True)
    )
    assert "mels/00000.bin" in verify(tmp_path / "small")
    with open(tmp_path / "small" / "mels" / "00001.bin", "r+b") as f:
        f.write(b"\xff" * 4)
    Prepared.open(tmp_path / "small")
    with pytest.raises(UserError, match=r"00001\.bin: altered"):
        verify(tmp_path / "small")


def test_an_interrupted_writer_continues_with_the_same_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lengths = [3, 9, 1, 30, 4, 4, 2, 11]
    rows = [rng.normal(size=(n, 2)).astype(np.float16) for n in lengths]

    def write(root: Path, stop: int, resume: int) -> dict[str, bytes]:
        root.mkdir()
        writer = ShardWriter(root, row_bytes=4, limit=48)
        writer.start()
        for part in rows[:stop]:
            writer.append(part)
        writer.close()
        again = ShardWriter(root, row_bytes=4, limit=48)
        assert all(again.recall(n) for n in lengths[:resume])
        again.start()
        for part in rows[resume:]:
            again.append(part)
        again.close()
        shards = Shards([(root / name, n) for name, n in again.sizes()], width=2)
        assert np.array_equal(shards[:], np.concatenate(rows))
        return {p.name: p.read_bytes() for p in sorted((root / "mels").iterdir())}

    whole = write(tmp_path / "whole", 0, 0)
    assert len(whole) == 5
    for stop in range(1, 9):
        for resume in {stop, stop - 1, 0}:
            assert write(tmp_path / f"{stop}-{resume}", stop, resume) == whole


def test_frames_across_files(tmp_path: Path) -> None:
    parts = [np.full((n, 3), n, np.float16) for n in (2, 5, 1)]
    for k, part in enumerate(parts):
        part.tofile(tmp_path / f"{k}.bin")
    shards = Shards([(tmp_path / f"{k}.bin", len(p)) for k, p in enumerate(parts)], width=3)
    whole = np.concatenate(parts)
    for first in range(9):
        for last in range(9):
            assert np.array_equal(shards[first:last], whole[first:last])
    some = np.array([[7, 0, 3], [3, 2, 6]])
    assert np.array_equal(shards.gather(some), whole[some])


def test_a_link_to_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_nlink == 2

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    link(tmp_path / "b", tmp_path / "c")
    assert (tmp_path / "c").is_symlink() and (tmp_path / "c").read_text() == "x"


def _replace(root: Path, change: Callable[[list[dict]], object], schema: pa.Schema = SCHEMA) -> None:
    """Another index with right checksums."""
    with pa.OSFile(str(root / "index.arrow")) as f:
        rows = pa.ipc.open_file(f).read_all().to_pylist()
    change(rows)
    writer = ArrowWriter(root / "index.arrow", schema)
    for row in rows:
        writer.add(row)
    writer.close()
    mark = read_mark(root)
    kept = {k: v for k, v in mark.items() if k not in ("format", "fingerprint", "sha256")}
    (root / "prepared.json").unlink()
    seal(root, **kept)


CHANGES = {
    "order": lambda rows: rows.reverse(),
    "twice": lambda rows: rows[1].update(id=rows[0]["id"]),
    "symbol": lambda rows: rows[0]["phonemes"].append(60000),
    "empty": lambda rows: rows[0].update(phonemes=[]),
    "words": lambda rows: rows[0].update(words=["a"], word_starts=[0], word_ends=[]),
    "frames": lambda rows: rows[3].update(n_frames=10**6),
    "below": lambda rows: rows[3].update(offset=-1),
    "speaker": lambda rows: rows[3].update(speaker=9),
    "split": lambda rows: rows[3].update(split=3),
    "file": lambda rows: rows[3].update(file="../../etc/passwd"),
    "dots": lambda rows: rows[3].update(file=".."),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_index_of_somebody_else_is_examined(prepared_dir: Path, tmp_path: Path, name: str) -> None:
    import shutil

    copy = Path(shutil.copytree(prepared_dir, tmp_path / "copy"))
    _replace(copy, lambda rows: None)
    assert len(Prepared.open(copy)) == 14
    _replace(copy, CHANGES[name])
    with pytest.raises(UserError, match=r"index\.arrow"):
        Prepared.open(copy)


@pytest.mark.parametrize(
    "shards",
    [[], "x", [["../mels.bin", 1]], [["mels/00000.bin", 0]], [["mels/00000.bin", 5]], [["/etc/x.bin", 7000]]],
)
def test_shards_that_are_none_are_refused(prepared_dir: Path, tmp_path: Path, shards: object) -> None:
    mark = json.loads((prepared_dir / "prepared.json").read_text())
    (tmp_path / "prepared.json").write_text(json.dumps({**mark, "shards": shards}))
    with pytest.raises(UserError, match='"shards"'):
        read_mark(tmp_path)


def test_a_corpus_of_several_batches(tmp_path: Path) -> None:
    """Rows on both sides of an edge between batches, as far as an index alone can show."""
    from intona.data.index import ArrowIndex, write_durations
    from intona.text import PhonemeTokenizer

    tokenizer = PhonemeTokenizer.build([["a", "b"]])
    n = BATCH + 5
    writer = ArrowWriter(tmp_path / "index.arrow", SCHEMA)
    for k in range(n):
        row = {"id": f"u{k:06d}", "text": f"t{k}", "normalized": "n", "speaker": 0, "language": "xx"}
        row |= {"phonemes": [2, 3][: 1 + k % 2], "words": ["w"], "word_starts": [0], "word_ends": [1]}
        row |= {"n_frames": 2, "offset": 2 * k, "seconds": 0.1, "file": f"{k}.flac", "split": k % 3}
        writer.add(row)
    writer.close()
    rows = ((f"u{k:06d}", ([2], [1, 1])[k % 2] if k % 5 else []) for k in range(n))
    write_durations(tmp_path / "durations.arrow", rows, source="x", fingerprint="y")
    index = ArrowIndex(tmp_path, tokenizer, n_speakers=1, frames=2 * n, hint="")
    for k in (0, 1, BATCH - 1, BATCH, n - 1):
        assert index.find(f"u{k:06d}") == k and index.item(k).text == f"t{k}"
        assert (index.durations(k) is None) == (k % 5 == 0)
    index.load_durations()
    assert index.durations_source == "x" and index.rows("dev").tolist() == list(range(1, n, 3))
    some = np.arange(3, n, 7)
    got = list(index.tokens(some))
    assert np.concatenate([at for at, _, _ in got]).tolist() == list(range(len(some)))
    assert np.concatenate([c for _, c, _ in got]).tolist() == (1 + some % 2).tolist()
    flat = [t for k in some.tolist() for t in [2, 3][: 1 + k % 2]]
    assert np.concatenate([t for _, _, t in got]).tolist() == flat
    accessed = copy.deepcopy(index)  # of one that has been read from
    assert accessed.item(3) == index.item(3) and accessed.durations(1) is not None and len(accessed) == n
