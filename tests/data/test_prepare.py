"""`prepare` on a real small corpus: what it writes, resuming after kills, refusals."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from intona.audio import log_mel, read_audio
from intona.data.clean import CleanConfig
from intona.data.corpora import read_corpus
from intona.data.finish import mel_stats, split_ids
from intona.data.labels import is_silence, read_lab
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.data.report import PrepareReport
from intona.data.script import file_name
from intona.errors import UserError
from intona.evaluation import read_manifest

CONFIG = PrepareConfig(language="ru", phonemes="corpus", workers=0)
TABLES = (
    "mels/00000.bin",
    "index.arrow",
    "tokenizer.json",
    "stats.json",
    "durations.arrow",
    "labels.jsonl",
)


def contents(out: Path) -> dict[str, bytes]:
    files = {name: (out / name).read_bytes() for name in TABLES}
    return files | {p.name: p.read_bytes() for p in (out / "audio").iterdir()}


def test_everything_is_kept_and_cut_right(prepared: Prepared, corpus: Path) -> None:
    report = PrepareReport.load(prepared.root)
    assert (report.kept, report.dropped, report.splits) == (14, {}, {"train": 12, "dev": 1, "test": 1})
    for item in prepared:
        source = soundfile.info(str(corpus / "wav" / f"{item.id}.wav"))
        assert 2.0 < item.seconds < source.duration
        assert soundfile.info(str(prepared.audio_path(item))).samplerate == 22050
        original = [x for x in read_lab(corpus / "lab" / f"{item.id}.lab") if not is_silence(x.label)]
        kept = [x for x in prepared.labels(item) or [] if not is_silence(x.label)]
        assert [x.label for x in kept] == [x.label for x in original]
        assert np.allclose([x.end - x.start for x in kept], [x.end - x.start for x in original], atol=1e-5)
        assert kept[0].start < 0.7 and item.seconds - kept[-1].end < 0.7


def test_the_mels_are_those_of_the_written_audio(prepared: Prepared) -> None:
    for item in prepared.items("train")[:3]:
        again = log_mel(read_audio(prepared.audio_path(item)), prepared.spec)
        stored = prepared.mel(item)
        assert stored.shape == again.shape == (item.n_frames, 80) and stored.dtype == np.float32
        loud = again > -7  # below that the 16-bit steps of the file show
        assert np.abs(stored - again)[loud].max() < 0.05


def test_speech_is_levelled(prepared: Prepared) -> None:
    for item in prepared:
        x = read_audio(prepared.audio_path(item)).samples
        assert -28 < 20 * np.log10(np.sqrt(np.mean(x**2))) < -21 and np.abs(x).max() < 1


def test_corpus_phonemes_bring_durations(prepared: Prepared) -> None:
    for item in prepared:
        durations = prepared.durations(item)
        assert durations is not None and durations.sum() == item.n_frames and durations.min() >= 1
        assert len(prepared.tokens(item)) == len(item.phonemes) == len(durations)
        ends = np.cumsum(durations) * 256 / 22050
        speech = [x.end for x in prepared.labels(item) or []]
        assert min(abs(ends[3] - e) for e in speech) < 0.0117
    assert prepared.durations_source == "corpus phone labels"


def test_the_front_end_gives_phonemes_and_words(tmp_path: Path, corpus: Path) -> None:
    prepare(
        "festvox",
        corpus,
        tmp_path / "o",
        dataclasses.replace(CONFIG, phonemes="frontend", stress="marks", limit=3),
    )
    prepared = Prepared.open(tmp_path / "o")
    for item in prepared:
        assert item.words and all("".join(item.phonemes[w.start : w.end]).strip() for w in item.words)
        assert prepared.tokenizer.encode(item.phonemes).unknown == []
    assert prepared.frontends["ru"]["language"] == "ru"


def test_statistics_are_those_of_the_train_split(prepared: Prepared) -> None:
    mels = np.concatenate([prepared.mel(i) for i in prepared.items("train")]).astype(np.float64)
    assert np.allclose(prepared.stats["mean"], mels.mean(0), atol=1e-6)
    assert np.allclose(prepared.stats["std"], mels.std(0), atol=1e-6)
    assert np.isclose(prepared.stats["global_std"], mels.std(), atol=1e-6)
    assert np.isclose(prepared.stats["global_mean"], mels.mean(), atol=1e-6)


def test_chunked_statistics_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    mels = np.random.default_rng(0).normal(-6, 2, (500, 4)).astype(np.float16)
    whole = mel_stats(mels, [(0, 300), (400, 100)])
    monkeypatch.setattr("intona.data.finish.STATS_CHUNK", 7)
    assert np.allclose(mel_stats(mels, [(0, 300), (400, 100)])["std"], whole["std"], atol=1e-12)


@given(st.sets(st.text(min_size=1, max_size=6), min_size=3, max_size=60), st.randoms())
def test_the_split_depends_on_the_ids_only(ids: set[str], rnd: random.Random) -> None:
    shuffled = list(ids)
    rnd.shuffle(shuffled)
    split = split_ids(shuffled, None, None)
    assert split == split_ids(sorted(ids), None, None)
    assert sorted(i for part in split.values() for i in part) == sorted(ids)
    assert split["dev"] and split["test"] and len(split["train"]) >= len(ids) - 60


def test_split_counts() -> None:
    ids = [f"u{i}" for i in range(620)]
    assert {k: len(v) for k, v in split_ids(ids, None, None).items()} == {"train": 560, "dev": 20, "test": 40}
    more = split_ids([*ids, "new"], 20, 40)
    assert len(set(more["test"]) - set(split_ids(ids, 20, 40)["test"])) <= 1
    with pytest.raises(UserError, match="leave none to train on"):
        split_ids(ids, 310, 310)


def test_worker_processes_give_the_same_bytes(
    tmp_path: Path, prepared_dir: Path, corpus: Path, monkeypatch
) -> None:
    monkeypatch.setattr("intona.data.workers.SMALL", 2)
    prepare("festvox", corpus, tmp_path / "o", dataclasses.replace(CONFIG, workers=2))
    assert contents(tmp_path / "o") == contents(prepared_dir)


def test_a_finished_directory_is_not_made_again(prepared_dir: Path, corpus: Path) -> None:
    before = (prepared_dir / "prepared.json").stat().st_mtime_ns
    assert prepare("festvox", corpus, prepared_dir, CONFIG).kept == 14
    assert (prepared_dir / "prepared.json").stat().st_mtime_ns == before
    with pytest.raises(UserError, match="prepared otherwise"):
        prepare("festvox", corpus, prepared_dir, dataclasses.replace(CONFIG, dev=2))


KILLED = """
import sys, intona.data.workers as w
from intona.data.prepare import PrepareConfig, prepare
w.SMALL = 2
slow, real = float(sys.argv[3]), w.work
def work(*a, **k):
    import time; time.sleep(slow); return real(*a, **k)
