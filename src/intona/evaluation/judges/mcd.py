"""Mel-cepstral distortion in dB, without and with c_0, on DTW-aligned frames ("MCD-DTW").

MCD = (10 / ln 10) sqrt(2 Σ_{d=1..D} (c_d - ĉ_d)²), mean over the frames of the path (Kubichek 1993).
`mcd_c0` lets the sum start at 0, as ESPnet's and VERSA's tools do: then 6 dB of gain alone cost 4.26 dB.

Analysis: WORLD's CheapTrick envelope (Morise 2015) at the project's F0, and from its logarithm the
mel-cepstrum by frequency transformation (Oppenheim & Johnson 1972; SPTK's `freqt`). All systems are analyzed
at one rate, because D and the all-pass constant depend on the rate.
"""

from __future__ import annotations

import importlib.metadata
from functools import lru_cache
from typing import Any

import numpy as np

from intona.audio import Audio
from intona.audio.pitch import pyworld
from intona.errors import UserError, unknown
from intona.evaluation.judges.align import frame_seconds
from intona.evaluation.judges.base import Judge, Measure, Score
from intona.evaluation.judges.f0 import contour, describe_pair, pair, take
from intona.evaluation.manifest import Row

#: rate -> order D and all-pass constant, as ESPnet's `evaluate_mcd.py` chooses them.
SETTINGS = {16000: (23, 0.42), 22050: (34, 0.45), 24000: (34, 0.46), 44100: (39, 0.53), 48000: (39, 0.55)}
RANGE_DB = 80.0  # the envelope is floored this far below its loudest cell: digital silence has no spectrum
DB = 10 / np.log(10) * np.sqrt(2)
MEASURES = (
    Measure(name="mcd", title="MCD-DTW, dB", better="lower"),
    Measure(name="mcd_c0", title="MCD-DTW with c₀, dB", better="lower"),
)
INSTALL = "pip install 'intona[eval]'"


class McdJudge(Judge):
    """Mel-cepstral distortion against the recording.

    Args:
        sample_rate: at which both are analyzed; one of `SETTINGS`. Use the lowest rate of all systems in the
            table: the others have nothing to compare above half of it.

    Raises:
        UserError: another rate, or WORLD is not installed.
    """

    name = "mcd"
    needs = ("reference",)
    install = INSTALL
    measures = MEASURES

    def __init__(self, *, sample_rate: int = 16000) -> None:
        if sample_rate not in SETTINGS:
            unknown("MCD sample rate", str(sample_rate), [str(r) for r in SETTINGS])
        if pyworld() is None:
            raise UserError("MCD needs pyworld, which cannot be imported", hint=INSTALL)
        self.sample_rate = sample_rate

    @classmethod
    def installed(cls) -> bool:
        return pyworld() is not None

    def describe(self) -> dict[str, Any]:
        order, alpha = SETTINGS[self.sample_rate]
        return {
            **describe_pair(),
            "analysis": f"WORLD CheapTrick (pyworld {importlib.metadata.version('pyworld')}), mel-cepstrum",
            "mcd_rate": self.sample_rate,
            "order": order,
            "alpha": alpha,
            "floor_db": -RANGE_DB,
            "silence": "edges of speech cut, pauses within kept",
            "frames": "MCD-DTW",
        }

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        assert reference is not None
        aligned = pair(audio, reference)
        if aligned.ours is None or aligned.theirs is None:
            return {m.name: Score(value=None, detail={"why": "too long to align"}) for m in self.measures}
        ours = take(self.mel_cepstra(audio), aligned.ours)
        theirs = take(self.mel_cepstra(reference), aligned.theirs)
        detail = {"frames": len(ours)}
        return {k: Score(value=v, detail=detail) for k, v in distortion(ours, theirs).items()}

    def mel_cepstra(self, audio: Audio) -> np.ndarray:
        """(T, D + 1), one row per mel frame of the whole file."""
        world = pyworld()
        assert world is not None  # checked when the judge was built
        f0 = contour(audio).astype(np.float64)
        times = (np.arange(len(f0)) + 0.5) * frame_seconds()
        samples = audio.resample(self.sample_rate).samples.astype(np.float64)
        power = world.cheaptrick(samples, f0, times, self.sample_rate)
        power = np.maximum(power, power.max() * 10 ** (-RANGE_DB / 10))
        return mel_cepstrum(power, *SETTINGS[self.sample_rate])


def distortion(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Aligned mel-cepstra (T, D + 1) -> mean distortion in dB without and with c_0."""
    squared = (ours - theirs) ** 2
    return {
        "mcd": float(DB * np.sqrt(squared[:, 1:].sum(1)).mean()),
        "mcd_c0": float(DB * np.sqrt(squared.sum(1)).mean()),
    }


def mel_cepstrum(power: np.ndarray, order: int, alpha: float) -> np.ndarray:
    """Power spectra (T, n_fft / 2 + 1) -> mel-cepstrum (T, order + 1) of the log magnitude."""
    cepstrum = np.fft.irfft(np.log(power), axis=1)[:, : power.shape[1]]
    # irfft of log *power* is twice that of log magnitude: right for c_m together with its mirror image.
    cepstrum[:, [0, -1]] /= 2
    return cepstrum @ warp_matrix(cepstrum.shape[1], order, alpha).T


@lru_cache(maxsize=8)
def warp_matrix(size: int, order: int, alpha: float) -> np.ndarray:
    """(order + 1, size): cepstrum to mel-cepstrum, column n = the all-pass to the n-th power.

    With A(z) = (z⁻¹ + α) / (1 + α z⁻¹): a_0[n] = αⁿ and a_m[n] = a_{m-1}[n-1] + α (a_m[n-1] - a_{m-1}[n]).
    """
    out = np.zeros((order + 1, size))
    column = np.zeros(order + 1)
    column[0] = 1.0
    out[:, 0] = column
    for n in range(1, size):
        new = np.empty(order + 1)
        new[0] = alpha * column[0]
        for m in range(1, order + 1):
            new[m] = column[m - 1] + alpha * (column[m] - new[m - 1])
        column = new
        out[:, n] = column
    return out
