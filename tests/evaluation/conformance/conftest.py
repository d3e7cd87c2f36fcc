"""A recognizer that hears each utterance by its sound, and one call for a whole evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from intona.audio import Audio
from intona.evaluation import EvaluationConfig, Manifest, Report, evaluate
from intona.evaluation.judges import build_judges
from intona.evaluation.judges.asr import AsrJudge
from intona.evaluation.judges.base import Inputs, Judge, Unavailable
from intona.evaluation.judges.failures import FailureJudge
from intona.evaluation.judges.recognizer import SharedTranscriber
from intona.evaluation.judges.transcript import Transcript
from intona.evaluation.normalize import normalizer

RATE = 16_000
TEXTS = (
    "мама мыла раму а папа читал газету",
    "кот ест рыбу на тёплой кухне у печки",
    "дом стоит у реки за старым мостом",
    "снег идёт весь день и всю ночь",
)


class Ear:
    """Knows the recordings by their spectrum, whatever their level or delay; `says` maps text to text.

    What it has never heard is "шум", so that no file name and no order can help a system.
    """

    def __init__(self, recordings: dict[str, Audio], says: Callable[[str], str] = str) -> None:
        self.known = {text: _spectrum(audio) for text, audio in recordings.items()}
        self.says, self.calls = says, 0

    def describe(self) -> dict[str, Any]:
        return {"model": "ear"}

    def __call__(self, audio: Audio) -> Transcript:
        self.calls += 1
        likeness = {text: float(s @ _spectrum(audio)) for text, s in self.known.items()}
        best = max(likeness, key=likeness.__getitem__)
        return Transcript(text=self.says(best) if likeness[best] > 0.95 else "шум")

    def speech_seconds(self, audio: Audio) -> None:
        return None


def _spectrum(audio: Audio) -> np.ndarray:
    samples = np.trim_zeros(audio.samples).astype(np.float64)
    magnitude = np.abs(np.fft.rfft(samples, 1 << 16))
    smooth = np.convolve(magnitude, np.ones(9), "same")
    return smooth / np.linalg.norm(smooth)


@pytest.fixture
def manifest() -> Manifest:
    from intona.evaluation import Row

    return Manifest(rows=tuple(Row(id=f"u{i}", text=text) for i, text in enumerate(TEXTS)))


@pytest.fixture(scope="session")
def spoken(voice: Callable[..., Audio]) -> dict[str, Audio]:
    """text -> a "recording" of 0.8 s with a pitch of its own."""
    return {text: voice(0.8, f0=105.0 + 17 * i) for i, text in enumerate(TEXTS)}


class Bench:
    """`run(change)`: the recordings, each through `change`, judged against the recordings themselves."""

    def __init__(self, path: Path, manifest: Manifest, spoken: dict[str, Audio]) -> None:
        self.path, self.manifest, self.spoken = path, manifest, spoken
        self.reference = self.folder("reference")

    def folder(self, name: str, change: Callable[[Audio], Audio | None] = lambda a: a) -> Path:
        out = self.path / name
        out.mkdir()
        for row in self.manifest.rows:
            self.write(out / f"{row.id}.wav", change(self.spoken[row.text]))
        return out

    @staticmethod
    def write(path: Path, audio: Audio | None) -> None:
        if audio is not None:
            soundfile.write(path, audio.samples, audio.sample_rate, subtype="FLOAT")

    def judges(self, says: Callable[[str], str] = str) -> list[Judge | Unavailable]:
        """All judges, the recognizer replaced by the ear, without the slow predictors."""
        ear = SharedTranscriber(Ear(self.spoken, says))
        normalize = normalizer("ru")
        mine: list[Judge | Unavailable] = [
            AsrJudge(ear, normalize),
            FailureJudge(ear, normalize),
        ]
        rest = ("f0", "contour", "timing", "against_reference", "pitch_errors", "intonation", "mcd")
        return mine + build_judges(Inputs(reference=True), rest)

    def run(self, wavs: Path, *, judges: Any = None, says: Callable[[str], str] = str, **more: Any) -> Report:
        judges = self.judges(says) if judges is None else judges
        reference = (
            self.reference if any(isinstance(j, Judge) and j.needs_reference for j in judges) else None
        )
        return evaluate(
            more.pop("systems", {"ours": wavs}),
            more.pop("manifest", self.manifest),
            out=more.pop("out", self.path / "report"),
            reference=reference,
            judges=judges,
            config=EvaluationConfig(resamples=300),
            **more,
        )

    def hearing(self, says: Callable[[str], str] = str) -> list[Judge]:
        """WER and CER alone."""
        return [AsrJudge(Ear(self.spoken, says), normalizer("ru"))]

    def records(self) -> list[dict[str, Any]]:
        lines = (self.path / "report" / "records.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
def bench(tmp_path: Path, manifest: Manifest, spoken: dict[str, Audio]) -> Bench:
    return Bench(tmp_path, manifest, spoken)


@pytest.fixture
def values() -> Callable[[Report], dict[str, float]]:
    """Headline figures of "ours": counted where the measure counts failures, else scored."""

    def read(report: Report) -> dict[str, float]:
        cells = report.row("ours").cells
        return {name: c.headline.estimate for name, c in cells.items() if c.headline is not None}

    return read
