"""Fundamental frequency, voicing and energy, on the frame grid of the mel: frame t at (t + 1/2) * hop."""

from __future__ import annotations

import math
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from intona.audio.io import Audio
from intona.errors import UserError, unknown

HOP_SECONDS = 256 / 22050
_IMPORTING = threading.Lock()
Method = Literal["yin", "harvest"]
METHOD: Method = "yin"  # behind every published figure of F0
_YIN_RATE = 16000
_QUIET = 1e-4  # power relative to the loud frames (-40 dB) below which no frame is called voiced
_UNVOICED = 0.5  # depth of a dip at 147 Hz above which a frame counts as unvoiced
_BIAS = 0.04  # in depth per octave, towards short periods


@dataclass(frozen=True, kw_only=True)
class F0:
    """A pitch contour.

    Args:
        f0: (T,) Hz, 0 where unvoiced.
        hop_seconds: time between frames; frame t is at (t + 1/2) * hop_seconds.
        method: the tracker that computed it.
    """

    f0: np.ndarray
    hop_seconds: float
    method: str

    @property
    def voiced(self) -> np.ndarray:
        """(T,) bool."""
        return self.f0 > 0

    @property
    def times(self) -> np.ndarray:
        """(T,) seconds."""
        return (np.arange(len(self.f0)) + 0.5) * self.hop_seconds

    @property
    def median(self) -> float:
        """Median of the voiced frames in Hz; NaN if there are none."""
        return median_hz(self.f0)

    def cents(self, reference: float | None = None) -> np.ndarray:
        """(T,) cents above `reference` Hz (default: the median), NaN where unvoiced."""
        return hz_to_cents(self.f0, self.median if reference is None else reference)


def hz_to_cents(f0: np.ndarray, reference: float) -> np.ndarray:
    """1200 log2(f0 / reference); NaN where f0 is 0."""
    f0 = np.asarray(f0, np.float64)
    out = np.full(f0.shape, np.nan)
    voiced = f0 > 0
    out[voiced] = 1200 * np.log2(f0[voiced] / reference)
    return out


def median_hz(f0: np.ndarray) -> float:
    """Median over the voiced (non-zero) values; NaN if there are none."""
    voiced = np.asarray(f0)[np.asarray(f0) > 0]
    return float(np.median(voiced)) if len(voiced) else math.nan


def n_frames(audio: Audio, hop_seconds: float) -> int:
    """The number of frames T, as for the mel spectrogram: whole hops only."""
    return math.floor(len(audio.samples) / (audio.sample_rate * hop_seconds) + 1e-6)


def f0_contour(
    audio: Audio,
    hop_seconds: float = HOP_SECONDS,
    *,
    f_min: float = 60.0,
    f_max: float = 600.0,
    method: Method = METHOD,
) -> F0:
    """Pitch of speech.

    Args:
        method: "yin" (in this module), or "harvest" (WORLD, Morise 2017; needs pyworld), which misses a third
            of a low synthetic voice: `benchmarks/pitch.py`, docs/notebook/front-end.md.

    Raises:
        UserError: "harvest" without pyworld; limits that are no range.
    """
    if not 20 <= f_min < f_max <= 2000:
        raise UserError(f"pitch limits {f_min:g} to {f_max:g} Hz: 20 <= f_min < f_max <= 2000 must hold")
    if method not in ("yin", "harvest"):
        unknown("pitch method", method, ("yin", "harvest"))
    total = n_frames(audio, hop_seconds)
    estimate = _harvest if method == "harvest" else _yin
    # A pitch needs at least two periods of the lowest one.
    f0 = estimate(audio, total, hop_seconds, f_min, f_max) if audio.duration * f_min >= 2 else np.zeros(total)
    return F0(f0=f0.astype(np.float32), hop_seconds=hop_seconds, method=method)


def energy(
    audio: Audio, hop_seconds: float = HOP_SECONDS, *, win_seconds: float = 4 * HOP_SECONDS
) -> np.ndarray:
    """RMS level (T,) float32 in dB relative to full scale, in a window around each frame; at least -100."""
    square = np.concatenate([[0.0], np.cumsum(audio.samples.astype(np.float64) ** 2)])
    centre = (np.arange(n_frames(audio, hop_seconds)) + 0.5) * hop_seconds * audio.sample_rate
    half = win_seconds * audio.sample_rate / 2
    first = np.clip(np.rint(centre - half).astype(np.int64), 0, len(square) - 1)
    last = np.clip(np.rint(centre + half).astype(np.int64), 0, len(square) - 1)
    mean = (square[last] - square[first]) / np.maximum(last - first, 1)
    return (10 * np.log10(np.maximum(mean, 1e-10))).astype(np.float32)


def pyworld() -> Any:
    """The module of WORLD, or None where it cannot be imported.

    Its import also fails where setuptools is too new to contain pkg_resources.
    """
    with _IMPORTING:  # `catch_warnings` changes the filters of the whole process: it is entered once
        if (module := sys.modules.get("pyworld")) is not None:
            return module
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the deprecation of pkg_resources
                import pyworld as module
        except ImportError:
            return None
        return module


