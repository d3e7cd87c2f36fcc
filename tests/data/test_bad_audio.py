"""The matrix of bad recordings: each is named with its reason; nothing crashes, nothing hangs."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona.data.clean import CleanConfig, Rejected, clean, clipped_share
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared

Tone = Callable[..., np.ndarray]


def write(
    path: Path, data: np.ndarray, rate: int = 16000, subtype: str = "PCM_16", kind: str | None = None
) -> None:
    soundfile.write(path, data, rate, subtype=subtype, format=kind)


def wav_header(rate: int, n: int, *, channels: int = 1) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + 2 * n, b"WAVE", b"fmt ", 16, 1, channels, rate, rate * 2, 2, 16
    ) + struct.pack("<4sI", b"data", 2 * n)


def make(root: Path, tone: Tone) -> dict[str, str]:
    """A folder of recordings; returns the expected reason of each, "" = kept."""
    root.mkdir()
    x = tone(1.0)
    stereo = np.stack([x] * 8, axis=1)
    write(root / "good.wav", x)
    write(root / "u8.wav", x, subtype="PCM_U8")
    write(root / "s24.wav", x, subtype="PCM_24")
    write(root / "float.wav", x, subtype="FLOAT")
    write(root / "ulaw.wav", x, subtype="ULAW")
    write(root / "eight.wav", stereo)
    write(root / "flac-inside.wav", x, kind="FLAC")
    write(root / "offset.wav", x + 0.3, subtype="FLOAT")
    expected = dict.fromkeys(("good", "u8", "s24", "float", "ulaw", "eight", "flac-inside", "offset"), "")
    (root / "empty.wav").write_bytes(b"")
    (root / "header.wav").write_bytes(wav_header(16000, 0))
    whole = (root / "good.wav").read_bytes()
    (root / "cut.wav").write_bytes(whole[: len(whole) // 2])
    (root / "text.wav").write_text("this is a text file, not a recording\n" * 50)
    (root / "noise.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    (root / "folder.wav").mkdir()
    os.mkfifo(root / "fifo.wav")
    os.symlink(root / "nowhere", root / "dangling.wav")
    expected |= dict.fromkeys(("empty", "header", "cut", "text", "noise", "folder", "fifo"), "unreadable")
    expected["dangling"] = "missing"
    write(root / "one.wav", x[:1] + 0.2)
    write(root / "short.wav", tone(0.2))
    expected |= {"one": "silent", "short": "too short"}
    write(root / "long.wav", tone(70.0, 8000), 8000)
    write(root / "rather-long.wav", tone(25.0, 8000), 8000)
    with open(root / "two-hours.wav", "wb") as f:
        f.write(wav_header(16000, 7200 * 16000))
        f.truncate(44 + 2 * 7200 * 16000)  # sparse: no disk is used
    expected |= dict.fromkeys(("long", "rather-long", "two-hours"), "too long")
    (root / "one-hertz.wav").write_bytes(wav_header(1, 20) + b"\1\2" * 20)
    write(root / "384k.wav", tone(1.0, 384000), 384000)
    write(root / "4k.wav", tone(1.0, 4000), 4000)
    expected |= dict.fromkeys(("one-hertz", "384k", "4k"), "wrong rate")
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        bad = x.copy()
        bad[5000] = value
        write(root / f"{name}.wav", bad, subtype="FLOAT")
        expected[name] = "NaN"
    write(root / "huge.wav", x * np.float32(1e29), subtype="FLOAT")
    expected["huge"] = "out of range"
    write(root / "zero.wav", np.zeros(16000))
    write(root / "dc.wav", np.full(16000, 0.25))
    write(root / "whisper.wav", x * 1e-4, subtype="FLOAT")
    expected |= dict.fromkeys(("zero", "dc", "whisper"), "silent")
    write(root / "clipped.wav", np.clip(x * 10, -1, 1))
    expected["clipped"] = "clipped"
    with open(os.fsencode(root) + b"/\xff\xfe.wav", "wb") as f:
        f.write(whole)
    return expected


def test_each_bad_recording_is_named_with_its_reason(tmp_path: Path, tone: Tone) -> None:
    expected = make(tmp_path / "c", tone)
    names = list(expected)
    (tmp_path / "c" / "metadata.csv").write_text("".join(f"{n}|Привет, мир!\n" for n in names))
    with open(tmp_path / "c" / "metadata.csv", "ab") as f:
        f.write(b"\xff\xfe|\xd0\x9f\n")  # a name that is not UTF-8 cannot be written in a UTF-8 table
    config = PrepareConfig(language="ru", stress="marks", workers=0, max_dropped=1.0, allow_outside=True)
    report = prepare("csv", tmp_path / "c", tmp_path / "o", config)
    rows = [json.loads(line) for line in (tmp_path / "o" / "rejected.jsonl").read_text().splitlines()]
    found = dict.fromkeys(expected, "") | {row["id"]: row["reason"] for row in rows if row["id"] in expected}
    assert found == expected
    assert report.kept == 8 and report.total == len(expected) + 1
    assert {i.id for i in Prepared.open(tmp_path / "o")} == {n for n, r in expected.items() if not r}


def test_a_file_name_that_is_not_utf8_is_read(tmp_path: Path, tone: Tone) -> None:
    folder = os.fsencode(tmp_path / "s" / "1" / "2")
    os.makedirs(folder)
    write(tmp_path / "a.wav", tone(1.0))
    os.rename(tmp_path / "a.wav", folder + b"/1_2_0_\xff.wav")
    with open(folder + b"/1_2_0_\xff.normalized.txt", "w") as f:
        f.write("Hello there")
    config = PrepareConfig(language="ru", stress="none", workers=0)
    prepare("libritts", tmp_path / "s", tmp_path / "o", config)
    assert [i.id for i in Prepared.open(tmp_path / "o")] == ["1_2_0_\\xff"]


def test_loud_music_like_peaks_are_not_clipping(tone: Tone) -> None:
    assert clipped_share(tone(2.0, level=0.99)) == 0.0
    x = tone(2.0, level=1.5)
    assert clipped_share(np.clip(x, -1, 1)) > 0.002
    assert clipped_share(np.round(tone(2.0, level=0.99) * 32767) / 32768) < 0.001


def test_trimming_keeps_the_margin(tmp_path: Path, tone: Tone) -> None:
    from intona.audio import MelSpec

    x = np.concatenate([np.zeros(16000), tone(1.0), np.zeros(8000)]).astype(np.float32)
    x += np.random.default_rng(0).normal(0, 1e-4, len(x)).astype(np.float32)
    write(tmp_path / "a.wav", x)
    made = clean(tmp_path / "a.wav", CleanConfig(), MelSpec())
    assert made.start == pytest.approx(0.95, abs=0.03) and made.end == pytest.approx(2.05, abs=0.03)
    assert made.audio.duration == pytest.approx(made.end - made.start, abs=1e-3)
    whole = clean(tmp_path / "a.wav", CleanConfig(trim=False), MelSpec())
    assert (whole.start, whole.end) == (0.0, 2.5)


def test_a_click_does_not_open_the_speech(tmp_path: Path, tone: Tone) -> None:
    from intona.audio import MelSpec

    x = np.concatenate([np.zeros(16000), tone(1.0), np.zeros(16000)]).astype(np.float32)
    x[3000] = 0.3
    write(tmp_path / "a.wav", x)
    assert clean(tmp_path / "a.wav", CleanConfig(), MelSpec()).start == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("level", [0.01, 0.1, 0.9])
def test_loudness_does_not_depend_on_the_recording(tmp_path: Path, tone: Tone, level: float) -> None:
    from intona.audio import MelSpec

    write(tmp_path / "a.wav", tone(2.0, 22050, level=level), 22050)
    made = clean(tmp_path / "a.wav", CleanConfig(), MelSpec())
    assert 10 * np.log10(np.mean(made.audio.samples**2)) == pytest.approx(-23, abs=0.7)


def test_g722_without_ffmpeg_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from intona.data.clean import find_ffmpeg
    from intona.errors import UserError

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install ffmpeg"):
        find_ffmpeg()


def test_g722_and_gsm_prompts_are_read(tmp_path: Path, tone: Tone) -> None:
    import shutil
    import subprocess

    from intona.data.clean import load

    x = tone(1.0, 8000)
    soundfile.write(tmp_path / "a.gsm", x, 8000, format="RAW", subtype="GSM610")
    samples, rate = load(tmp_path / "a.gsm", CleanConfig())
    assert rate == 8000 and np.corrcoef(samples[:7900], x[:7900])[0, 1] > 0.9
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg for G.722")
    write(tmp_path / "b.wav", tone(1.0))
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", str(tmp_path / "b.wav"), "-f", "g722", str(tmp_path / "b.g722")],
        check=True,
    )
    samples, rate = load(tmp_path / "b.g722", CleanConfig())
    lag = 22  # samples of delay in the codec's two filter banks
    best = max(np.corrcoef(samples[k : k + 12000], tone(1.0)[:12000])[0, 1] for k in range(2 * lag))
    assert rate == 16000 and best > 0.98
    (tmp_path / "c.g722").write_bytes(b"")
    with pytest.raises(Rejected, match="unreadable"):
        load(tmp_path / "c.g722", CleanConfig())
