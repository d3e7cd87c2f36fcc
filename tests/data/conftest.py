"""A small real corpus, prepared once, and a speech-like tone to build others from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import SPLITS, Prepared, read_mark, seal
from intona.jsonl import write_jsonl

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


@pytest.fixture
def format_1() -> Callable[[Path, Path], Path]:
    """`format_1(directory, out)`: a prepared directory as earlier versions wrote it."""

    def convert(directory: Path, out: Path) -> Path:
        prepared, mark = Prepared.open(directory), read_mark(directory)
        skipped = ("index.arrow", "durations.arrow", "mels", "prepared.json", "pitch*")
        shutil.copytree(directory, out, ignore=shutil.ignore_patterns(*skipped))
        prepared.mels[:].tofile(out / "mels.bin")
        rows = [asdict(item) for item in prepared]
        for row in rows:
            row["words"] = [[w["text"], w["start"], w["end"]] for w in row["words"]]
        write_jsonl(out / "manifest.jsonl", rows)
        splits = {name: [i.id for i in prepared.items(name)] for name in SPLITS}
        (out / "splits.json").write_text(json.dumps(splits, ensure_ascii=False, indent=2) + "\n")
        kept = ("frames", "speakers", "languages", "frontends", "origin", "mel_fingerprint")
        seal(out, **{name: mark[name] for name in kept})
        durations = {i.id: d for i in prepared if (d := prepared.durations(i)) is not None}
        if durations:
            header = {"format": 1, "source": prepared.durations_source, "fingerprint": prepared.fingerprint}
            lines = [{"id": id, "durations": durations[id].tolist()} for id in sorted(durations)]
            write_jsonl(out / "durations.jsonl", [header, *lines])
        return out

    return convert
