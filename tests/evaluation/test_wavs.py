"""Audio of a system: what is hostile or damaged becomes a status or one error, and never a wait."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona.errors import UserError
from intona.evaluation import Manifest
from intona.evaluation.wavs import index_folder, read_clip


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "u0.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16_000) / 20), 16_000)
    return path


def test_a_pipe_is_no_sound(tmp_path: Path, folder: Callable[..., Path], manifest: Manifest) -> None:
    pipe = folder("ours", skip=("u1",)) / "u1.wav"
    os.mkfifo(pipe)
    assert read_clip(pipe).status == "unreadable"
    with pytest.raises(UserError, match=r"u1\.wav: not a plain file"):
        index_folder(pipe.parent, manifest)


def test_damaged_files_are_not_ok(wav: Path) -> None:
    whole = wav.read_bytes()
    assert read_clip(wav).status == "ok"
    wav.write_bytes(whole[: len(whole) // 2])
    assert "truncated" in read_clip(wav).detail
    wav.write_bytes(whole[:24] + struct.pack("<I", 1) + whole[28:])
    assert read_clip(wav).status in ("unreadable", "too long")
    soundfile.write(wav, np.full(16_000, 1e28, np.float32), 16_000, subtype="FLOAT")
    assert read_clip(wav).status == "unreadable"


def test_channels_are_mixed_by_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of many channels never stands in memory as a whole."""
    monkeypatch.setattr(soundfile, "read", None)
    path = tmp_path / "a.flac"
    soundfile.write(path, np.tile([[0.1], [-0.1]], (8_000, 8)), 16_000)
    assert read_clip(path).status == "ok"
