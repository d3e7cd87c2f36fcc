"""Files in, files out: every kind of damage ends in one clear line, and nothing waits."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona.audio import Audio, encode_audio, faults, read_audio, write_audio
from intona.errors import UserError

RATE = 22050


def tone(seconds: float = 1.0, rate: int = RATE, hz: float = 220.0, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "PCM_16", 2e-5),
        ("a.wav", "PCM_U8", 5e-3),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "FLOAT", 0.0),
        ("a.wav", "DOUBLE", 0.0),
        ("a.wav", "ULAW", 0.02),
        ("a.flac", "PCM_16", 2e-5),
        ("a.ogg", "VORBIS", 0.05),
        ("a.mp3", None, 0.05),
    ],
)
def test_reads_what_libsndfile_wrote(tmp_path: Path, name: str, subtype: str | None, error: float) -> None:
    x = tone()
    soundfile.write(tmp_path / name, x, RATE, subtype=subtype)
    audio = read_audio(tmp_path / name)
    assert audio.sample_rate == RATE and audio.samples.dtype == np.float32
    assert abs(len(audio) - len(x)) < 2500
    n = min(len(x), len(audio.samples))
    assert np.sqrt(np.mean((audio.samples[:n] - x[:n]) ** 2)) <= error


def test_name_says_nothing_content_does(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(), RATE)
    (tmp_path / "a.flac").rename(tmp_path / "a.wav")
    assert read_audio(tmp_path / "a.wav").duration == pytest.approx(1.0)


def test_channels_are_averaged_or_refused(tmp_path: Path) -> None:
    x = np.stack([tone(hz=100.0 * (c + 1)) for c in range(8)], axis=1)
    soundfile.write(tmp_path / "8.wav", x, RATE, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "8.wav").samples - x.mean(axis=1)).max() < 1e-6
    with pytest.raises(UserError, match="8 channels"):
        read_audio(tmp_path / "8.wav", mono=False)
    soundfile.write(tmp_path / "2.wav", x[:, :2], RATE, subtype="PCM_16")
    assert np.abs(read_audio(tmp_path / "2.wav").samples - x[:, :2].mean(axis=1)).max() < 1e-4


def wav(samples: np.ndarray, *, rate: int = RATE, kind: int = 3, promised: int | None = None) -> bytes:
    """A wav file by hand, so that its header can lie."""
    body = samples.tobytes()
    size = samples.dtype.itemsize
    head = struct.pack("<HHIIHH", kind, 1, rate, rate * size, size, 8 * size)
    data = b"data" + struct.pack("<I", len(body) if promised is None else promised) + body
    return b"RIFF" + struct.pack("<I", 28 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + head + data


def spoilt(value: float) -> np.ndarray:
    x = tone()
    x[100] = value
    return x


BAD = {
    "empty": (b"", "the file is empty"),
    "header only": (wav(np.zeros(0, np.float32)), "no sound behind it"),
    "half a header": (wav(tone())[:30], "cannot be read|not a sound file"),
    "truncated": (wav(tone())[:50_000], "truncated: 0.43 s"),
    "text": ("Просто текст, а не звук.\n".encode() * 50, "not a sound file"),
    "zeros": (bytes(4096), "not a sound file"),
    "1 Hz": (wav(tone(), rate=1), "the header says 1 Hz"),
    "4 GHz": (wav(tone(), rate=900_000_000), "header says|not a sound file"),
    "NaN": (wav(spoilt(np.nan)), "1 samples are NaN or infinite"),
    "infinity": (wav(spoilt(np.inf)), "NaN or infinite"),
    "1e29": (wav(spoilt(1e29)), "peak 1e"),
    "16-bit scale in float": (wav(32767 * tone()), "peak 1.64e"),
    "two hours": (wav(np.zeros(7200 * 4000, np.int8).astype(np.int16), rate=4000, kind=1), "7200.0 s long"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_is_one_line_with_the_reason(tmp_path: Path, case: str) -> None:
    content, reason = BAD[case]
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        read_audio(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_truncated_compressed_file_is_refused_or_read_to_its_end(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", tone(5.0), RATE)
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    if suffix == "flac":  # the header states the length; ogg and mp3 are streams, whatever is there is whole
        with pytest.raises(UserError):
            read_audio(tmp_path / "cut")
    else:
        try:
            assert 0 < read_audio(tmp_path / "cut").duration <= 5.2
        except UserError as e:
            assert "truncated" in str(e) or "sound" in str(e)


def test_streamed_wav_of_unknown_length_is_read(tmp_path: Path) -> None:
    (tmp_path / "s.wav").write_bytes(wav(tone(), promised=0xFFFFFFFF))
    assert read_audio(tmp_path / "s.wav").duration == pytest.approx(1.0)


@pytest.mark.parametrize("samples", [1, 2, 383])
def test_few_samples_are_read(tmp_path: Path, samples: int) -> None:
    (tmp_path / "s.wav").write_bytes(wav(tone()[:samples]))
    assert len(read_audio(tmp_path / "s.wav", sample_rate=16000)) <= samples


def test_384_khz_is_resampled(tmp_path: Path) -> None:
    (tmp_path / "s.wav").write_bytes(wav(tone(rate=384_000), rate=384_000))
    audio = read_audio(tmp_path / "s.wav", sample_rate=RATE)
    assert np.abs(audio.samples[500:-500] - tone()[500:-500]).max() < 1e-3


def test_pipe_directory_link_device_and_missing_never_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nothing")
    cases = {
        tmp_path / "pipe.wav": "not a regular file",
        tmp_path: "a directory",
        tmp_path / "dangling.wav": "a link to a file that does not exist",
        Path("/dev/zero"): "not a regular file",
        tmp_path / "missing.wav": "No such file",
        Path("a\0b.wav"): "null",
    }
    for path, reason in cases.items():
        with pytest.raises(UserError, match=reason):
            read_audio(path)


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.path.join(os.fsencode(tmp_path), b"\xff\xfe.wav")
    with open(name, "wb") as f:
        f.write(wav(tone()))
    assert read_audio(name).duration == pytest.approx(1.0)  # type: ignore[arg-type]
    with open(name, "wb") as f:
        f.write(b"no sound")
    with pytest.raises(UserError, match="not a sound file") as caught:
        read_audio(name)  # type: ignore[arg-type]
    str(caught.value).encode("utf-8")  # can be printed and written to a log


def test_random_bytes_behind_a_header_never_crash(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = wav((tone(0.1) * 32767).astype(np.int16), kind=1)
    outcomes = {True: 0, False: 0}
    for _ in range(300):
        spoiled = bytearray(whole)
        for at in rng.integers(0, 44, 3):
            spoiled[at] = rng.integers(256)
        (tmp_path / "f.wav").write_bytes(spoiled)
        try:
            outcomes[bool(np.isfinite(read_audio(tmp_path / "f.wav").samples).all())] += 1
        except UserError:
            outcomes[True] += 1
    assert outcomes == {True: 300, False: 0}


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.zeros(RATE), "silent"),
        (np.full(RATE, 0.3), "constant"),
        (np.clip(tone(level=4.0), -0.99, 0.99), "clipped"),
        (np.zeros(0), "no samples"),
    ],
)
def test_faults_name_the_useless(samples: np.ndarray, fault: str) -> None:
    assert fault in faults(Audio(samples, RATE))[0]


def test_speech_and_loud_tone_have_no_fault(speech: Audio) -> None:
    assert faults(speech) == [] and faults(Audio(tone(level=0.99), RATE)) == []


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_written_16_bit_comes_back_bit_equal(tmp_path: Path, name: str, speech: Audio) -> None:
    exact = Audio(np.rint(speech.samples * 32768) / 32768, speech.sample_rate)
    exact.write(tmp_path / name)
    assert np.array_equal(read_audio(tmp_path / name).samples, exact.samples)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_24_bit_and_float(tmp_path: Path) -> None:
    audio = Audio(tone(), RATE)
    write_audio(tmp_path / "a.flac", audio, subtype="PCM_24")
    assert np.abs(read_audio(tmp_path / "a.flac").samples - audio.samples).max() < 2**-23
    write_audio(tmp_path / "a.wav", audio, subtype="FLOAT")
    assert np.array_equal(read_audio(tmp_path / "a.wav").samples, audio.samples)


def test_clipping_policies(tmp_path: Path) -> None:
    loud = Audio(tone(level=2.0), RATE)
    loud.write(tmp_path / "a.wav")
    saturated = read_audio(tmp_path / "a.wav").samples
    assert np.abs(saturated - np.clip(loud.samples, -1, 1)).max() < 1e-4  # held, not wrapped
    loud.write(tmp_path / "a.wav", clip="scale")
    assert np.abs(read_audio(tmp_path / "a.wav").samples - loud.samples / loud.peak).max() < 1e-4
    with pytest.raises(UserError, match="above full scale"):
        loud.write(tmp_path / "a.wav", clip="refuse")


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    Audio(tone(), RATE).write(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        Audio(tone(hz=300), RATE).write(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_write_refuses(tmp_path: Path) -> None:
    audio = Audio(tone(), RATE)
    for path, reason in [
        (tmp_path / "a.mp3", "name it .wav or .flac"),
        (tmp_path / "none" / "a.wav", "No such file"),
    ]:
        with pytest.raises(UserError, match=re.escape(reason)):
            audio.write(path)
    with pytest.raises(UserError, match="NaN"):
        Audio(spoilt(np.nan), RATE).write(tmp_path / "a.wav")
    with pytest.raises(UserError, match="sample type"):
        encode_audio(audio, format="FLAC", subtype="FLOAT")
    with pytest.raises(UserError, match="700000 Hz cannot be written as FLAC; resample it"):
        Audio(tone(), 700_000).write(tmp_path / "a.flac")
    assert list(tmp_path.iterdir()) == []


def test_resampling_keeps_a_tone_and_its_length() -> None:
    audio = Audio(tone(2.0, 16000), 16000).resample(RATE)
    assert len(audio) == 2 * RATE and audio.sample_rate == RATE
    assert np.abs(audio.samples[500:-500] - tone(2.0)[500:-500]).max() < 1e-4
    assert audio.resample(RATE) is audio


def test_audio_is_mono_with_a_rate() -> None:
    with pytest.raises(ValueError, match="mono"):
        Audio(np.zeros((2, 5)), RATE)
    with pytest.raises(ValueError, match="rate"):
        Audio(np.zeros(5), 0)
