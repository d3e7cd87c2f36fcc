from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from intona.audio import Audio, MelSpec, log_mel, read_audio


@pytest.fixture(scope="session")
def speech(root: Path) -> Audio:
    """Two seconds from the middle of a Russian sentence of a real corpus."""
    path = sorted((root / "tests/assets/festvox-ru-small/wav").glob("*.wav"))[0]
    audio = read_audio(path, sample_rate=22050)
    return audio.trim(audio.duration / 2 - 1, audio.duration / 2 + 1)


@pytest.fixture(scope="session")
def mel(speech: Audio) -> np.ndarray:
    return log_mel(speech, MelSpec())
