"""Intonation figures: F0 statistics of one utterance, and its distance from a reference recording.

F0 comes from `intona.audio.f0_contour`, one value per mel frame. Levels are in Hz, spreads in semitones: a
spread in Hz is larger for a higher voice with the same melody. Distances are over DTW-aligned frames that are
voiced in *both*, in cents: sqrt(mean (1200 log2(f̂ / f))²); the correlation is Pearson's, of log F0, on
the same frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from intona.audio import Audio, f0_contour, resampler_id
from intona.audio.pitch import METHOD
from intona.errors import UserError
from intona.evaluation.judges.align import align_frames, aligner_id, cepstra, frame_seconds
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.judges.cache import ArrayCache, sound_key
from intona.evaluation.manifest import Row
from intona.evaluation.wavs import speech_span

RATE = 16_000
F_MIN, F_MAX = 60.0, 600.0
MIN_FRAMES = 10

_contours, _pairs = ArrayCache(), ArrayCache()


def contour(audio: Audio) -> np.ndarray:
    """(T,) Hz, one value per mel frame, 0 where unvoiced; computed at 16 kHz for every system alike.

    Cached: several judges start from the same contour.
    """

    def compute() -> tuple[np.ndarray]:
        low = audio.resample(RATE)
        return (f0_contour(low, frame_seconds(), f_min=F_MIN, f_max=F_MAX).f0,)

    return _contours(sound_key(audio), compute)[0]


@dataclass(frozen=True, kw_only=True)
class AlignedPair:
    """An utterance and its recording, frame by frame.

    Args:
        ours, theirs: (P,) mel frames of the whole files along the DTW path; None when too long to align.
        span, reference_span: start and end of speech, seconds.
    """

    ours: np.ndarray | None
    theirs: np.ndarray | None
    span: tuple[float, float]
    reference_span: tuple[float, float]


def pair(audio: Audio, reference: Audio) -> AlignedPair:
    """Align the parts between the edges of speech of both (`speech_span`). Cached for the next judge."""
    span, reference_span = speech_span(audio), speech_span(reference)

    def compute() -> tuple[np.ndarray, ...]:
        try:
            i, j = align_frames(cepstra(audio.trim(*span)), cepstra(reference.trim(*reference_span)))
        except UserError:
            # A system that ran on for minutes is not an input error and must not end the evaluation.
            return ()
        return (_frames(i, span[0]), _frames(j, reference_span[0]))

    frames = _pairs(sound_key(audio, reference), compute)
    ours, theirs = frames if frames else (None, None)
    return AlignedPair(ours=ours, theirs=theirs, span=span, reference_span=reference_span)


def _frames(frames: np.ndarray, start: float) -> np.ndarray:
    return (frames + round(start / frame_seconds())).astype(np.int32)


def aligned_contours(audio: Audio, reference: Audio) -> tuple[np.ndarray, np.ndarray] | None:
    """F0 of both (P,) along the DTW path, Hz, 0 where unvoiced; None when the two cannot be aligned."""
    aligned = pair(audio, reference)
    if aligned.ours is None or aligned.theirs is None:
        return None
    return take(contour(audio), aligned.ours), take(contour(reference), aligned.theirs)


def take(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """`values` (T, …) at frame indices, which are clipped to the last frame."""
    return values[np.clip(frames, 0, len(values) - 1)]


def describe_f0() -> dict[str, Any]:
    return {
        "f0": METHOD,
        "f_min": F_MIN,
        "f_max": F_MAX,
        "hop_seconds": round(frame_seconds(), 6),
        "sample_rate": RATE,
        "resampler": resampler_id(),
    }


def describe_pair() -> dict[str, Any]:
    """The settings of every judge that compares F0 along the DTW path."""
    settings = {
        "hop_seconds": round(frame_seconds(), 6),
        "aligned_by": aligner_id(),
        "edges_below_db": 40.0,
    }
    return {**describe_f0(), **settings}


class F0Judge(Judge):
    """Median in Hz; sd and 5-95 % range in semitones; share of voiced frames."""

    name = "f0"
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


class ReferenceJudge(Judge):
    """Against the recording: F0 RMSE in cents, log-F0 correlation, duration ratio.

    `duration_ratio` compares the spans from the first to the last frame above -40 dB of the loudest, so that
    silence at the edges, which differs between corpora and systems, does not count. `duration_ratio_raw`
    compares whole files.
    """

    name = "against_reference"
    needs = ("reference",)
    measures = (
        Measure(name="f0_rmse", title="F0 RMSE, cents", better="lower", digits=0),
        Measure(name="f0_corr", title="log-F0 corr", better="higher"),
        Measure(name="duration_ratio", title="duration ratio"),
        Measure(name="duration_ratio_raw", title="duration ratio, raw"),
    )

    def describe(self) -> dict[str, Any]:
        return describe_pair()

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        assert reference is not None
        both = aligned_contours(audio, reference)
        if both is None:
            none = Score(value=None, detail={"why": "too long to align"})
            scores = {"f0_rmse": none, "f0_corr": none}
        else:
            scores = f0_distance(*both)
        (start, end), (ref_start, ref_end) = speech_span(audio), speech_span(reference)
        scores["duration_ratio"] = Score(value=(end - start) / (ref_end - ref_start))
        scores["duration_ratio_raw"] = Score(value=audio.duration / reference.duration)
        return scores


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
