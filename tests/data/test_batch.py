"""Opening prepared directories, tampering, durations, batches, merging."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from intona.data import Batch, Loader, Prepared, collate, write_durations
from intona.data.contours import track_pitch
from intona.data.merge import merge
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import SEALED, seal, verify
from intona.errors import UserError


@pytest.fixture()
def copy(prepared_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared_dir, tmp_path / "copy"))


def test_a_batch_is_its_items_padded(prepared: Prepared) -> None:
    items = prepared.items("train")[:4]
    batch = collate(prepared, items)
    assert isinstance(batch, Batch) and len(batch) == 4 and batch.ids == [i.id for i in items]
    assert batch.tokens.shape == (4, int(batch.token_lengths.max()))
    assert batch.mels.shape == (4, int(batch.mel_lengths.max()), 80) and batch.mels.dtype == torch.float32
    assert batch.durations is not None and batch.durations.sum(1).tolist() == batch.mel_lengths.tolist()
    for i, item in enumerate(items):
        n, t = len(item.phonemes), item.n_frames
        assert prepared.tokenizer.decode(batch.tokens[i, :n].tolist()) == item.phonemes
        assert (batch.tokens[i, n:] == prepared.tokenizer.pad_id).all() and (batch.mels[i, t:] == 0).all()
        assert np.array_equal(batch.mels[i, :t].numpy(), prepared.mel(item))
    moved = batch.to("meta")
    assert moved.mels.device.type == "meta" and moved.ids == batch.ids
    assert batch.frames == sum(i.n_frames for i in items)


def test_durations_are_absent_unless_all_are_there(copy: Path) -> None:
    prepared = Prepared.open(copy)
    items = prepared.items("train")[:2]
    write_durations(copy, {items[0].id: prepared.durations(items[0])}, "half")
    prepared = Prepared.open(copy)
    assert prepared.durations(items[1]) is None and prepared.durations_source == "half"
    assert collate(prepared, items).durations is None and collate(prepared, items[:1]).durations is not None
    (copy / "durations.arrow").unlink()
    assert Prepared.open(copy).durations(items[0]) is None


def test_wrong_durations_are_refused(copy: Path) -> None:
    prepared = Prepared.open(copy)
    item = prepared.items("train")[0]
    good = prepared.durations(item)
    assert good is not None
    for wrong, why in ((good[:-1], "values for"), (good + 1, "sum"), (good.astype(float), "whole numbers")):
        with pytest.raises(UserError, match=why):
            write_durations(copy, {item.id: wrong}, "x")
    with pytest.raises(UserError, match="unknown utterance"):
        write_durations(copy, {"nobody": good}, "x")
    assert np.array_equal(Prepared.open(copy).durations(item), good)


def test_the_loader_gives_each_item_once_an_epoch_and_resumes(prepared: Prepared) -> None:
    loader = Loader(prepared, "train", max_frames=1500, seed=3)
    seen = sorted(i for batch in loader.epoch() for i in batch.ids)
    assert seen == [i.id for i in prepared.items("train")]
    next(loader)
    state = loader.state_dict()
    json.dumps(state)
    ahead = [next(loader).ids for _ in range(8)]
    again = Loader(prepared, "train", max_frames=1500, seed=3)
    again.load_state_dict(state)
    assert [next(again).ids for _ in range(8)] == ahead
    longest = loader.longest()
    assert all(
        len(b) * b.mels.shape[1] <= longest.mels.shape[0] * longest.mels.shape[1] for b in loader.epoch()
    )


# The mels are checked by size only: reading them all at each start would cost minutes.
TAMPERED = [(f, n, how) for f in SEALED for n in SEALED[f] for how in ("missing", "cut", "changed")]
TAMPERED += [(f, n, how) for f, n in ((1, "mels.bin"), (2, "mels/00000.bin")) for how in ("missing", "cut")]


@pytest.mark.parametrize(("version", "name", "how"), TAMPERED)
def test_a_tampered_directory_is_refused(
    copy: Path, format_1, tmp_path: Path, version: int, name: str, how: str
) -> None:
    if version == 1:
        copy = format_1(copy, tmp_path / "copy-1")
    raw = (copy / name).read_bytes()
    if how == "missing":
        (copy / name).unlink()
    elif how == "cut":
        (copy / name).write_bytes(raw[:-3])
    else:
        (copy / name).write_bytes(bytes([raw[0] ^ 1]) + raw[1:])
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        Prepared.open(copy)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("splits.json", "[]"),
        ("splits.json", '{"train": 5}'),
        ("splits.json", '{"train": [[1]]}'),
        ("manifest.jsonl", '"id": [1], '),
        ("manifest.jsonl", '"phonemes": [1], '),
        ("manifest.jsonl", '"n_frames": 1.5, '),
        ("manifest.jsonl", '"words": [["a", 0, 1e999]], '),
        ("durations.jsonl", '{"id": [1], "durations": [1]}'),
        ("durations.jsonl", '{"id": "ID", "durations": [1, [2]]}'),
    ],
)
def test_rows_of_another_kind_are_refused(
    prepared_dir: Path, format_1, tmp_path: Path, name: str, text: str
) -> None:
    """With right checksums: as somebody else's tool may write them."""
    copy = format_1(prepared_dir, tmp_path / "copy")
    path = copy / name
    head, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if name == "manifest.jsonl":
        row = json.loads(head)
        row.update(json.loads("{" + text.rstrip(", ") + "}"))
        text = json.dumps(row).replace("Infinity", "1e999") + "\n" + "".join(rest)
    elif name == "durations.jsonl":
        text = head + text.replace("ID", json.loads(rest[0])["id"]) + "\n"
    path.write_text(text, encoding="utf-8")
    mark = json.loads((copy / "prepared.json").read_text())
    seal(copy, **{k: v for k, v in mark.items() if k not in ("format", "fingerprint", "sha256")})
    with pytest.raises(UserError, match=name):
        prepared = Prepared.open(copy)
        prepared.durations(prepared.items("train")[0])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "frames": "x"}', "\0"])
