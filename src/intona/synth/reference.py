"""A recording whose voice is used or whose words are transcribed: its faults and its level."""

from __future__ import annotations

import math
import warnings

import numpy as np

from intona.audio import Audio
from intona.audio.io import faults
from intona.data.clean import CleanConfig, frame_levels
from intona.errors import UserError

MIN_SECONDS, MAX_SECONDS = 1.0, 60.0
LOWEST_RATE, FULL_RATE = 8000, 16000  # Hz
WHERE, USUAL = "reference", "give 3 to 10 s of one voice"


def reference_of(recording: Audio, sample_rate: int, *, longest: float) -> Audio:
    """A recording at `sample_rate`, trimmed, levelled and not longer than `longest` seconds.

    Raises:
        UserError: silent or flat, shorter than 1 s of speech, longer than a minute, below 8 kHz.
    """
    if recording.duration > MAX_SECONDS:
        raise _refused(f"{recording.duration:.0f} s long, at most {MAX_SECONDS:.0f} s are used")
    if recording.sample_rate < LOWEST_RATE:
        raise _refused(f"at {recording.sample_rate} Hz, at least {LOWEST_RATE} Hz are needed")
    if recording.duration < MIN_SECONDS:
        raise _refused(f"{recording.duration:.2f} s long, at least {MIN_SECONDS:g} s are needed")
    if not np.isfinite(recording.samples).all():
        raise UserError("holds NaN or infinite values", where=WHERE)
    if bad := [f for f in faults(recording) if not f.startswith("clipped")]:
        raise _refused(bad[0])
    if recording.sample_rate < FULL_RATE:
        warnings.warn(
            f"the reference is at {recording.sample_rate} Hz and holds nothing above "
            f"{recording.sample_rate // 2} Hz; so may the speech",
            stacklevel=4,
        )
    clean = levelled(recording.resample(sample_rate))
    if clean.duration < MIN_SECONDS:
        raise _refused(f"only {clean.duration:.2f} s of it are sound, at least {MIN_SECONDS:g} s are needed")
    return clean.trim(0, longest) if clean.duration > longest else clean


def _refused(what: str) -> UserError:
    return UserError(what, where=WHERE, hint=USUAL)


def silent(samples: np.ndarray, rate: int) -> bool:
    """Whether 95 % of the sound lies below the level of silence: a click is not speech."""
    x = samples - samples.mean(dtype=np.float64).astype(np.float32) if len(samples) else samples
    level = frame_levels(x, rate)
    return not len(level) or float(np.percentile(level, 95)) < CleanConfig().silence_db


def levelled(audio: Audio, *, where: str = WHERE) -> Audio:
    """A recording without the silence at both ends, at the loudness of prepared corpora.

    Raises:
        UserError: nothing but silence.
    """
    limits = CleanConfig()
    if silent(audio.samples, audio.sample_rate):
        raise UserError("nothing but silence", where=where)
    x = audio.samples - audio.samples.mean(dtype=np.float64).astype(np.float32)
    level = frame_levels(x, audio.sample_rate)
    loud = float(np.percentile(level, 95))
    active = level > loud - limits.trim_db
    loud_at, hop = np.flatnonzero(active), round(0.010 * audio.sample_rate)
    margin = round((limits.trim_margin + 0.025) * audio.sample_rate)
    x = x[max(0, loud_at[0] * hop - margin) : loud_at[-1] * hop + margin]
    speech = 10 * math.log10(float(np.mean(10.0 ** (level[active] / 10))) + 1e-12)
    gain = 10.0 ** ((limits.loudness_db - speech) / 20)
    return Audio(x * np.float32(min(gain, 0.95 / max(float(np.abs(x).max()), 1e-9))), audio.sample_rate)
