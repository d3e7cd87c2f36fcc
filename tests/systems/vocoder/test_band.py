"""Where the content of recordings ends."""

from __future__ import annotations

import numpy as np
import pytest

from intona.audio import Audio
from intona.systems.vocoder.band import content_band


def noise(rate: int, seconds: float = 2.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(rate * seconds)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 20000])
def test_a_recording_ends_at_half_of_its_first_rate(rate: int) -> None:
    audio = Audio(noise(rate), rate).resample(22050)
    assert content_band(audio) == pytest.approx(rate / 2, rel=0.05)


def test_noise_above_the_content_does_not_count() -> None:
    samples = Audio(noise(16000), 16000).resample(22050).samples
    dither = np.random.default_rng(1).normal(0, 1e-4, len(samples)).astype(np.float32)
    assert content_band(Audio(samples + dither, 22050)) == pytest.approx(8000, rel=0.05)


def test_a_whole_band_that_falls_gently_is_whole() -> None:
    white = np.fft.rfft(noise(22050))
    octaves = np.log2(np.maximum(np.arange(len(white)), 100) / 100)
    falling = np.fft.irfft(white * 10 ** (-9 * octaves / 20)).astype(np.float32)
    assert content_band(Audio(noise(22050), 22050)) == 11025
    assert content_band(Audio(falling, 22050)) == 11025
    assert content_band(Audio(np.zeros(9999, np.float32), 22050)) == 11025
