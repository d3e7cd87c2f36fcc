"""benchmarks/pseudo_speakers.py: warps in closed form, the split, and similarities of known vectors."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from intona.audio import Audio
from intona.audio.pitch import f0_contour, median_hz, pyworld
from intona.data.prepare import PrepareConfig, prepare
from intona.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "benchmarks_pseudo_speakers", ROOT / "benchmarks/pseudo_speakers.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_f0_is_shifted_and_scaled_about_its_mean(tool: ModuleType) -> None:
    f0 = np.array([0.0, 100.0, 400.0, 0.0])
    warped = tool.warp_f0(f0, tool.Warp(formants=1, semitones=12, range=0.5))
    assert warped == pytest.approx([0, 2 * 200 / np.sqrt(2), 2 * 200 * np.sqrt(2), 0])
    assert not tool.warp_f0(np.zeros(3), tool.Warp(formants=1, semitones=12, range=1)).any()


def test_the_envelope_is_stretched(tool: ModuleType) -> None:
    bins = np.arange(513)
    envelope = np.exp(-(((bins - 100) / 20) ** 2))[None] + 1e-6
    assert tool.warp_envelope(envelope, 1.0) == pytest.approx(envelope)
    assert tool.warp_envelope(envelope, 1.2)[0].argmax() == 120
    assert tool.warp_envelope(envelope, 0.8)[0].argmax() == 80


def test_warps_fill_their_ranges_and_follow_from_the_seed(tool: ModuleType) -> None:
    warps = tool.draw_warps(100, 3)
    assert warps == tool.draw_warps(100, 3) != tool.draw_warps(100, 4)
    assert len({w.semitones for w in warps}) > 95
    for name, (low, high) in (("formants", tool.FORMANTS), ("semitones", tool.SEMITONES)):
        values = sorted(getattr(w, name) for w in warps)
        assert low <= values[0] and values[-1] <= high
        assert (values[-1] - values[0]) > 0.9 * (high - low)


def recordings(tool: ModuleType, readers: tuple[str, ...] = ("a", "b"), n: int = 5) -> list:
    return [
        tool.Recording(id=f"{r}{i}", text="да", speaker=r, path=Path("x.wav"))
        for r in readers
        for i in range(n)
    ]


def test_every_reader_has_its_share_of_the_held_out(tool: ModuleType) -> None:
    voices = tool.plan(recordings(tool), speakers=40, share=0.1, per_speaker=3, seed=0)
    assert voices == tool.plan(recordings(tool), speakers=40, share=0.1, per_speaker=3, seed=0)
    held = [v for v in voices if v.held_out]
    assert [v.source for v in held].count("a") == [v.source for v in held].count("b") == 2
    assert voices[0].label == "synthetic warp of a" and len({v.id for v in voices}) == 40
    assert all(len(set(v.recordings)) == 3 and v.recordings[0].startswith(v.source) for v in voices)
    with pytest.raises(UserError, match="no speaker has 9"):
        tool.plan(recordings(tool), speakers=4, share=0.1, per_speaker=9, seed=0)
    with pytest.raises(UserError, match="share between"):
        tool.plan(recordings(tool), speakers=4, share=1.0, per_speaker=2, seed=0)


def unit(*values: float) -> np.ndarray:
    vector = np.array(values)
    return vector / np.linalg.norm(vector)


def test_similarities_of_known_vectors(tool: ModuleType) -> None:
    held = {"a1": unit(1, 0, 0), "a2": unit(1, 0, 0), "b1": unit(0, 1, 0), "b2": unit(0, 1, 0)}
    of = {"a1": "a", "a2": "a", "b1": "b", "b2": "b", "t1": "t"}
    spoken = {"a1.0": unit(1, 0, 0), "a1.1": unit(1, 1, 0), "b2": unit(0, 0, 1)}
    measured = tool.similarities(spoken, held, {"t1": unit(0, 0, 1)}, of)
    assert measured["sim_o"]["a"] == pytest.approx([1, np.sqrt(0.5)]) and measured["sim_o"]["b"] == [0]
    assert measured["chance"] == {"a": [0, 0], "b": [0]} and measured["ceiling"] == {
        "a": [1, 1],
        "b": [1],
    }
    assert measured["nearest_training_voice"]["b"] == [1] and measured["nearest_training_voice"]["a"] == [
        0,
        0,
    ]
    table = tool.summary(measured)
    assert table["sim_o"]["estimate"] == pytest.approx((1 + np.sqrt(0.5) + 0) / 3)
    assert table["sim_o - nearest_training_voice"]["estimate"] == pytest.approx((1 + np.sqrt(0.5) - 1) / 3)
    with pytest.raises(UserError, match="names no held-out recording"):
        tool.similarities({"t1.0": unit(1, 0, 0)}, held, {}, of)
    with pytest.raises(UserError, match="fewer than two"):
        tool.similarities({}, {"a1": unit(1, 0)}, {}, of)


def vowel(hz: float, seconds: float = 0.8, rate: int = 16000) -> Audio:
    time = np.arange(round(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 12))
    return Audio((0.2 * np.asarray(wave)).astype(np.float32), rate)


@pytest.mark.skipif(pyworld() is None, reason="pyworld is not installed")
def test_a_warp_keeps_the_length_and_shifts_the_pitch(tool: ModuleType) -> None:
    audio = vowel(150)
    warped = tool.warp_audio(audio, tool.Warp(formants=1.1, semitones=4, range=1.0))
    assert len(warped.samples) == len(audio.samples)
    assert median_hz(f0_contour(warped).f0) == pytest.approx(150 * 2 ** (4 / 12), rel=0.02)


@pytest.mark.skipif(pyworld() is None, reason="pyworld is not installed")
def test_a_folder_of_voices_is_prepared_and_judged(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "source", tmp_path / "warped"
    (source / "wavs").mkdir(parents=True)
    for n in range(3):
        vowel(120 + 30 * n).write(source / "wavs" / f"r{n}.wav")
    lines = "".join(f"r{n}|Раз, два, три.\n" for n in range(3))
    (source / "metadata.csv").write_text(lines, encoding="utf-8")
    line = ["x", "warp", str(source), "--output", str(out), "--speakers", "6", "--recordings", "2"]
    monkeypatch.setattr(sys, "argv", [*line, "--held-out", "0.34"])
    assert tool.main() == 0
    rows = [json.loads(row) for row in (out / "speakers.jsonl").read_text("utf-8").splitlines()]
    assert sum(r["held_out"] for r in rows) == 2 and rows[0]["label"] == "synthetic warp of reader"
    first = {p: p.read_bytes() for p in out.rglob("*.wav")}
    assert len(first) == 12
    next(iter(first)).unlink()
    assert tool.main() == 0  # resumes, with the same sound
    assert {p: p.read_bytes() for p in out.rglob("*.wav")} == first

    prepared = prepare(
        "csv", out / "train", tmp_path / "p", PrepareConfig(language="ru", dev=1, test=1, workers=0)
    )
    assert prepared is not None
    held = tool.read_corpus(out / "held-out")
    (tmp_path / "spoken").mkdir()
    for r in held:
        (tmp_path / "spoken" / f"{r.id}.0.wav").write_bytes(r.path.read_bytes())

    def embed(audio: Audio) -> np.ndarray:
        return unit(median_hz(f0_contour(audio).f0) / 100, 1.0)

    table = tool.judge(tmp_path / "spoken", out, embed)
    assert set(table) >= {"sim_o", "chance", "ceiling", "nearest_training_voice", "sim_o - chance"}
    assert table["sim_o"]["n"] == 2
