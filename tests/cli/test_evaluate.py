"""`intona evaluate`, `compare`, `synthesize-set` as they are typed: bad input, kills, shards."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona import cli
from intona.cli.evaluate import systems_of
from intona.errors import UserError

RATE = 16_000
QUICK = ("--judges", "f0", "--no-controls", "--no-html", "--workers", "1")


@pytest.fixture
def wavs(tmp_path: Path) -> Path:
    """Four tones and their manifest, m.csv."""
    return make(tmp_path, 4)


def make(where: Path, n: int, seconds: float = 0.5) -> Path:
    out = where / "wavs"
    out.mkdir()
    t = np.arange(round(seconds * RATE)) / RATE
    for i in range(n):
        phase = 2 * np.pi * (100 + 5 * i) * t
        sound = 0.1 * sum(np.cos(k * phase) / k for k in range(1, 8))
        soundfile.write(out / f"u{i:02}.wav", np.asarray(sound, np.float32), RATE)
    lines = [f"u{i:02}|слово {'да ' * (i + 1)}|" for i in range(n)]
    (where / "m.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTONA_DEBUG", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_table_on_stdout(wavs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(
        capsys, "evaluate", f"ours={wavs}", "-m", tmp_path / "m.csv", "-o", tmp_path / "r", *QUICK
    )
    assert code == 0, err
    assert "| ours | 4/4 | 0 |" in out
    assert out == (tmp_path / "r" / "table.md").read_text(encoding="utf-8")
    assert (tmp_path / "r" / "table.json").exists()


def _spoil(wavs: Path, manifest: Path, how: str) -> None:
    first = wavs / "u00.wav"
    if how == "empty folder":
        for path in wavs.iterdir():
            path.unlink()
    elif how == "duplicate ids":
        manifest.write_text(manifest.read_text(encoding="utf-8") + "u00|ещё раз|\n", encoding="utf-8")
    elif how == "a wav of NaNs":
        soundfile.write(first, np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    elif how == "a 3-hour wav":
        soundfile.write(first, np.zeros(3 * 3600 * 4000, np.int16), 4000)
    elif how == "not a wav":
        first.write_bytes(b"RIFF it is not")
    elif how == "no manifest":
        manifest.unlink()


@pytest.mark.parametrize(
    ("how", "where", "message"),
    [
        ("empty folder", "wavs", "holds no audio file"),
        ("duplicate ids", "m.csv", 'id "u00" is in rows 1 and 5'),
        ("a wav of NaNs", "u00.wav", "non-finite"),
        ("a 3-hour wav", "u00.wav", "too long (10800.0 s long; at most 600 s"),
        ("not a wav", "u00.wav", "unreadable"),
        ("no manifest", "m.csv", "cannot be read"),
    ],
)
def test_bad_input_is_one_line(
    wavs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str, where: str, message: str
) -> None:
    _spoil(wavs, tmp_path / "m.csv", how)
    code, out, err = run(capsys, "evaluate", wavs, "-m", tmp_path / "m.csv", "-o", tmp_path / "r", *QUICK)
    assert (code, out) == (1, "")
    assert err.startswith("intona: error: ") and err.count("\n") == 1
    assert message in err and where in err
    assert not (tmp_path / "r" / "table.json").exists()


@pytest.mark.parametrize("how", ["a wav of NaNs", "a 3-hour wav"])
def test_bad_recordings_are_one_line(
    wavs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    (tmp_path / "ours").mkdir()
    for path in wavs.iterdir():
        (tmp_path / "ours" / path.name).write_bytes(path.read_bytes())
    _spoil(wavs, tmp_path / "m.csv", how)
    arguments = (tmp_path / "ours", "-m", tmp_path / "m.csv", "-o", tmp_path / "r", "--reference", wavs)
    code, _, err = run(capsys, "evaluate", *arguments, *QUICK)
    assert code == 1 and err.count("\n") == 1 and "u00.wav" in err and "recordings must be intact" in err


def test_a_bad_file_counts_as_failed_when_told_so(
    wavs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _spoil(wavs, tmp_path / "m.csv", "a wav of NaNs")
    (wavs / "u01.wav").unlink()
    arguments = (f"ours={wavs}", "-m", tmp_path / "m.csv", "-o", tmp_path / "r", "--bad-files", "count")
    code, out, err = run(capsys, "evaluate", *arguments, *QUICK)
    assert code == 0, err
    assert "| ours | 2/4 | 1 non-finite, 1 missing |" in out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--asr", "./no-such-model"), "no such directory"),
        (("--asr", "."), "no model.bin"),
    ],
)
def test_a_missing_recognizer_is_one_line(
    wavs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
    message: str,
) -> None:
    pytest.importorskip("faster_whisper")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "evaluate", wavs, "-m", "m.csv", "-o", "r", "--no-html", *flags)
    assert code == 1 and err.count("\n") == 1 and message in err
    assert not (tmp_path / "r").exists()  # told before any control is made


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--judges", "f00"), 'did you mean "f0"'),
        (("--cluster", "somewhere"), "neither local, auto, nor HOST:PORT"),
        (("--workers", "-1"), "--workers"),
        (("--against", "our"), 'did you mean "ours"'),
        (("--family", "f0_medain"), 'did you mean "f0_median"'),
        (("--name", "a", "b"), 'no folder is left for the name "a"'),
    ],
)
def test_wrong_flags_are_one_line(
    wavs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    base = ("--no-controls", "--no-html", *(() if "--judges" in flags else ("--judges", "f0")))
    arguments = ("evaluate", f"ours={wavs}", "-m", tmp_path / "m.csv", "-o", tmp_path / "r")
    code, _, err = run(capsys, *arguments, *base, *flags)
    assert code == 1 and err.count("\n") == 1 and message in err


def test_names_and_seeds(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    found = systems_of((f"{tmp_path}/a", f"x@1={tmp_path}/b", f"x@2={tmp_path}/b"))
    assert [(s.label, s.name, s.seed) for s in found] == [
        ("a", "a", ""),
        ("x@1", "x", "1"),
        ("x@2", "x", "2"),
    ]
    assert [s.label for s in systems_of((f"{tmp_path}/a", f"{tmp_path}/b"), ("p", "q"))] == ["p", "q"]
    (tmp_path / "k=v").mkdir()
    assert systems_of((f"{tmp_path}/k=v",))[0].label == "k=v"
    for bad in ("=x", "x=", "x@=y"):
        with pytest.raises(UserError, match="is not NAME=DIR"):
            systems_of((bad,))


# A run that kills itself in the middle of a line, when twelve records are written.
KILLED = """
import os, signal, sys
from intona import cli
from intona.evaluation.records import RecordFile