w.work = work
config = PrepareConfig(language="ru", phonemes="corpus", workers=int(sys.argv[4]))
prepare("festvox", sys.argv[1], sys.argv[2], config)
"""


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_sigkill_and_again_gives_the_same_bytes(
    tmp_path: Path, prepared_dir: Path, corpus: Path, workers: int
) -> None:
    out, script = tmp_path / "o", tmp_path / "run.py"
    guard = KILLED.strip().splitlines()
    body = "\n".join([*guard[:-1], "if __name__ == '__main__':", "    " + guard[-1]])
    script.write_text(body)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [
        sys.executable,
        str(script),
        str(corpus),
        str(out),
        "0.05",
        str(workers),
    ]
    for rows in (3, 8):
        child = subprocess.Popen(command, env=env, start_new_session=True)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline and child.poll() is None and _journal_rows(out) < rows:
            time.sleep(0.005)
        child.kill()  # nothing happens if it has finished
        child.wait()
        assert _journal_rows(out) >= 1 or (out / "prepared.json").exists()
        if not (out / "prepared.json").exists():
            with pytest.raises(UserError, match="not finished"):
                Prepared.open(out)
    prepare("festvox", corpus, out, CONFIG)
    assert contents(out) == contents(prepared_dir)
    assert not (out / "journal.jsonl").exists()
    _wait_until_alone(child.pid)


def _journal_rows(out: Path) -> int:
    try:
        return (out / "journal.jsonl").read_bytes().count(b"\n") - 1
    except OSError:
        return -1


def _wait_until_alone(session: int) -> None:
    """Workers of a killed parent must end by themselves."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        alive = []
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                alive.append(entry.parent.name)
        if not alive:
            return
        time.sleep(0.05)
    raise AssertionError(f"left behind: {alive}")


