"""The floor: espeak-ng speaks each row once, without the stress marks of the text."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from intona.errors import UserError
from intona.evaluation import Manifest, Row, controls
from intona.evaluation.controls import espeak_version, espeak_wavs
from intona.evaluation.wavs import read_clip

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@needs_espeak
def test_marks_are_not_spoken(tmp_path: Path) -> None:
    rows = (Row(id="plain", text="дома"), Row(id="marked", text="д+ома"))
    out = espeak_wavs(Manifest(rows=rows), tmp_path / "wavs")
    plain, marked = (read_clip(out / f"{r.id}.wav").audio for r in rows)
    assert plain is not None and marked is not None
    # "+" would be read out as a word of its own.
    assert np.array_equal(plain.samples, marked.samples)
    assert sorted(p.name for p in out.iterdir()) == ["marked.wav", "plain.wav"]


@needs_espeak
def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    manifest = Manifest(rows=(Row(id="a", text="раз"),))
    out = espeak_wavs(manifest, tmp_path)
    (out / "a.wav").write_bytes(b"mine")
    espeak_wavs(manifest, tmp_path)
    assert (out / "a.wav").read_bytes() == b"mine"


@needs_espeak
def test_unknown_language(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="espeak-ng failed"):
        espeak_wavs(Manifest(rows=(Row(id="a", text="раз"),)), tmp_path, language="xx-none")
    assert list(tmp_path.iterdir()) == []


@needs_espeak
def test_version_has_no_path() -> None:
    assert espeak_version()
    assert "/" not in espeak_version()


def test_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="apt-get install espeak-ng"):
        espeak_wavs(Manifest(rows=(Row(id="a", text="раз"),)), tmp_path)


def test_a_text_that_takes_too_long_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(command: list[str], **_: object) -> None:
        Path(command[command.index("-w") + 1]).write_bytes(b"half")
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(controls.shutil, "which", lambda name: name)
    monkeypatch.setattr(controls.subprocess, "run", never)
    with pytest.raises(UserError, match="espeak-ng did not finish within 60 s"):
        espeak_wavs(Manifest(rows=(Row(id="a", text="раз"),)), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_copy_synthesis_is_the_recording_through_the_vocoder(root: Path, tmp_path: Path) -> None:
    """As long as the recording, and near it in the mel; an unreadable one makes no file."""
    from intona.audio import MelSpec, log_mel, read_audio

    source = tmp_path / "recordings"
    source.mkdir()
    spec = MelSpec()
    whole = sorted((root / "tests/assets/festvox-ru-small/wav").glob("*.wav"))[0]
    audio = read_audio(whole, sample_rate=spec.sample_rate).trim(0.5, 1.0)
    audio.write(source / "a.wav")
    (source / "b.wav").write_bytes(b"RIFF")
    manifest = Manifest(rows=(Row(id="a", text="раз"), Row(id="b", text="два")))
    out = controls.copy_synthesis(source, manifest, tmp_path / "out", vocoder="griffin-lim")
    assert [p.name for p in out.iterdir()] == ["a.wav"]
    made = read_audio(out / "a.wav", sample_rate=spec.sample_rate)
    assert abs(made.duration - audio.duration) < 0.02
    ours, theirs = log_mel(made, spec), log_mel(audio, spec)
    n = min(len(ours), len(theirs))
    assert np.abs(ours[:n] - theirs[:n]).mean() < 0.5
