"""The values of SSML's `<prosody>` and `<break>`: words, percentages, semitones, decibels, seconds."""

from __future__ import annotations

import math
import re

RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "default": 0.0, "high": 3.0, "x-high": 6.0}
RANGES = {"x-low": 0.3, "low": 0.6, "medium": 1.0, "default": 1.0, "high": 1.4, "x-high": 1.8}
ENERGIES = {
    "silent": -60.0, "x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 4.0, "x-loud": 8.0,
}  # fmt: skip
PAUSES = {"none": 0.0, "x-weak": 0.05, "weak": 0.15, "medium": 0.3, "strong": 0.6, "x-strong": 1.0}  # seconds

RATE, PITCH, RANGE, ENERGY, PAUSE = (0.25, 4.0), (-12.0, 12.0), (0.0, 3.0), (-60.0, 20.0), (0.0, 10.0)
_NUMBER = r"[+-]?(?:\d{1,6}(?:\.\d{0,6})?|\.\d{1,6})"
_VALUE = re.compile(rf"({_NUMBER})(%|st|db|hz|ms|s|)")


def rate_of(written: str) -> float | None:
    """A factor on the speaking rate: "slow", "80%", "+20%", "1.2"; None if it is something else."""
    if written in RATES:
        return RATES[written]
    number, unit, signed = _split(written)
    if number is None or unit not in ("%", ""):
        return None
    if unit == "%":
        number = number / 100 + signed
    return _within(number, RATE) if number > 0 else None


def pitch_of(written: str) -> float | None:
    """Semitones: "high", "+2st", "-10%"; None if it is something else, such as a frequency."""
    if written in PITCHES:
        return PITCHES[written]
    number, unit, signed = _split(written)
    if number is None:
        return None
    if unit == "st":
        return _within(number, PITCH)
    factor = number / 100 + signed if unit == "%" else 0.0
    return _within(12 * math.log2(factor), PITCH) if factor > 0 else None


def range_of(written: str) -> float | None:
    """A factor on the movement of the pitch: "low", "+20%", "80%"."""
    if written in RANGES:
        return RANGES[written]
    number, unit, signed = _split(written)
    if number is None or unit != "%":
        return None
    factor = number / 100 + signed
    return _within(factor, RANGE) if factor >= 0 else None


def energy_of(written: str) -> float | None:
    """Decibels: "loud", "+6dB", "-20%"; a bare number from 0 to 100 is a percentage (SSML 1.0)."""
    if written in ENERGIES:
        return ENERGIES[written]
    number, unit, signed = _split(written)
    if number is None:
        return None
    if unit == "db":
        return _within(number, ENERGY)
    if unit not in ("%", "") or (unit == "" and (signed or not 0 <= number <= 100)):
        return None
    factor = number / 100 + (signed if unit == "%" else 0)
    return _within(20 * math.log10(max(factor, 1e-6)), ENERGY) if factor >= 0 else None


def pause_of(written: str) -> float | None:
    """Seconds, at most ten: "500ms", "1.5s"."""
    number, unit, _ = _split(written)
    if number is None or number < 0 or unit not in ("ms", "s"):
        return None
    return _within(number / 1000 if unit == "ms" else number, PAUSE)


def _split(written: str) -> tuple[float | None, str, bool]:
    """The number, its unit, and whether it has a sign."""
    m = _VALUE.fullmatch(written)
    return (float(m[1]), m[2], written[0] in "+-") if m else (None, "", False)


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(max(value, limits[0]), limits[1])
