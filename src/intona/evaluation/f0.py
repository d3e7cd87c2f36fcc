"""Intonation figures: F0 statistics of one utterance, and its distance from a reference recording.

F0 comes from `intona.audio.f0_contour`, once a mel frame. Levels are in Hz, spreads in semitones: a spread
in Hz is larger for a higher voice that speaks the same melody. Distances are taken on DTW-aligned frames that
are voiced in *both*, in cents: sqrt(mean (1200 log2(f̂ / f))²); the correlation is Pearson's, of log F0, on
the same frames.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections import OrderedDict
from typing import Any

import numpy as np

from intona.audio import Audio, f0_contour
from intona.audio.pitch import best_method
from intona.evaluation.align import align_frames, aligner_id, cepstra, frame_seconds
from intona.evaluation.asr import resampler_id
from intona.evaluation.judge import Measure, Score, failed_scores
from intona.evaluation.manifest import Row
from intona.evaluation.wavs import speech_span

RATE = 16_000
KEPT = 512  # contours, some 5 kB each
F_MIN, F_MAX = 60.0, 600.0
MIN_FRAMES = 10


_kept: OrderedDict[bytes, np.ndarray] = OrderedDict()


def contour(audio: Audio) -> np.ndarray:
    """(T,) Hz once a mel frame, 0 where unvoiced, at 16 kHz for every system alike.

    The last few hundred are kept: harvest is the slowest judge after the recognizer, and a recording is
    asked for once by each system.
    """
    key = hashlib.blake2b(np.int64(audio.sample_rate).tobytes() + audio.samples.tobytes()).digest()
    if key not in _kept:
        low = audio.resample(RATE)
        _kept[key] = f0_contour(low, frame_seconds(), f_min=F_MIN, f_max=F_MAX, method=best_method()).f0
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return _kept[key]


def describe_f0() -> dict[str, Any]:
    method = best_method()
    return {
        "f0": f"harvest (pyworld {importlib.metadata.version('pyworld')})" if method == "harvest" else "yin",
        "f_min": F_MIN,
        "f_max": F_MAX,
        "hop_seconds": round(frame_seconds(), 6),
        "sample_rate": RATE,
        "resampler": resampler_id(),
    }


class F0Judge:
    """Median in Hz; sd and 5-95 % range in semitones; share of voiced frames."""

    name = "f0"
    needs_reference = False
    measures = (
        Measure(name="f0_median", title="F0 median, Hz", digits=0),
        Measure(name="f0_sd", title="F0 sd, st"),
        Measure(name="f0_range", title="F0 5–95 %, st", digits=1),
        Measure(name="voiced", title="voiced"),
    )

    def describe(self) -> dict[str, Any]:
        return describe_f0()

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {name: Score(value=value) for name, value in statistics(contour(audio)).items()}

    def failed(self, row: Row) -> dict[str, Score]:
        return failed_scores(self.measures)


class ReferenceJudge:
    """Against the recording: F0 RMSE in cents, log-F0 correlation, duration ratio.

    `duration_ratio` compares what lies between the first and last frame above -40 dB of the loudest, so
    that silence at the edges, which differs between corpora and systems, does not count;
    `duration_ratio_raw` compares whole files.
    """

    name = "against_reference"
    needs_reference = True
    measures = (
        Measure(name="f0_rmse", title="F0 RMSE, cents", better="lower", digits=0),
        Measure(name="f0_corr", title="log-F0 corr", better="higher"),
        Measure(name="duration_ratio", title="duration ratio"),
        Measure(name="duration_ratio_raw", title="duration ratio, raw"),
    )

    def describe(self) -> dict[str, Any]:
        settings = {
            "hop_seconds": round(frame_seconds(), 6),
            "aligned_by": aligner_id(),
            "edges_below_db": 40.0,
        }
        return {**describe_f0(), **settings}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        assert reference is not None
        (start, end), (ref_start, ref_end) = speech_span(audio), speech_span(reference)
        scores = compare(audio, reference, start, end, ref_start, ref_end)
        scores["duration_ratio"] = Score(value=(end - start) / (ref_end - ref_start))
        scores["duration_ratio_raw"] = Score(value=audio.duration / reference.duration)
        return scores

    def failed(self, row: Row) -> dict[str, Score]:
        return failed_scores(self.measures)


def statistics(f0: np.ndarray) -> dict[str, float | None]:
    """(T,) Hz with 0 for unvoiced -> the four figures of `F0Judge`; None with fewer than 10 voiced frames."""
    voiced = f0[f0 > 0]
    share = len(voiced) / max(1, len(f0))
    if len(voiced) < MIN_FRAMES:
        return {"f0_median": None, "f0_sd": None, "f0_range": None, "voiced": share}
    semitones = 12 * np.log2(voiced)
    low, high = np.percentile(semitones, [5, 95])
    return {
        "f0_median": float(np.median(voiced)),
        "f0_sd": float(semitones.std(ddof=1)),
        "f0_range": float(high - low),
        "voiced": share,
    }


def compare(
    audio: Audio, reference: Audio, start: float, end: float, ref_start: float, ref_end: float
) -> dict[str, Score]:
    """F0 RMSE and log-F0 correlation of two spans (seconds), over DTW-aligned frames voiced in both."""
    ours, theirs = align_frames(cepstra(audio.trim(start, end)), cepstra(reference.trim(ref_start, ref_end)))
    return f0_distance(_at(contour(audio), ours, start), _at(contour(reference), theirs, ref_start))


def _at(f0: np.ndarray, frames: np.ndarray, start: float) -> np.ndarray:
    """The contour of the whole file at frames counted from `start` seconds."""
    return f0[np.clip(frames + round(start / frame_seconds()), 0, len(f0) - 1)]


def f0_distance(a: np.ndarray, b: np.ndarray) -> dict[str, Score]:
    """Two aligned contours (T,), Hz, 0 = unvoiced."""
    both = (a > 0) & (b > 0)
    detail = {"frames_voiced_in_both": int(both.sum()), "frames": len(a)}
    if both.sum() < MIN_FRAMES:
        return {"f0_rmse": Score(value=None, detail=detail), "f0_corr": Score(value=None, detail=detail)}
    x, y = np.log2(a[both]), np.log2(b[both])
    rmse = float(np.sqrt(np.mean((1200 * (x - y)) ** 2)))
    flat = x.std() < 1e-9 or y.std() < 1e-9
    return {
        "f0_rmse": Score(value=rmse, detail=detail),
        "f0_corr": Score(value=None if flat else float(np.corrcoef(x, y)[0, 1]), detail=detail),
    }