def _harvest(audio: Audio, total: int, hop_seconds: float, f_min: float, f_max: float) -> np.ndarray:
    world = pyworld()
    if world is None:
        raise UserError(
            "harvest needs pyworld, which cannot be imported",
            hint="pip install pyworld 'setuptools<81', or use method=\"yin\"",
        )
    # Frames at twice the rate; the odd ones fall on (t + 1/2) * hop.
    f0, _ = world.harvest(
        audio.samples.astype(np.float64), audio.sample_rate, f_min, f_max, 1000 * hop_seconds / 2
    )
    f0 = f0[1::2][:total]
    f0 = np.pad(f0, (0, total - len(f0)))
    # Harvest reports a pitch nearly everywhere, even in the noise between words.
    return f0 * _loud(10 ** (energy(audio, hop_seconds).astype(np.float64) / 10))


def _loud(power: np.ndarray) -> np.ndarray:
    """(T,) bool: frames that are not silence, relative to the loud frames of this recording."""
    return power > max(1e-8, _QUIET * float(np.quantile(power, 0.95))) if len(power) else np.zeros(0, bool)


def _yin(audio: Audio, total: int, hop_seconds: float, f_min: float, f_max: float) -> np.ndarray:
    """YIN (de Cheveigné & Kawahara 2002, equations 6-8), the path over frames chosen by Viterbi."""
    audio = audio.resample(_YIN_RATE)
    longest = math.ceil(_YIN_RATE / f_min) + 1
    shortest = max(2, math.floor(_YIN_RATE / f_max))
    window = 2 * longest
    length = window + longest
    n_fft = _fast_length(length + window)
    x = np.pad(audio.samples, (length, length))
    centres = np.rint((np.arange(total) + 0.5) * hop_seconds * _YIN_RATE).astype(np.int64) + length
    # The two segments compared at lag tau are centred at (window + tau) / 2: here for a voice of 150 Hz.
    starts = np.clip(centres - (window + _YIN_RATE // 150) // 2, 0, len(x) - length)
    levels, periods, costs = np.zeros(total), np.zeros((total, 6)), np.ones((total, 6))
    for block in range(0, total, 256):
        s = starts[block : block + 256]
        frames = x[s[:, None] + np.arange(length)].astype(np.float64)
        square = np.concatenate([np.zeros((len(s), 1)), np.cumsum(frames**2, axis=1)], axis=1)
        head = np.fft.rfft(frames[:, :window], n_fft)
        tail = np.fft.rfft(frames, n_fft)
        correlation = np.fft.irfft(np.conj(head) * tail, n_fft)[:, : longest + 1]
        lags = np.arange(longest + 1)
        power = square[:, window : window + 1] + square[:, window + lags] - square[:, lags]
        difference = np.maximum(power - 2 * correlation, 0)
        mean = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
        normal = np.ones_like(difference)
        normal[:, 1:] = difference[:, 1:] / np.maximum(mean, 1e-12)
        levels[block : block + len(s)] = square[:, -1] / length
        for i, d in enumerate(normal):
            p, c = _dips(d, shortest, longest)
            periods[block + i, : len(p)], costs[block + i, : len(p)] = p, c
    return _viterbi(periods, costs, _loud(levels), hop_seconds / HOP_SECONDS)


def _fast_length(least: int) -> int:
    """The smallest length from `least` on that has no prime factor above 5, of which transforms are quick."""
    for n in range(least, 2 * least + 1):
        rest = n
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return n
    raise ValueError(f"{least} is no length")


def _dips(d: np.ndarray, shortest: int, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The five deepest minima of the normalised difference: periods in samples (parabola) and depths."""
    inner = d[shortest:longest]
    falls, rises = inner < d[shortest - 1 : longest - 1], inner <= d[shortest + 1 : longest + 1]
    at = np.flatnonzero(falls & rises) + shortest
    at = at[np.argsort(d[at])[:5]]
    left, middle, right = d[at - 1], d[at], d[at + 1]
    bend = np.maximum(left - 2 * middle + right, 1e-9)
    shift = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return at + shift, np.maximum(middle - 0.125 * (right - left) ** 2 / bend, 0)


def _viterbi(periods: np.ndarray, costs: np.ndarray, loud: np.ndarray, hops: float) -> np.ndarray:
    """One candidate per frame, the last of which means unvoiced: by depth, short periods, few jumps.

    The cost of a frame is scaled by its length in default hops: a jump costs the same on any grid.
    """
    total, k = periods.shape
    if total == 0:
        return np.zeros(0)
    pitch = np.zeros_like(periods)
    valid = periods > 0
    pitch[valid] = np.log2(_YIN_RATE / periods[valid])
    local = np.where(valid & loud[:, None], costs - _BIAS * pitch, 10.0)
    local[:, k - 1] = _UNVOICED - _BIAS * 7.2
    local *= hops
    back = np.zeros((total, k), np.int64)
    score = local[0]
    for t in range(1, total):
        move = np.minimum(0.6 * np.abs(pitch[t][None, :] - pitch[t - 1][:, None]), 0.4)
        move[k - 1, :] = move[:, k - 1] = 0.12
        move[k - 1, k - 1] = 0.0
        whole = score[:, None] + move
        back[t] = np.argmin(whole, axis=0)
        score = whole[back[t], np.arange(k)] + local[t]
    path = np.zeros(total, np.int64)
    path[-1] = int(np.argmin(score))
    for t in range(total - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    chosen = pitch[np.arange(total), path]
    return np.where(path < k - 1, np.exp2(chosen), 0.0) * (path < k - 1)