append, written = RecordFile.append, 0

def append_or_die(self, records):
    global written
    records = list(records)
    append(self, records)
    written += len(records)
    if written >= 12:
        with open(self.path, "ab") as f:
            f.write(b'{"system": "ou')
        os.kill(os.getpid(), signal.SIGKILL)

RecordFile.append = append_or_die
cli.main(sys.argv[1:])
"""


def test_killed_and_started_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL in the middle: no table; the same command goes on, and ends at the same bytes."""
    wavs = make(tmp_path, 30, seconds=1.0)
    base = ["evaluate", f"ours={wavs}", "-m", str(tmp_path / "m.csv"), *QUICK]
    assert run(capsys, *base, "-o", tmp_path / "straight")[0] == 0
    command = [sys.executable, "-c", KILLED, *base, "-o", str(tmp_path / "killed")]
    killed = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    assert killed.returncode == -signal.SIGKILL
    before = (tmp_path / "killed" / "records.jsonl").read_bytes()
    assert not before.endswith(b"\n")
    lines = before[: before.rfind(b"\n") + 1].splitlines()
    assert 12 <= len(lines) < 30 * 4
    assert not (tmp_path / "killed" / "table.json").exists()
    assert not (tmp_path / "killed" / "table.md").exists()
    assert run(capsys, *base, "-o", tmp_path / "killed")[0] == 0
    for name in ("table.json", "table.md", "records.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_compare_as_typed(wavs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ("evaluate", f"ours={wavs}", "-m", tmp_path / "m.csv", *QUICK)
    for name in ("a", "b"):
        assert run(capsys, *base, "-o", tmp_path / name)[0] == 0
    code, out, err = run(capsys, "compare", tmp_path / "a", tmp_path / "b")
    assert code == 0, err
    assert out.startswith("N = 4 utterances")
    (tmp_path / "m.csv").write_text(
        (tmp_path / "m.csv").read_text(encoding="utf-8").replace("слово", "дело"), encoding="utf-8"
    )
    assert run(capsys, *base, "-o", tmp_path / "c")[0] == 0
    code, out, err = run(capsys, "compare", tmp_path / "a", tmp_path / "c")
    assert (code, out) == (1, "") and err.count("\n") == 1 and "the manifest" in err


@pytest.mark.parametrize(
    ("flags", "message"),
    [(("--batch", "0"), "--batch"), (("--rate", "9"), "--rate"), (("--seed", "-1"), "--seed")],
)
def test_wrong_numbers_of_synthesize_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    code, _, err = run(capsys, "synthesize-set", "ru", "-m", "m.csv", "-o", tmp_path, *flags)
    assert code == 1 and err.count("\n") == 1 and message in err
