from __future__ import annotations

from pathlib import Path

import pytest

from intona.audio import Audio, read_audio

SPEECH = "tests/assets/festvox-ru-small"


@pytest.fixture(scope="session")
def corpus(root: Path) -> Path:
    return root / SPEECH


@pytest.fixture(scope="session")
def speech(corpus: Path) -> Audio:
    """A Russian sentence of a real corpus at 22,050 Hz."""
    return read_audio(sorted((corpus / "wav").glob("*.wav"))[0], sample_rate=22050)
