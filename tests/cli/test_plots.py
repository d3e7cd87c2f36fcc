"""The two pictures: they are drawn, they show what was given, and they leave no global state."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from intona import plots
from intona.audio import Audio
from intona.errors import UserError

RATE = 22_050


def tone(hertz: float, seconds: float = 0.6) -> Audio:
    t = np.arange(round(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 12))
    return Audio((0.2 * wave).astype(np.float32), RATE)


def pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)


def test_spectrogram_shows_the_mel(tmp_path: Path):
    quiet = np.full((100, 80), -11.5, dtype=np.float32)
    loud = quiet.copy()
    loud[:, 40:] = 2.0
    a = pixels(plots.spectrogram(quiet, tmp_path / "a.png", frame_seconds=256 / RATE))
    b = pixels(plots.spectrogram(loud, tmp_path / "sub/b.png", frame_seconds=256 / RATE))
    assert a.shape == b.shape == (440, 1100, 4)
    assert np.abs(a - b).mean() > 0.05


def test_spectrogram_of_audio(tmp_path: Path):
    assert plots.spectrogram_of(tone(200), tmp_path / "a.png", title="тон ˈa").stat().st_size > 5000


def test_a_title_is_no_formula(tmp_path: Path):
    assert plots.spectrogram_of(tone(200), tmp_path / "a.png", title="$\\frac$ a $x^$ b").is_file()


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mel = np.zeros((10, 80))
    before = plots.spectrogram(mel, tmp_path / "a.png", frame_seconds=0.01).read_bytes()

    def full(figure: object, file: Any, **_: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(UserError, match=r"a\.png: cannot be written \(No space left on device\)"):
        plots.spectrogram(mel, tmp_path / "a.png", frame_seconds=0.01)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.png", before)]


@pytest.mark.parametrize("shape", [(0, 80), (80,), (1, 2, 3)])
def test_a_mel_of_a_wrong_shape_is_refused(shape: tuple[int, ...], tmp_path: Path):
    with pytest.raises(UserError, match="a spectrogram needs a mel"):
        plots.spectrogram(np.zeros(shape), tmp_path / "a.png", frame_seconds=0.01)


def test_pitch_finds_the_tone(tmp_path: Path):
    path, f0 = plots.pitch(tone(180.0), tmp_path / "f0.png")
    assert path.stat().st_size > 5000
    voiced = f0[f0 > 0]
    assert len(voiced) > 60
    assert np.median(voiced) == pytest.approx(180.0, rel=0.02)


def test_pitch_of_silence_is_drawn_too(tmp_path: Path):
    _, f0 = plots.pitch(Audio(np.zeros(RATE, dtype=np.float32), RATE), tmp_path / "f0.png")
    assert not (f0 > 0).any()


def test_no_pyplot():
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_without_matplotlib_the_mend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match=r"matplotlib is not installed; pip install 'intona\[plot\]'"):
        plots.spectrogram(np.zeros((3, 80)), tmp_path / "a.png", frame_seconds=0.01)
