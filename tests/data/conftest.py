"""A small real corpus, prepared once, and a speech-like tone to build others from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared

ASSET = Path(__file__).parents[1] / "assets" / "festvox-ru-small"


def tone(seconds: float = 1.0, rate: int = 16000, *, level: float = 0.2, hz: float = 150.0) -> np.ndarray:
    """A few harmonics with an envelope: not silent, not clipped."""
    t = np.arange(round(seconds * rate)) / rate
    x = sum(np.sin(2 * np.pi * hz * k * t + k) / k for k in range(1, 6))
    return (level * x / np.abs(x).max() * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def write_tone(path: Path, seconds: float = 1.0, rate: int = 16000, **kw: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds, rate, **kw), rate)
    return path


@pytest.fixture(scope="session")
def corpus() -> Path:
    return ASSET


@pytest.fixture(scope="session")
def prepared_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "ru"
    prepare("festvox", ASSET, out, PrepareConfig(language="ru", phonemes="corpus", workers=0))
    return out


@pytest.fixture()
def prepared(prepared_dir: Path) -> Prepared:
    return Prepared.open(prepared_dir)


@pytest.fixture(name="tone")
def tone_fixture() -> Callable[..., np.ndarray]:
    return tone


@pytest.fixture(name="wav")
def wav_fixture() -> Callable[..., Path]:
    """Writes a good recording: wav(path, seconds=1.0, rate=16000)."""
    return write_tone
