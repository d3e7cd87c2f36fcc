"""What every judge must say of a copy, of silence, of 6 dB, of 100 ms, of an octave, of a hole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from intona.audio import Audio
from intona.evaluation import to_markdown

RATE = 16_000
Values = Callable[..., dict[str, float]]
ZERO = ("wer", "cer", "f0_rmse", "gpe", "vde", "ffe", "f0_octave", "f0_residual", "declination_error", "mcd")
ONE = ("f0_corr", "f0_wcorr", "f0_range_ratio", "duration_ratio", "final_agreement")


def test_a_copy_is_perfect(bench: Any, values: Values) -> None:
    found = values(bench.run(bench.folder("ours")))
    assert {k: found[k] for k in ZERO} == pytest.approx(dict.fromkeys(ZERO, 0.0), abs=1e-6)
    assert {k: found[k] for k in ONE} == pytest.approx(dict.fromkeys(ONE, 1.0), abs=1e-6)
    assert (found["mcd_c0"], found["ar_failure"]) == (pytest.approx(0.0, abs=1e-6), 0.0)


def test_silence_is_a_failure_everywhere(bench: Any, values: Values) -> None:
    """Only what has a worst value has a figure, and that figure is the worst."""
    wavs = bench.folder("ours", lambda a: Audio(np.zeros_like(a.samples), RATE))
    report = bench.run(wavs)
    worst = {"wer": 1.0, "cer": 1.0, "ar_failure": 1.0, "cut_off": 1.0, "omission": 1.0}
    assert values(report) == worst
    assert report.row("ours").failures == {"silent": 4}


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_six_decibels_are_nothing_but_c0(bench: Any, values: Values, gain: float) -> None:
    found = values(bench.run(bench.folder("ours", lambda a: Audio(a.samples * np.float32(gain), RATE))))
    assert found["wer"] == found["ar_failure"] == 0.0
    assert found["f0_rmse"] < 10 and found["f0_corr"] > 0.999 and found["ffe"] < 0.01
    assert found["mcd"] < 0.2
    assert found["mcd_c0"] == pytest.approx(10 / np.log(10) * np.sqrt(2) * np.log(2), abs=0.1)
    assert found["duration_ratio"] == pytest.approx(1.0, abs=0.01)


def test_a_hundred_milliseconds_are_nothing(bench: Any, values: Values) -> None:
    found = values(bench.run(bench.folder("ours", lambda a: Audio(np.pad(a.samples, (1_600, 0)), RATE))))
    assert found["wer"] == 0.0
    assert found["f0_rmse"] < 60 and found["ffe"] < 0.08 and found["mcd"] < 1.0
    assert found["duration_ratio"] == pytest.approx(1.0, abs=0.03)
    assert found["duration_ratio_raw"] == pytest.approx(0.9 / 0.8)


def test_an_octave_up_is_pitch_and_not_melody(
    bench: Any, values: Values, voice: Callable[..., Audio]
) -> None:
    """F0 RMSE 1200 cents, GPE 1, all of it octave errors; the correlation and the contour hardly move."""
    wavs = bench.path / "ours"
    wavs.mkdir()
    for i, row in enumerate(bench.manifest.rows):
        bench.write(wavs / f"{row.id}.wav", voice(0.8, f0=2 * (105.0 + 17 * i)))
    found = values(bench.run(wavs))
    assert found["f0_rmse"] == pytest.approx(1200, rel=0.06)
    assert found["gpe"] > 0.95 and found["f0_octave"] > 0.6
    assert found["f0_corr"] > 0.6 and found["f0_residual"] < 2.0
    assert found["f0_range_ratio"] == pytest.approx(1.0, abs=0.25)


def test_a_missing_file(bench: Any, values: Values) -> None:
    """Its words are deleted; distances are over the other three and say so."""
    wavs = bench.folder("ours")
    (wavs / "u1.wav").unlink()
    report = bench.run(wavs)
    words = [len(r.text.split()) for r in bench.manifest.rows]
    assert values(report)["wer"] == pytest.approx(words[1] / sum(words))
    assert report.row("ours").cells["wer"].scored.estimate == 0.0  # type: ignore[union-attr]
    assert report.row("ours").cells["f0_rmse"].scored.n == 3  # type: ignore[union-attr]
    assert values(report)["cut_off"] == 0.25
    assert "| 3/4 | 1 missing |" in to_markdown(report)


def test_ten_insertions(bench: Any, values: Values) -> None:
    """Ten words more in one of four utterances: 10 / N, whatever the others say."""
    first = bench.manifest.rows[0].text
    says = lambda text: text + " ля" * 10 if text == first else text  # noqa: E731
    found = values(bench.run(bench.folder("ours"), says=says))
    total = sum(len(r.text.split()) for r in bench.manifest.rows)
    assert found["wer"] == pytest.approx(10 / total)
    assert (found["repeat"], found["ar_failure"], found["omission"]) == (0.25, 0.25, 0.0)
