"""Layouts of archives, manifests and tables, made of festvox-ru by the packages that define them."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from intona.data.corpora import BadLine, Record, read_corpus
from intona.data.excerpt import Excerpt, extracted
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.errors import UserError

Utterance = tuple[str, Path, str]


@pytest.fixture(scope="module")
def three() -> list[Utterance]:
    """Id, recording and text of three utterances."""
    root = Path(__file__).parents[1] / "assets" / "festvox-ru-small"
    records = [r for r in read_corpus("festvox", root) if isinstance(r, Record)]
    return [(r.id, r.audio, r.text) for r in records[:3]]


def read(layout: str, root: Path) -> tuple[list[Record], list[BadLine]]:
    entries = list(read_corpus(layout, root))
    return [e for e in entries if isinstance(e, Record)], [e for e in entries if isinstance(e, BadLine)]


def sound(record: Record) -> np.ndarray:
    with extracted(record.audio, record.excerpt) as path:
        return soundfile.read(path, dtype="float32")[0]


def same(records: list[Record], three: list[Utterance]) -> None:
    assert [(r.id, r.text) for r in records] == [(id, text) for id, _, text in three]
    for record, (_, audio, _) in zip(records, three, strict=True):
        np.testing.assert_allclose(sound(record), soundfile.read(audio, dtype="float32")[0], atol=2e-4)


def tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as out:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def test_webdataset_tars(tmp_path: Path, three: list[Utterance]) -> None:
    webdataset = pytest.importorskip("webdataset")
    for number, part in enumerate((three[:2], three[2:])):
        with webdataset.TarWriter(str(tmp_path / f"{number:06d}.tar")) as writer:
            for id, audio, text in part:
                fields = {"text": text, "speaker": "аня", "language": "Russian"}
                writer.write({"__key__": id, "wav": audio.read_bytes(), "json": fields})
    good, bad = read("webdataset", tmp_path)
    same(good, three)
    assert not bad and {(r.speaker, r.language) for r in good} == {("аня", "ru")}
    assert (
        prepare("webdataset", tmp_path, tmp_path / "out", PrepareConfig(stress="marks", workers=0)).kept == 3
    )
    assert Prepared.open(tmp_path / "out")[three[0][0]].text == three[0][2]


def test_what_is_wrong_in_a_tar_is_listed(tmp_path: Path, three: list[Utterance]) -> None:
    wav = three[0][1].read_bytes()
    path = tar(
        tmp_path / "a.tar",
        [
            ("good.txt", "Привет".encode()),
            ("good.wav", wav),
            ("silent.txt", b"text"),
            ("mute.wav", wav),
            ("../../up.wav", wav),
            ("../../up.txt", b"text"),
            ("broken.wav", wav),
            ("broken.json", b"[1]"),
            ("latin.wav", wav),
            ("latin.txt", b"\xff\xfe\xfa"),
        ],
    )
    with tarfile.open(path, "a") as out:
        link = tarfile.TarInfo("link.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        out.addfile(link)
        huge = tarfile.TarInfo("huge.txt")
        huge.size = 5 << 20
        out.addfile(huge, io.BytesIO(bytes(huge.size)))
    good, bad = read("webdataset", tmp_path)
    assert [r.id for r in good] == ["good"] and good[0].text == "Привет"
    assert [(b.id, b.reason) for b in bad] == [
        ("silent", "missing"),
        ("mute", "no text"),
        ("../../up", "bad member"),
        ("broken", "bad member"),
        ("latin", "bad member"),
        ("link", "bad member"),
        ("huge", "bad member"),
    ]


def test_tars_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match=r"holds no \*\.tar"):
        read("webdataset", tmp_path)
    (tmp_path / "a" / "x.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(UserError, match="cannot be read as a tar"):
        read("webdataset", tmp_path)
    (tmp_path / "a" / "x.tar.gz").write_bytes(b"")
    with pytest.raises(UserError, match="is compressed"):
        read("emilia", tmp_path)


@pytest.mark.parametrize("form", ["tar", "folders", "table"])
def test_emilia(tmp_path: Path, three: list[Utterance], form: str) -> None:
    rows = [
        {"id": id, "wav": f"EN_B0/mp3/{id}.wav", "text": f" {text}", "speaker": "EN_B0_S0", "language": "ru"}
        for id, _, text in three
    ]
    files = [(f"{id}.wav", audio.read_bytes()) for id, audio, _ in three]
    if form == "tar":
        pairs = [
            member
            for row, (name, content) in zip(rows, files, strict=True)
            for member in ((f"{row['id']}.json", json.dumps(row).encode()), (name, content))
        ]
        tar(tmp_path / "EN-B000000.tar", pairs)
    else:
        (tmp_path / "EN_B0" / "mp3").mkdir(parents=True)
        for row, (name, content) in zip(rows, files, strict=True):
            (tmp_path / "EN_B0" / "mp3" / name).write_bytes(content)
            if form == "folders":
                (tmp_path / "EN_B0" / "mp3" / f"{row['id']}.json").write_text(json.dumps(row))
        if form == "table":
            lines = [*map(json.dumps, rows), "{", '{"wav": "../x.wav"}', "{}"]
            (tmp_path / "EN_B0.jsonl").write_text("\n".join(lines))
    good, bad = read("emilia", tmp_path)
    same(good, three)
    assert {(r.speaker, r.language) for r in good} == {("EN_B0_S0", "ru")}
    assert [b.reason for b in bad] == (["bad line", "refused path", "bad line"] if form == "table" else [])


def _manifests(three: list[Utterance]) -> tuple[object, object]:
    lhotse = pytest.importorskip("lhotse")
    recordings = [lhotse.Recording.from_file(audio, recording_id=f"rec-{id}") for id, audio, _ in three]
    segments = [
        lhotse.SupervisionSegment(
            id=id, recording_id=r.id, start=0, duration=r.duration, text=text, language="Russian", speaker="a"
        )
        for r, (id, _, text) in zip(recordings, three, strict=True)
    ]
    return lhotse.RecordingSet.from_recordings(recordings), lhotse.SupervisionSet.from_segments(segments)


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_lhotse_manifests(tmp_path: Path, three: list[Utterance], ending: str) -> None:
    recordings, supervisions = _manifests(three)
    for id, audio, _ in three:
        (tmp_path / "wav").mkdir(exist_ok=True)
        (tmp_path / "wav" / audio.name).write_bytes(audio.read_bytes())
        assert id in audio.name
    recordings.to_file(tmp_path / f"x_recordings_train.{ending}")  # type: ignore[attr-defined]
    supervisions.to_file(tmp_path / f"x_supervisions_train.{ending}")  # type: ignore[attr-defined]
    good, bad = read("lhotse", tmp_path)  # the manifest has paths outside: their last parts are inside
    same(good, three)
    assert not bad and all(r.audio.is_relative_to(tmp_path) and r.language == "ru" for r in good)


def test_lhotse_cuts_of_a_long_recording(tmp_path: Path, three: list[Utterance]) -> None:
    lhotse = pytest.importorskip("lhotse")
    parts = [soundfile.read(audio, dtype="float32")[0] for _, audio, _ in three]
    rate = soundfile.info(str(three[0][1])).samplerate
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), rate, subtype="FLOAT")
    recording = lhotse.Recording.from_file(tmp_path / "long.wav")
    starts = np.concatenate([[0], np.cumsum([len(p) for p in parts])]) / rate
    segments = [
        lhotse.SupervisionSegment(
            id=id, recording_id="long", start=float(a), duration=float(b - a), text=text, speaker="a"
        )
        for (id, _, text), a, b in zip(three, starts, starts[1:], strict=False)
    ]
    whole = lhotse.CutSet.from_manifests(
        recordings=lhotse.RecordingSet.from_recordings([recording]),
        supervisions=lhotse.SupervisionSet.from_segments(segments),
    )
    for name, cuts in (("whole", whole), ("parts", whole.trim_to_supervisions())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "long.wav").write_bytes((tmp_path / "long.wav").read_bytes())
        cuts.to_file(tmp_path / name / "cuts.jsonl.gz")
        good, bad = read("lhotse", tmp_path / name)
        same(good, three)
        assert not bad


def test_lhotse_shar(tmp_path: Path, three: list[Utterance]) -> None:
    lhotse = pytest.importorskip("lhotse")
    recordings, supervisions = _manifests(three)
    cuts = lhotse.CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
    cuts.to_shar(tmp_path, fields={"recording": "wav"}, shard_size=2)
    good, bad = read("lhotse-shar", tmp_path)
    same(good, three)
    assert not bad and len({r.audio for r in good}) == 2
    with gzip.open(tmp_path / "cuts.000000.jsonl.gz", "rt") as f:
        lines = f.read().splitlines()
    with gzip.open(tmp_path / "cuts.000000.jsonl.gz", "wt") as f:
        f.write("\n".join(reversed(lines)))
    (tmp_path / "recording.000001.tar").unlink()
    good, bad = read("lhotse-shar", tmp_path)
    assert not good and len(bad) == 3 and "recording.000001.tar is missing" in bad[-1].detail


def test_what_is_wrong_in_a_manifest_is_listed(tmp_path: Path, three: list[Utterance]) -> None:
    (tmp_path / "a.wav").write_bytes(three[0][1].read_bytes())
    segment = {"id": "u", "start": 0, "duration": 1, "text": "a"}

    def cut(source: dict | None, supervisions: object = (segment,), **more: object) -> str:
        recording = {"id": "r", "duration": 1.0, "sources": [source], **more}
        return json.dumps({"id": "c", "start": 0, "recording": recording, "supervisions": supervisions})

    file = {"type": "file", "channels": [0], "source": "a.wav"}
    lines = [
        cut(file),
        cut({**file, "type": "command", "source": "rm -rf"}),
        cut({**file, "source": "../../etc/passwd"}),
        cut({**file, "source": "http://host/a.wav"}),
        cut(file, transforms=[{"name": "Speed"}]),
        cut(file, []),
        cut(file, [{**segment, "start": "x"}]),
        cut(file, [5]),
        cut(None),
        '{"type": "MixedCut"}',
        "[]",
        "x" * 100,
    ]
    (tmp_path / "cuts.jsonl").write_text("\n".join(lines))
    good, bad = read("lhotse", tmp_path)
    assert [r.id for r in good] == ["u"] and len(bad) == len(lines) - 1
    assert [b.id for b in bad if b.reason == "refused path"] == ["cuts.jsonl:3", "cuts.jsonl:4"]


def _table(three: list[Utterance], *, inside: bool) -> pa.Table:
    audio = [{"bytes": a.read_bytes() if inside else None, "path": a.name} for _, a, _ in three]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    facts = {"info": {"features": {"speaker_id": {"names": ["ann", "bob"], "_type": "ClassLabel"}}}}
    return pa.table(
        {
            "audio": pa.array(audio, kind),
            "text": [text for _, _, text in three],
            "speaker_id": [0, 1, 0],
            "language": ["ru"] * 3,
        }
    ).replace_schema_metadata({"huggingface": json.dumps(facts)})


def _saved(root: Path, table: pa.Table) -> None:
    root.mkdir()
    file = str(root / "data-00000-of-00001.arrow")
    with pa.OSFile(file, "wb") as f, pa.ipc.new_stream(f, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=2):
            writer.write_batch(batch)
    facts = {"features": {"speaker_id": {"names": ["ann", "bob"], "_type": "ClassLabel"}}}
    (root / "dataset_info.json").write_text(json.dumps(facts))


def _parquet(root: Path, table: pa.Table) -> None:
    root.mkdir()
    pq.write_table(table, root / "train-00000-of-00001.parquet", row_group_size=2)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("write", [_saved, _parquet])
def test_hugging_face_datasets(
    tmp_path: Path, three: list[Utterance], write: Callable[[Path, pa.Table], None], inside: bool
) -> None:
    root = tmp_path / "set"
    write(root, _table(three, inside=inside))
    if not inside and write is _saved:
        for _, audio, _ in three:
            (root / audio.name).write_bytes(audio.read_bytes())
    good, bad = read("huggingface", root)
    assert not bad and [r.speaker for r in good] == ["ann", "bob", "ann"]
    if inside or write is _saved:
        same(good, three)
    else:
        with pytest.raises(UserError, match="holds no bytes"):
            sound(good[0])
    if inside:
        config = PrepareConfig(stress="marks", workers=0)
        assert prepare("huggingface", root, tmp_path / "out", config).kept == 3


def test_tables_without_recordings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \*\.arrow"):
        read("huggingface", tmp_path)
    _parquet(tmp_path / "a", pa.table({"text": ["a"]}))
    with pytest.raises(UserError, match="no column of recordings"):
        read("huggingface", tmp_path / "a")
    (tmp_path / "a" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="cannot be read"):
        read("huggingface", tmp_path / "a")


@pytest.mark.parametrize(
    ("excerpt", "message"),
    [
        (Excerpt(span=(0, 1 << 40)), "more than"),
        (Excerpt(span=(10, 1 << 20)), "cut off"),
        (Excerpt(seconds=(-1.0, 2.0)), "no part of a recording"),
        (Excerpt(seconds=(0.0, 1e6)), "no part of a recording"),
        (Excerpt(channel=4), "has 1 channels"),
        (Excerpt(cell=("audio", 0, 0)), "cannot be read"),
    ],
)
def test_excerpts_that_are_none(three: list[Utterance], excerpt: Excerpt, message: str) -> None:
    with pytest.raises(UserError, match=message), extracted(three[0][1], excerpt):
        pass
