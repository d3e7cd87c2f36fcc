"""Audio for listening tests: one loudness for all clips, the anchor, the beeps of attention checks."""

from __future__ import annotations

import math

import numpy as np
from scipy import signal

from intona.audio import Audio
from intona.errors import UserError

TARGET_LUFS = -23.0  # EBU R 128
PEAK = 10 ** (-1 / 20)  # no clip may exceed -1 dB of full scale
ANCHOR_HZ = 3500.0


def loudness(audio: Audio) -> float:
    """Integrated loudness in LUFS, ITU-R BS.1770-4: K-weighting, blocks of 400 ms, gates at -70 and -10.

    The filters are the analogue prototypes of the standard at the sample rate of the clip (De Man 2014), so
    that nothing is resampled. A clip shorter than a block is one block. -inf for silence.
    """
    x = np.asarray(audio.samples, dtype=np.float64)
    for b, a in _k_weighting(audio.sample_rate):
        x = np.asarray(signal.lfilter(b, a, x))
    size = min(len(x), round(0.4 * audio.sample_rate))
    if size == 0:
        return -math.inf
    hop = max(1, size // 4)
    total = np.concatenate([[0.0], np.cumsum(x * x)])
    starts = np.arange(0, len(x) - size + 1, hop)
    power = (total[starts + size] - total[starts]) / size
    with np.errstate(divide="ignore"):
        levels = -0.691 + 10 * np.log10(np.maximum(power, 0))
    loud = power[levels > -70.0]
    if not loud.size:
        return -math.inf
    gate = -0.691 + 10 * math.log10(float(loud.mean())) - 10.0
    kept = power[(levels > -70.0) & (levels > gate)]
    return -0.691 + 10 * math.log10(float(kept.mean()))


def _k_weighting(rate: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The shelf and the high-pass of BS.1770 for any sample rate."""
    k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = (
        np.array([high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k]) / a0,
        np.array([a0, 2 * (k * k - 1), 1 - k / q + k * k]) / a0,
    )
    k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    low = (np.array([1.0, -2.0, 1.0]), np.array([a0, 2 * (k * k - 1), 1 - k / q + k * k]) / a0)
    return [shelf, low]


def common_target(clips: list[Audio]) -> float:
    """The loudness that all clips can have without clipping: -23 LUFS, or less.

    Nothing is ever limited or compressed, because that would be audible.
    """
    return min(TARGET_LUFS, *(_at_full_scale(c) + 20 * math.log10(PEAK) for c in clips))


def _at_full_scale(audio: Audio) -> float:
    """Loudness of the clip at a peak of 1, so that a very quiet one is not below the gate at -70 LUFS."""
    return loudness(Audio(audio.samples / np.float32(audio.peak), audio.sample_rate))


def equalized(audio: Audio, target: float) -> Audio:
    """The same audio at `target` LUFS: one gain for the whole clip."""
    gain = 10 ** ((target - _at_full_scale(audio)) / 20) / audio.peak
    return Audio(audio.samples * np.float32(gain), audio.sample_rate)


def anchor(audio: Audio) -> Audio:
    """Low-passed at 3.5 kHz: flat to 3.5, 60 dB down from 4 kHz on (BS.1534-3 requires 25 at 4, 50 at 4.5).

    Raises:
        UserError: the sample rate leaves nothing above the cut-off.
    """
    if audio.sample_rate < 9000:
        raise UserError(f"a 3.5 kHz anchor needs more than {audio.sample_rate} Hz", hint="use another kind")
    taps, beta = signal.kaiserord(60.0, 500.0 / (audio.sample_rate / 2))
    taps += 1 - taps % 2  # an odd number delays by whole samples
    window = signal.get_window(("kaiser", beta), taps, fftbins=False)
    t = (np.arange(taps) - taps // 2) / audio.sample_rate
    response = window * np.sinc(2 * (ANCHOR_HZ + 250.0) * t)
    response /= response.sum()
    out = signal.fftconvolve(np.asarray(audio.samples, dtype=np.float64), response, mode="same")
    return Audio(out.astype(np.float32), audio.sample_rate)


def beeps(count: int, rate: int) -> Audio:
    """`count` short tones: a number that is the same in any language."""
    t = np.arange(round(0.16 * rate)) / rate
    ramp = np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.015)
    tone = 0.25 * ramp * np.sin(2 * np.pi * 700.0 * t)
    gap = np.zeros(round(0.24 * rate))
    edge = np.zeros(round(0.3 * rate))
    pieces = [edge, *[x for _ in range(count) for x in (tone, gap)], edge]
    return Audio(np.concatenate(pieces).astype(np.float32), rate)
