"""Where the content of a recording ends: at half of the lowest rate at which it was ever sampled."""

from __future__ import annotations

import numpy as np
import scipy.ndimage

from intona.audio import Audio

FFT = 2048
WINDOW_HZ = 250.0  # of the smoothed spectrum
ABOVE_NOISE_DB = 10.0  # content lies at least so much above the quietest band
CLIFF_HZ, CLIFF_DB = 300.0, 8.0  # speech itself falls more gently


def content_band(audio: Audio) -> float:
    """The highest frequency in Hz up to which the mean spectrum has content.

    That is half of the sampling rate, unless the spectrum falls off a cliff (by `CLIFF_DB` between `CLIFF_HZ`
    below and above) to a level from which it does not rise again.
    """
    nyquist = audio.sample_rate / 2
    if len(audio.samples) < FFT:
        return nyquist
    frames = np.lib.stride_tricks.sliding_window_view(audio.samples, FFT)[:: FFT // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(FFT).astype(np.float32)))).mean(0)
    bin_hz = nyquist / (len(power) - 1)
    smooth = scipy.ndimage.uniform_filter1d(power, max(1, round(WINDOW_HZ / bin_hz)), mode="nearest")
    level = 10 * np.log10(smooth + 1e-9 * smooth.max() + 1e-20)
    end = int(np.flatnonzero(level > level.min() + ABOVE_NOISE_DB).max(initial=0))
    step = round(CLIFF_HZ / bin_hz)
    below, above = level[max(0, end - step)], level[min(len(level) - 1, end + step)]
    return end * bin_hz if below - above >= CLIFF_DB and end + step < len(level) else nyquist
