"""DistillMOS without torchaudio: segments against the published formula, scores against the package's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.judges import build_judges, distillmos
from intona.evaluation.judges.base import Inputs, Unavailable
from intona.evaluation.judges.distillmos import DistillMosJudge, weights_path
from intona.evaluation.judges.distillmos_net import HOP, SEGMENT, DistillMos, compressed_spectrogram, segments
from intona.evaluation.manifest import Row

ROW = Row(id="a", text="а")
needs_weights = pytest.mark.skipif(
    weights_path() is None, reason="distillmos is not installed (make offline)"
)


@pytest.mark.parametrize("length", [1, 100, SEGMENT - 1, SEGMENT, SEGMENT + 1, 200_000, 300_001, 481_237])
def test_segments_are_those_of_the_published_formula(length: int) -> None:
    x = torch.arange(length, dtype=torch.float32)
    extra = max(0, length - SEGMENT)
    starts = [int(c * extra) for c in np.linspace(0, 1, int(np.ceil(extra / HOP)) + 1)]
    padded = np.pad(x.numpy(), (0, max(0, SEGMENT - length)))
    assert np.array_equal(segments(x).numpy(), np.stack([padded[s : s + SEGMENT] for s in starts]))


def test_spectrogram_is_compressed_and_keeps_the_phase() -> None:
    x = torch.randn(1, 3200, generator=torch.Generator().manual_seed(0))
    out = compressed_spectrogram(x)
    assert out.shape == (1, 2, 161, 20)
    padded = np.pad(x[0].numpy(), 80, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(320) / 320)
    for frame in (0, 7, 19):
        spectrum = np.fft.rfft(padded[160 * frame : 160 * frame + 320] * window)
        expected = spectrum * np.abs(spectrum) ** -0.7
        assert np.allclose(out[0, 0, :, frame] + 1j * out[0, 1, :, frame], expected, atol=1e-4)


def test_network_takes_any_length_and_stays_in_range() -> None:
    network = DistillMos().eval()
    with torch.inference_mode():
        for length in (800, SEGMENT + 5000):
            score = network(torch.randn(length, generator=torch.Generator().manual_seed(1)))
            assert 1.0 <= float(score) <= 5.0


def test_without_the_wheel_the_column_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillmos, "weights_path", lambda: None)
    (judge,) = build_judges(Inputs(), ("distillmos",))
    assert isinstance(judge, Unavailable)
    assert judge.reason == "not installed"
    with pytest.raises(UserError, match="pip install --no-deps distillmos"):
        DistillMosJudge()


@needs_weights
@pytest.mark.parametrize(("seconds", "published"), [(2.0, 1.9487687), (10.25, 1.4846033)])
def test_scores_of_the_published_package(
    voice: Callable[..., Audio], seconds: float, published: float
) -> None:
    """Scores of distillmos 0.9.1's own code (torchaudio stubbed) on the same signals."""
    judge = DistillMosJudge()
    assert judge.predict(voice(seconds, vowels=False)) == pytest.approx(published, abs=1e-3)


@needs_weights
def test_level_and_rate_matter_little(voice: Callable[..., Audio]) -> None:
    judge = DistillMosJudge()
    audio = voice(2.0, vowels=False)
    quieter = Audio(audio.samples * np.float32(0.5), audio.sample_rate)
    assert judge.predict(quieter) == pytest.approx(judge.predict(audio), abs=1e-3)
    assert judge.predict(audio.resample(22050)) == pytest.approx(judge.predict(audio), abs=0.05)


@needs_weights
def test_a_changed_weight_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"x")
    monkeypatch.setattr(distillmos, "weights_path", lambda: path)
    with pytest.raises(UserError, match="sha256"):
        DistillMosJudge()