def test_a_damaged_mark_is_refused(copy: Path, text: str) -> None:
    (copy / "prepared.json").write_text(text)
    with pytest.raises(UserError, match="copy"):
        Prepared.open(copy)


def test_what_is_no_prepared_directory_says_so(tmp_path: Path, prepared: Prepared) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="make one with intona prepare"):
            Prepared.open(path)
    with pytest.raises(UserError, match='did you mean "train"'):
        prepared.items("trian")


def test_merge_joins_speakers_symbols_and_splits(prepared_dir: Path, tmp_path: Path, wav) -> None:
    root = tmp_path / "src"
    for i in range(5):
        wav(root / f"u{i}.wav", 1.0 + i / 10)
        (root / f"u{i}.lab").write_text("#\n0.1 1 pau\n0.6 1 XX\n9 1 a\n")
    (root / "metadata.csv").write_text(
        "".join(f"u{i}|слово {i}|ann\n" for i in range(5)) + "gone|слово|ann\n"
    )
    config = PrepareConfig(language="ru", phonemes="corpus", labels=str(root), workers=0)
    prepare("csv", root, tmp_path / "b", config)
    a, b = Prepared.open(prepared_dir), Prepared.open(tmp_path / "b")
    report = merge([prepared_dir, tmp_path / "b"], tmp_path / "m")
    m = Prepared.open(tmp_path / "m")
    assert len(m) == len(a) + len(b) and report.dropped == {"no labels": 1}
    assert m.speakers == ("ann", "festvox-ru-small")
    for name, part in (("ru", a), ("b", b)):
        for split in ("train", "dev", "test"):
            for item in part.items(split):
                other = m[f"{name}/{item.id}"]
                assert other in m.items(split) and m.speakers[other.speaker] == part.speakers[item.speaker]
                assert np.array_equal(m.mel(other), part.mel(item))
                assert np.array_equal(m.durations(other), part.durations(item))
                assert m.labels(other) == part.labels(item)
                assert m.audio_path(other).read_bytes() == part.audio_path(item).read_bytes()
                assert m.tokenizer.encode(other.phonemes).unknown == []
    with pytest.raises(UserError, match="is not empty"):
        merge([prepared_dir, tmp_path / "b"], tmp_path / "m")


@pytest.mark.parametrize("old", [False, True])
def test_merge_links_instead_of_copying(prepared_dir: Path, tmp_path: Path, format_1, old: bool) -> None:
    one = Path(shutil.copytree(prepared_dir, tmp_path / "one"))
    two = format_1(one, tmp_path / "two") if old else Path(shutil.copytree(prepared_dir, tmp_path / "two"))
    sources = [Prepared.open(two), Prepared.open(one)]  # not in the order of their names
    pitch = [track_pitch(s)[:] for s in sources]
    merge([two, one], tmp_path / "m")
    m = Prepared.open(tmp_path / "m")
    files = [path for s in sources for path in s.mels.paths]
    assert all(a.samefile(b) for a, b in zip(m.mels.paths, files, strict=True))
    assert all(m.audio_path(m[f"one/{i.id}"]).samefile(sources[1].audio_path(i)) for i in sources[1])
    assert [i.id for i in m] == sorted(i.id for i in m) and m.alignment
    assert np.array_equal(m.mels[:], np.concatenate([s.mels[:] for s in sources]))
    assert track_pitch(m).paths[0].samefile(track_pitch(sources[0]).paths[0])
    assert np.array_equal(track_pitch(m)[:], np.concatenate(pitch))
    assert verify(tmp_path / "m")
    before = m.mels[:].copy()
    prepare_again = Prepared.open(one)
    shutil.rmtree(one)
    shutil.rmtree(two)
    again = Prepared.open(tmp_path / "m")
    assert np.array_equal(again.mels[:], before) and len(again) == 2 * len(prepare_again)
    assert all(again.audio_path(i).is_file() for i in again)


def test_merge_refuses_what_does_not_fit(prepared_dir: Path, tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match="two or more"):
        merge([prepared_dir], tmp_path / "m")
    prepare("festvox", corpus, tmp_path / "b", PrepareConfig(language="ru", stress="marks", workers=0))
    with pytest.raises(UserError, match="made differently"):
        merge([prepared_dir, tmp_path / "b"], tmp_path / "m")
    assert not (tmp_path / "m").exists() and not list(tmp_path.glob(".m.*"))


def test_reading_prepared_data_needs_no_torch() -> None:
    code = "import sys, intona.data, intona.data.prepare, intona.data.merge; sys.exit('torch' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False
        ).returncode
        == 0
    )
