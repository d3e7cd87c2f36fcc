"""Loudness against the standard's own numbers, the anchor against its mask, beeps against a count."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.listen import sound


def sine(hz: float, rate: int, *, seconds: float = 5.0, level: float = 1.0) -> Audio:
    t = np.arange(round(seconds * rate)) / rate
    return Audio((level * np.sin(2 * np.pi * hz * t)).astype(np.float32), rate)


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
def test_loudness_of_a_sine(rate: int):
    """BS.1770: a full-scale sine of 997 Hz in one channel reads -3.01 LKFS; the gain adds in dB."""
    assert sound.loudness(sine(997, rate)) == pytest.approx(-3.01, abs=0.05)
    assert sound.loudness(sine(997, rate, level=0.1)) == pytest.approx(-23.01, abs=0.05)


def test_the_filters_are_the_published_ones_at_48_khz():
    """Coefficients of BS.1770-4, tables 1 and 2."""
    (b1, a1), (b2, a2) = sound._k_weighting(48000)
    assert b1 == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-6)
    assert a1 == pytest.approx([1.0, -1.69065929318241, 0.73248077421585], abs=1e-6)
    assert b2 == pytest.approx([1.0, -2.0, 1.0])
    assert a2 == pytest.approx([1.0, -1.99004745483398, 0.99007225036621], abs=1e-6)


def test_silence_does_not_count(voice: Callable[..., Audio]):
    speech = voice(2.0)
    padded = Audio(np.concatenate([speech.samples, np.zeros(4 * speech.sample_rate, np.float32)]), 16000)
    assert sound.loudness(padded) == pytest.approx(sound.loudness(speech), abs=0.2)
    assert sound.loudness(Audio(np.zeros(16000, np.float32), 16000)) == -np.inf
    assert np.isfinite(sound.loudness(voice(0.1)))


def test_one_loudness_and_no_clipping(voice: Callable[..., Audio]):
    clips = [sine(300, 16000, level=0.9), voice(1.0), Audio(voice(1.0).samples * 0.01, 16000)]
    target = sound.common_target(clips)
    assert target == sound.TARGET_LUFS
    # One click as loud as the format allows lowers the level of all, and nothing is limited.
    click = voice(1.0).samples * 0.02
    click[8000] = 1.0
    low = sound.common_target([*clips, Audio(click, 16000)])
    made = [sound.equalized(c, low) for c in [*clips, Audio(click, 16000)]]
    assert low < target
    assert [sound.loudness(m) for m in made] == pytest.approx([low] * 4, abs=0.01)
    assert max(m.peak for m in made) == pytest.approx(sound.PEAK, abs=1e-4)


@pytest.mark.parametrize("rate", [16000, 22050, 48000])
def test_the_anchor_fits_the_mask(rate: int):
    """BS.1534-3: ± 0.1 dB up to 3.5 kHz, 25 dB down at 4 kHz, 50 dB at 4.5 kHz; no delay."""
    pulse = np.zeros(rate, np.float32)
    pulse[rate // 2] = 1.0
    out = sound.anchor(Audio(pulse, rate)).samples
    assert np.argmax(np.abs(out)) == rate // 2
    hz, response = signal.freqz(out.astype(np.float64), worN=8192, fs=rate)
    level = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(level[hz <= 3500]).max() < 0.1
    assert level[hz >= 4000].max() < -25 and level[hz >= 4500].max() < -50
    with pytest.raises(UserError, match="needs more than 8000 Hz"):
        sound.anchor(Audio(pulse[:8000], 8000))


@pytest.mark.parametrize("count", [1, 5, 10])
def test_beeps_can_be_counted(count: int):
    loud = np.abs(sound.beeps(count, 16000).samples) > 0.02
    smooth = np.convolve(loud, np.ones(160), "same") > 0
    assert int((np.diff(smooth.astype(int)) == 1).sum()) == count
