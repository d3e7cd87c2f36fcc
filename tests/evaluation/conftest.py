"""A synthetic voice, a recognizer that hears what a test says it hears, and folders of wavs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from intona.audio import Audio
from intona.evaluation import Manifest, Row
from intona.evaluation.judges.asr import AsrJudge
from intona.evaluation.judges.transcript import Transcript
from intona.evaluation.normalize import normalizer

RATE = 16_000
TEXTS = ("мама мыла раму", "кот ест рыбу", "дом стоит у реки", "снег идёт весь день")


def make_voice(seconds: float = 2.0, *, rate: int = RATE, f0: float = 120.0, vowels: bool = True) -> Audio:
    """Harmonics of a gliding pitch; with `vowels`, a spectrum that moves, so that alignment has a hold."""
    t = np.arange(round(seconds * rate)) / rate
    pitch = f0 * 2 ** (0.25 * np.sin(2 * np.pi * 0.7 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tilt = 1.0 + 0.9 * np.sin(2 * np.pi * (1.3 * t + 0.4 * t**2)) if vowels else np.zeros_like(t)
    x = sum(np.cos(k * phase) * k ** (-1 - tilt) for k in range(1, 20))
    x = np.asarray(x) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    return Audio((0.2 * x / np.abs(x).max()).astype(np.float32), rate)


@pytest.fixture(scope="session")
def voice() -> Callable[..., Audio]:
    return make_voice


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(rows=tuple(Row(id=f"u{i}", text=text) for i, text in enumerate(TEXTS)))


@pytest.fixture
def folder(tmp_path: Path, manifest: Manifest) -> Callable[..., Path]:
    """`folder(name, skip=…)`: one wav for each id; the frequency of wav i is 100 + 10 i Hz."""

    def make(name: str, skip: tuple[str, ...] = (), gain: float = 1.0) -> Path:
        out = tmp_path / name
        out.mkdir()
        for i, row in enumerate(manifest.rows):
            if row.id not in skip:
                audio = make_voice(0.5, f0=100 + 10 * i)
                soundfile.write(out / f"{row.id}.wav", audio.samples * gain, RATE)
        return out

    return make


class Ears:
    """Stands in for a recognizer: `hear` maps what is played to what is heard."""

    def __init__(self, hear: Callable[[Audio], str], *, model: str = "ears") -> None:
        self.hear, self.model, self.calls = hear, model, 0

    def describe(self) -> dict[str, Any]:
        return {"model": self.model}

    def __call__(self, audio: Audio) -> Transcript:
        self.calls += 1
        return Transcript(text=self.hear(audio))

    def speech_seconds(self, audio: Audio) -> None:
        return None


def pitch_index(audio: Audio) -> int:
    """Which of the folder's wavs this is: the ear goes by sound, never by file name."""
    mine = audio.samples / np.linalg.norm(audio.samples)
    theirs = [make_voice(0.5, f0=100 + 10 * i).samples for i in range(len(TEXTS))]
    return int(np.argmax([mine @ x / np.linalg.norm(x) for x in theirs]))


@pytest.fixture
def ears() -> type[Ears]:
    return Ears


@pytest.fixture
def hears_right() -> Callable[[Audio], str]:
    return lambda audio: TEXTS[pitch_index(audio)]


@pytest.fixture
def asr() -> Callable[..., AsrJudge]:
    """`asr(hear)`: the WER judge on top of a stand-in recognizer."""
    return lambda hear, model="ears": AsrJudge(Ears(hear, model=model), normalizer("ru"))
