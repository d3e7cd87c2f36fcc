"""The short-time Fourier transform of `vocoder.stft` in NumPy, for one signal at a time.

Frame t of T covers samples t * hop - pad to t * hop - pad + n_fft, pad = (n_fft - hop) / 2, so that T frames
stand for T * hop samples.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from intona.audio import MelSpec
from intona.audio.features import hann
from intona.runtime.session import threads

FEW_FRAMES = 256  # 3 s
MOMENTUM = np.float32(0.99)  # of the refinement


class ArrayStft:
    """Analysis and synthesis for one `MelSpec`, in float32."""

    def __init__(self, spec: MelSpec) -> None:
        self.spec = spec
        self.window = hann(spec).astype(np.float32)
        self.workers = threads()

    def _fft(self, frames: int) -> tuple[Any, dict[str, int]]:
        """The module of the transforms and its options.

        SciPy's take a third of the time of NumPy's, but .2 s to import: a short sentence does without, and so
        does an installation that only speaks.
        """
        if frames <= FEW_FRAMES or importlib.util.find_spec("scipy") is None:
            return np.fft, {}
        import scipy.fft

        return scipy.fft, {"workers": self.workers}

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples (T * hop + 2 * pad,) to complex64 (T, n_fft // 2 + 1)."""
        spec = self.spec
        frames = np.lib.stride_tricks.sliding_window_view(samples, spec.n_fft)[:: spec.hop_length]
        fft, options = self._fft(len(frames))
        return np.asarray(fft.rfft(frames * self.window, **options), np.complex64)

    def padded(self, samples: np.ndarray) -> np.ndarray:
        """Samples reflected by `pad` at both ends; fewer than that get zeros."""
        pad = self.spec.pad
        return np.pad(samples, pad, mode="reflect" if len(samples) > pad else "constant")

    def refined(self, spectrum: np.ndarray, amplitude: np.ndarray, rounds: int) -> np.ndarray:
        """Fast Griffin-Lim (Perraudin et al. 2013): phases of a nearby sound, these amplitudes (T, K)."""
        previous = spectrum
        for _ in range(rounds):
            rebuilt = self(self.padded(self.inverse(spectrum)))
            ahead = rebuilt + MOMENTUM * (rebuilt - previous)
            spectrum = ahead * (amplitude / np.maximum(np.abs(ahead), np.float32(1e-9)))
            previous = rebuilt
        return spectrum

    def inverse(self, spectrum: np.ndarray) -> np.ndarray:
        """Complex (T, n_fft // 2 + 1) to samples (T * hop,): the least-squares inverse.

        (Griffin & Lim 1984, equation 6: windowed frames added up, divided by the sum of the squared windows.)
        """
        spec, frames = self.spec, len(spectrum)
        fft, options = self._fft(frames)
        pieces = np.asarray(fft.irfft(spectrum, spec.n_fft, **options), np.float32)
        pieces *= self.window
        total = _overlap(pieces, spec.hop_length)
        weight = _overlap(np.broadcast_to(np.square(self.window), pieces.shape), spec.hop_length)
        size = slice(spec.pad, spec.pad + frames * spec.hop_length)
        return total[size] / np.maximum(weight[size], np.float32(1e-8))


def _overlap(frames: np.ndarray, hop: int) -> np.ndarray:
    """Frames (T, n_fft), a multiple of hop, added up every `hop` samples: ((T - 1) * hop + n_fft,)."""
    count, n_fft = frames.shape
    blocks = n_fft // hop
    out = np.zeros((count + blocks - 1, hop), np.float32)
    for b in range(blocks):
        out[b : b + count] += frames[:, b * hop : (b + 1) * hop]
    return out.reshape(-1)
