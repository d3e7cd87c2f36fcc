"""Frame alignment of two renderings of one text: cepstra without level, and dynamic time warping."""

from __future__ import annotations

import numpy as np

from intona.audio import Audio, MelSpec, log_mel
from intona.errors import UserError

SPEC = MelSpec()
N_CEPSTRA = 13
RANGE = 60 / 20 * np.log(10)  # 60 dB in natural log of magnitude
MAX_CELLS = 60_000_000
_DIAGONAL, _UP, _LEFT = 0, 1, 2


def aligner_id() -> str:
    return f"dtw-1 on {N_CEPSTRA} cepstra of mel {SPEC.fingerprint()[:12]}, c_0 left out, variance normalized"


def frame_seconds() -> float:
    return SPEC.hop_length / SPEC.sample_rate


def cepstra(audio: Audio) -> np.ndarray:
    """(T, 13): cosine transform of the log-mel spectrum without c_0, so that gain does not matter.

    The log is floored 60 dB below the loudest cell, so that digital silence and faint noise align alike;
    each coefficient is normalized to mean 0 and sd 1 over the utterance.
    """
    from scipy.fft import dct

    log = log_mel(audio.resample(SPEC.sample_rate), SPEC)
    log = np.maximum(log, log.max() - RANGE)
    out = np.asarray(dct(log, type=2, norm="ortho", axis=1))[:, 1 : N_CEPSTRA + 1]
    return (out - out.mean(0)) / np.maximum(out.std(0), 1e-6)


def align_frames(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, D) and (U, D) -> index pairs of the cheapest monotonic path from (0, 0) to the ends.

    Steps (1, 1), (1, 0), (0, 1) of equal weight, Euclidean cost (Sakoe & Chiba 1978). Cells of one
    anti-diagonal do not depend on each other, so each anti-diagonal is one vector operation.

    Raises:
        UserError: the two are too long to align in memory.
    """
    t, u = len(a), len(b)
    if t * u > MAX_CELLS:
        raise UserError(f"{t} x {u} frames are too many to align", hint="cut the audio into utterances")
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    cost = np.sqrt(np.maximum(squared, 0.0))
    step = np.zeros((t, u), dtype=np.int8)
    # Cheapest path to the cells of the last two diagonals, indexed by row + 1; row 0 is a wall.
    before, last = np.full(t + 1, np.inf), np.full(t + 1, np.inf)
    for k in range(t + u - 1):
        rows = np.arange(max(0, k - u + 1), min(t, k + 1))
        options = np.stack([before[rows], last[rows], last[rows + 1]])
        if k == 0:
            options[_DIAGONAL] = 0.0
        choice = options.argmin(0)
        new = np.full(t + 1, np.inf)
        new[rows + 1] = cost[rows, k - rows] + options[choice, np.arange(len(rows))]
        step[rows, k - rows] = choice
        before, last = last, new
    i, j, path = t - 1, u - 1, [(t - 1, u - 1)]
    while i or j:
        move = step[i, j]
        i, j = i - (move != _LEFT), j - (move != _UP)
        path.append((i, j))
    steps = np.array(path[::-1])
    return steps[:, 0], steps[:, 1]