@pytest.mark.parametrize("damage", ["torn row", "garbage row", "short mels", "long mels", "lost audio"])
def test_a_damaged_journal_costs_only_what_it_lost(
    tmp_path: Path, prepared_dir: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    out = tmp_path / "o"
    calls = 0

    def interrupted(*a: object) -> float:
        nonlocal calls
        calls += 1
        if calls > 6:
            raise KeyboardInterrupt
        return take(*a)  # type: ignore[arg-type]

    from intona.data.prepare import _take as take

    monkeypatch.setattr("intona.data.prepare._take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare("festvox", corpus, out, CONFIG)
    monkeypatch.undo()
    journal, mels = out / "journal.jsonl", out / "mels" / "00000.bin"
    raw = journal.read_bytes()
    if damage == "torn row":
        journal.write_bytes(raw[:-20])
    elif damage == "garbage row":
        journal.write_bytes(raw + b"\xff\x00{}\n")
    elif damage == "short mels":
        os.truncate(mels, mels.stat().st_size - 1000)
    elif damage == "long mels":
        with open(mels, "ab") as f:
            f.write(b"x" * 777)
    else:
        (out / "audio" / json.loads(raw.splitlines()[3])["file"]).unlink()
    prepare("festvox", corpus, out, CONFIG)
    assert contents(out) == contents(prepared_dir)


def test_other_settings_do_not_continue_an_unfinished_one(tmp_path: Path, corpus: Path, monkeypatch) -> None:
    monkeypatch.setattr("intona.data.prepare._complete", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare("festvox", corpus, tmp_path / "o", CONFIG)
    monkeypatch.undo()
    other = dataclasses.replace(CONFIG, clean=CleanConfig(trim_db=30.0))
    with pytest.raises(UserError, match="with other settings"):
        prepare("festvox", corpus, tmp_path / "o", other)
    assert prepare("festvox", corpus, tmp_path / "o", CONFIG).kept == 14


def test_nothing_left_and_too_much_dropped_are_errors(tmp_path: Path, corpus: Path) -> None:
    strict = dataclasses.replace(CONFIG, clean=CleanConfig(max_seconds=1.0))
    with pytest.raises(UserError, match=r"nothing is left of the corpus: too long \(14\)"):
        prepare("festvox", corpus, tmp_path / "a", strict)
    assert len((tmp_path / "a" / "rejected.jsonl").read_text().splitlines()) == 14
    some = dataclasses.replace(CONFIG, clean=CleanConfig(max_seconds=4.0))
    with pytest.raises(UserError, match="would be dropped"):
        prepare("festvox", corpus, tmp_path / "b", some)
    report = prepare("festvox", corpus, tmp_path / "b", dataclasses.replace(some, max_dropped=1.0))
    assert 0 < report.kept < 7 and "too long" in report.table()


def test_other_peoples_directories_are_left_alone(tmp_path: Path, corpus: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        prepare("festvox", corpus, tmp_path, CONFIG)
    with pytest.raises(UserError, match="is a file"):
        prepare("festvox", corpus, tmp_path / "diary.txt", CONFIG)
    assert (tmp_path / "diary.txt").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_layout_without_language_asks_for_one(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match="--language"):
        prepare("festvox", corpus, tmp_path / "o", dataclasses.replace(CONFIG, language=None))


def test_a_full_disk_is_one_line(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*a: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("intona.data.journal.Journal.keep", full)
    with pytest.raises(UserError, match="No space left"):
        prepare("festvox", corpus, tmp_path / "o", CONFIG)
    monkeypatch.undo()
    assert prepare("festvox", corpus, tmp_path / "o", CONFIG).kept == 14


def test_bad_lines_duplicates_and_bad_texts_are_listed(tmp_path: Path, wav) -> None:
    rows = [
        "good|Привет, мир!",
        "good|Ещё раз",
        "empty|",
        "dots|...",
        "emoji|😀",
        "nul|a\0b",
        "long|" + "ы " * 600,
        "late|При\u0301вет",
        "none|нет такого файла",
        "lost",
        "../up|Привет",
    ]
    root = tmp_path / "c"
    for name in ("good", "empty", "dots", "emoji", "nul", "long", "late"):
        wav(root / f"{name}.wav", 0.8)
    (root / "metadata.csv").write_text("\n".join(rows))
    out = tmp_path / "o"
    config = PrepareConfig(language="ru", stress="marks", workers=0, max_dropped=1.0)
    assert prepare("csv", root, out, config).kept == 2
    listed = {
        row["id"]: row["reason"] for row in map(json.loads, (out / "rejected.jsonl").read_text().splitlines())
    }
    assert listed == {
        "good#2": "duplicate id",
        "empty": "no text",
        "dots": "no text",
        "emoji": "no text",
        "nul": "bad text",
        "long": "text too long",
        "none": "missing",
        "metadata.csv:10": "bad line",
        "../up": "refused path",
    }


def test_long_ids_are_each_listed_once_resumed_or_not(
    tmp_path: Path, wav, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, config = tmp_path / "c", PrepareConfig(language="ru", stress="marks", workers=0, max_dropped=1.0)
    wav(root / "good.wav", 0.8)
    rows = ["good|Привет, мир!", "x" * 201 + "|раз", "x" * 202 + "|два", "x" * 200 + "|три"]
    (root / "metadata.csv").write_text("\n".join(rows))
    prepare("csv", root, tmp_path / "whole", config)
    monkeypatch.setattr("intona.data.prepare._complete", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare("csv", root, tmp_path / "o", config)
    monkeypatch.undo()
    prepare("csv", root, tmp_path / "o", config)
    whole, resumed = ((tmp_path / n / "rejected.jsonl").read_text() for n in ("whole", "o"))
    assert whole == resumed
    reasons = [json.loads(line)["reason"] for line in whole.splitlines()]
    assert sorted(reasons) == ["bad id", "bad id", "missing"]


def test_a_speaker_that_is_no_text_is_refused(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UserError, match=r"speaker: .* cannot be shown"):
        prepare("festvox", corpus, tmp_path / "o", dataclasses.replace(CONFIG, speaker="\udcff"))
    assert not (tmp_path / "o").exists()


@given(st.text(min_size=1, max_size=300))
def test_file_names_are_plain_and_distinct(id: str) -> None:
    id = id.encode("utf-8", "ignore").decode()
    name = file_name(id)
    assert "/" not in name and "\0" not in name and not name.startswith(".") and len(name.encode()) < 200
    assert name != file_name(id + "x") and name != file_name("." + id)


def test_an_id_with_a_slash_can_be_evaluated(tmp_path: Path, wav) -> None:
    """The held-out sets name utterances as their audio is named: DATA/audio serves as the recordings."""
    root, out = tmp_path / "c", tmp_path / "o"
    for i in range(12):
        wav(root / "menu" / f"{i}.wav", 0.8)
    (root / "metadata.csv").write_text("\n".join(f"menu/{i}|Привет, {i}!" for i in range(12)))
    config = PrepareConfig(language="ru", stress="marks", workers=0, dev=3, test=3)
    assert prepare("csv", root, out, config).kept == 12
    for held in ("dev", "test"):
        rows = read_manifest(out / f"{held}.jsonl").rows
        assert len(rows) == 3
        items = Prepared.open(out).items(held)
        assert [r.id for r in rows] == [i.name for i in items] != [i.id for i in items]
        assert all((out / "audio" / f"{r.id}.flac").is_file() for r in rows)


def test_records_do_not_carry_machine_paths(prepared_dir: Path, corpus: Path) -> None:
    assert list(read_corpus("festvox", corpus))
    for path in prepared_dir.glob("*.json*"):
        assert str(corpus) not in path.read_text() and "/tmp" not in path.read_text()


def test_the_report_of_an_earlier_version_opens(corpus: Path, tmp_path: Path) -> None:
    """Earlier versions wrote "seconds_taken" for "elapsed_seconds"."""
    config = PrepareConfig(language="ru", phonemes="corpus", workers=0)
    report = prepare("festvox", corpus, tmp_path / "out", config)
    path = tmp_path / "out" / "report.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["seconds_taken"] = fields.pop("elapsed_seconds")
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert (
        PrepareReport.load(tmp_path / "out") == report == prepare("festvox", corpus, tmp_path / "out", config)
    )
