"""Fast Griffin-Lim (Perraudin, Balazs & Søndergaard 2013): sound from a mel without any training.

The check of a learned vocoder, and the fallback where none is installed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intona.audio import MelSpec
from intona.audio.features import mel_filters
from intona.vocoder.base import BF16, Vocoder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TINY = np.float32(1e-8)


class GriffinLim(Vocoder):
    """Args:
    iterations: 32 are audibly close to what more would give.
    momentum: the paper's alpha; 0 is the plain algorithm of Griffin & Lim 1984.
    seed: of the first phases, so that the same mel gives the same sound.
    """

    def __init__(self, spec: MelSpec, *, iterations: int = 32, momentum: float = 0.99, seed: int = 0) -> None:
        self.spec, self.iterations, self.momentum, self.seed = spec, iterations, momentum, seed
        n = np.arange(spec.win_length)
        left = (spec.n_fft - spec.win_length) // 2
        hann = 0.5 - 0.5 * np.cos(2 * math.pi * n / spec.win_length)
        self.window = np.pad(hann, (left, spec.n_fft - spec.win_length - left)).astype(np.float32)
        self.filters = mel_filters(spec)
        self.inverse = np.linalg.pinv(self.filters.astype(np.float64)).astype(np.float32)

    @classmethod
    def load(
        cls, directory: Path | None, *, device: str | torch.device = "cpu", bf16: BF16 = "auto"
    ) -> GriffinLim:
        """For the default mels, or those of a directory's features.json; on the CPU, in float32."""
        return cls(MelSpec() if directory is None else MelSpec.load(directory / "features.json"))

    def decode(self, mel: Tensor) -> Tensor:
        import torch

        self.check(mel)
        waves = [self.waveform(self.magnitudes(m)) for m in mel.detach().cpu().float().numpy()]
        return torch.from_numpy(np.stack(waves)).clamp_(-1, 1)

    def magnitudes(self, mel: np.ndarray, *, steps: int = 30) -> np.ndarray:
        """Log mel (T, n_mels) to magnitudes (T, n_fft // 2 + 1): non-negative least squares, by the
        multiplicative steps of Lee & Seung 2001 from the clipped pseudo-inverse."""
        target = np.exp(mel) if self.spec.log_base == "e" else np.power(np.float32(10), mel)
        amplitude = np.maximum(target @ self.inverse.T, 1e-6)
        up = target @ self.filters
        for _ in range(steps):
            amplitude *= up / (amplitude @ self.filters.T @ self.filters + _TINY)
        return amplitude.astype(np.float32)

    def waveform(self, magnitudes: np.ndarray) -> np.ndarray:
        """Magnitudes (T, n_fft // 2 + 1) to samples (S,), frames placed as the spec's mel places them."""
        frames = len(magnitudes)
        if frames == 0:
            return np.zeros(0, np.float32)
        phase = np.random.default_rng(self.seed).uniform(0, 2 * np.pi, magnitudes.shape)
        angles = np.exp(1j * phase).astype(np.complex64)
        previous = np.zeros_like(angles)
        for _ in range(self.iterations):
            rebuilt = self.stft(self.istft(magnitudes * angles), frames)
            angles = rebuilt + np.float32(self.momentum) * (rebuilt - previous)
            previous = rebuilt
            angles /= np.abs(angles) + _TINY
        wave = self.istft(magnitudes * angles)
        return wave[self.spec.pad : len(wave) - self.spec.pad]

    def stft(self, wave: np.ndarray, frames: int) -> np.ndarray:
        """Samples to (frames, n_fft // 2 + 1) complex64, without any padding."""
        import scipy.fft

        view = np.lib.stride_tricks.sliding_window_view(wave, self.spec.n_fft)[:: self.spec.hop_length]
        return np.asarray(scipy.fft.rfft(view[:frames] * self.window))

    def istft(self, spectrum: np.ndarray) -> np.ndarray:
        """The least-squares inverse (Griffin & Lim 1984, equation 6), overlaps added a shift at a time."""
        import scipy.fft

        hop, n_fft = self.spec.hop_length, self.spec.n_fft
        blocks = -(-n_fft // hop)
        frames = len(spectrum)
        pieces = np.zeros((frames, blocks * hop), np.float32)
        pieces[:, :n_fft] = np.asarray(scipy.fft.irfft(spectrum, n_fft)) * self.window
        square = np.zeros(blocks * hop, np.float32)
        square[:n_fft] = self.window**2
        wave = np.zeros((frames + blocks - 1, hop), np.float32)
        weight = np.zeros((frames + blocks - 1, hop), np.float32)
        for b in range(blocks):
            part = slice(b * hop, (b + 1) * hop)
            wave[b : b + frames] += pieces[:, part]
            weight[b : b + frames] += square[part]
        length = (frames - 1) * hop + n_fft
        # At the very ends one frame alone lies under a window near 0: dividing by it would blow up noise.
        return (wave / np.maximum(weight, 1e-2)).reshape(-1)[:length]
