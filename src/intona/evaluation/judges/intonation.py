"""The shape of the F0 contour over the utterance, which RMSE and frame correlation do not capture.

All F0 in semitones or, for the weighted correlation, in ERB-rate; frames as in `f0.py`. Sources:

- weighted correlation: Hermes 1998, "Measuring the perceptual similarity of pitch contours", JSLHR 41, 73-82:
  Pearson's on the ERB-rate scale, each frame weighted so that loud vowels count and weak edges hardly do.
  Hermes weights by the height of the subharmonic-sum peak, this code by the RMS amplitude of the recording.
- declination: the all-points regression line (Lieberman et al. 1985, JASA 77, 649-657; 't Hart, Collier &
  Cohen 1990, "A perceptual study of intonation", ch. 5), in st/s.
- residual: RMSE after each contour's regression line is subtracted: accents without register and slope,
  after the two components of 't Hart et al. 1990.
- final movement: the regression line of the last 300 ms of voicing; a rise or a fall when it passes the
  glissando threshold of continuous speech, 0.32 / T² st/s ('t Hart 1976; Mertens 2004, "The Prosogram"),
  else level.
- range: the 5-95 % span in st (Patterson 2000, "A linguistic approach to pitch range modelling").
"""

from __future__ import annotations

from typing import Any

import numpy as np

from intona.audio import Audio, energy, resampler_id
from intona.evaluation.judges.align import frame_seconds
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.judges.f0 import (
    MIN_FRAMES,
    RATE,
    aligned_contours,
    contour,
    describe_f0,
    describe_pair,
    pair,
    statistics,
    take,
)
from intona.evaluation.manifest import Row

FINAL_SECONDS = 0.3
GLISSANDO = 0.32
MIN_DECLINATION_SECONDS = (
    0.5  # between the first and last voiced frame; over less, the slope is that of an accent
)


class ContourJudge(Judge):
    """Declination (st/s) and final movement (st, over 300 ms) of the utterance itself."""

    name = "contour"
    measures = (
        Measure(name="declination", title="declination, st/s"),
        Measure(name="final_movement", title="final movement, st", digits=1),
    )

    def describe(self) -> dict[str, Any]:
        return {**describe_f0(), "final_seconds": FINAL_SECONDS}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        f0 = contour(audio)
        return {
            "declination": Score(value=declination(f0)),
            "final_movement": Score(value=final_movement(f0)),
        }


class IntonationJudge(Judge):
    """Against the recording: weighted correlation, residual, range, declination, final movement."""

    name = "intonation"
    needs = ("reference",)
    measures = (
        Measure(name="f0_wcorr", title="F0 weighted corr", better="higher"),
        Measure(name="f0_residual", title="F0 residual RMSE, st", better="lower"),
        Measure(name="f0_range_ratio", title="F0 range ratio"),
        Measure(name="declination_error", title="declination error, st/s", better="lower"),
        Measure(name="final_agreement", title="final rise/fall agrees", better="higher", share=True),
    )

    def describe(self) -> dict[str, Any]:
        return {
            **describe_pair(),
            "weights": f"RMS amplitude of the recording at {RATE} Hz, F0 in ERB-rate",
            "final_seconds": FINAL_SECONDS,
            "glissando": f"{GLISSANDO} / T^2 st/s",
            "resampler": resampler_id(),
        }

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        assert reference is not None
        ours, theirs = contour(audio), contour(reference)
        scores = {
            "f0_range_ratio": _ratio(statistics(ours)["f0_range"], statistics(theirs)["f0_range"]),
            "declination_error": _distance(declination(ours), declination(theirs)),
            "final_agreement": _agreement(final_movement(ours), final_movement(theirs)),
        }
        both = aligned_contours(audio, reference)
        frames = pair(audio, reference).theirs
        if both is None or frames is None:
            why = {"why": "too long to align"}
            return {
                **scores,
                "f0_wcorr": Score(value=None, detail=why),
                "f0_residual": Score(value=None, detail=why),
            }
        level = energy(reference.resample(RATE), frame_seconds()).astype(np.float64)
        weights = take(10 ** (level / 20), frames)
        scores["f0_wcorr"] = Score(value=weighted_correlation(*both, weights))
        scores["f0_residual"] = Score(value=residual_rmse(*both, frames * frame_seconds()))
        return scores


def erb_rate(f0: np.ndarray) -> np.ndarray:
    """Hz -> ERB-rate, 16.7 log10(1 + f / 165.4) (Hermes & van Gestel 1991)."""
    return 16.7 * np.log10(1 + np.asarray(f0, np.float64) / 165.4)


def weighted_correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> float | None:
    """Aligned contours (P,) Hz with 0 = unvoiced, and weights (P,) >= 0 -> correlation, or None if flat."""
    both = (a > 0) & (b > 0) & (weights > 0)
    if both.sum() < MIN_FRAMES:
        return None
    x, y, w = erb_rate(a[both]), erb_rate(b[both]), weights[both] / weights[both].sum()
    x, y = x - w @ x, y - w @ y
    scale = np.sqrt((w @ x**2) * (w @ y**2))
    return float(w @ (x * y) / scale) if scale > 1e-9 else None


def residual_rmse(a: np.ndarray, b: np.ndarray, seconds: np.ndarray) -> float | None:
    """RMSE in st over frames voiced in both, after the least-squares line of each over `seconds` (P,)."""
    both = (a > 0) & (b > 0)
    if both.sum() < MIN_FRAMES:
        return None
    difference = 12 * np.log2(a[both] / b[both])
    # Both lines are over the same times: the difference of residuals is the residual of the difference.
    slope, level = _line(seconds[both], difference)
    return float(np.sqrt(np.mean((difference - level - slope * seconds[both]) ** 2)))


def declination(f0: np.ndarray) -> float | None:
    """Slope of the regression line over all voiced frames, st/s."""
    voiced = np.flatnonzero(f0 > 0)
    if len(voiced) < MIN_FRAMES or (voiced[-1] - voiced[0]) * frame_seconds() < MIN_DECLINATION_SECONDS:
        return None
    return _line(voiced * frame_seconds(), 12 * np.log2(f0[voiced]))[0]


def final_movement(f0: np.ndarray) -> float | None:
    """Rise (+) or fall (-) in st over the last 300 ms up to the last voiced frame, by regression."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return None
    last = voiced[voiced > voiced[-1] - FINAL_SECONDS / frame_seconds()]
    if len(last) < MIN_FRAMES:
        return None
    return _line(last * frame_seconds(), 12 * np.log2(f0[last]))[0] * FINAL_SECONDS


def direction(movement: float) -> int:
    """1 = rise, -1 = fall, 0 = too slow to be perceived as either."""
    audible = GLISSANDO / FINAL_SECONDS
    return 0 if abs(movement) < audible else 1 if movement > 0 else -1


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Least squares: slope and value at x = 0."""
    middle = x.mean()
    spread = ((x - middle) ** 2).sum()
    slope = float(((x - middle) * (y - y.mean())).sum() / spread) if spread > 0 else 0.0
    return slope, float(y.mean() - slope * middle)


def _ratio(a: float | None, b: float | None) -> Score:
    return Score(value=None if a is None or not b else a / b)


def _distance(a: float | None, b: float | None) -> Score:
    if a is None or b is None:
        return Score(value=None)
    return Score(value=abs(a - b), detail={"ours": a, "reference": b})


def _agreement(a: float | None, b: float | None) -> Score:
    if a is None or b is None:
        return Score(value=None)
    detail = {"ours": a, "reference": b}
    return Score(value=float(direction(a) == direction(b)), detail=detail)
