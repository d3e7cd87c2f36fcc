"""The short-time Fourier transform in torch, its frames placed exactly as the mel's (`audio.features`).

Frame t of T covers samples t * hop - pad to t * hop - pad + n_fft of the signal, pad = (n_fft - hop) / 2,
so that T frames stand for T * hop samples. `torch.istft` cannot do this: it knows frames centred on multiples
of the hop alone, and refuses uncentred ones because a Hann window begins with zero.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from intona.audio import MelSpec
from intona.audio.features import mel_filters
from intona.errors import UserError

MOMENTUM = 0.99  # of the refinement


def hann(win_length: int, n_fft: int) -> Tensor:
    """Periodic Hann window of `win_length` in the middle of `n_fft` zeros, float32."""
    left = (n_fft - win_length) // 2
    window = torch.hann_window(win_length, dtype=torch.float64)
    return nn.functional.pad(window, (left, n_fft - win_length - left)).float()


def require_same_padding(spec: MelSpec) -> None:
    """Refuse features whose T frames do not stand for T * hop samples, or that a vocoder here cannot invert.

    Raises:
        UserError: "center" padding, log base 10, or a hop that does not divide n_fft.
    """
    if spec.padding != "same" or spec.log_base != "e" or spec.n_fft % spec.hop_length:
        raise UserError(
            'an inverse-STFT vocoder needs features with padding "same", natural logarithm '
            f"and a hop that divides n_fft; found {spec.padding}, {spec.log_base}, "
            f"{spec.hop_length} of {spec.n_fft}",
            where="vocoder",
        )


class Stft(nn.Module):
    """Analysis and synthesis for one `MelSpec`."""

    window: Tensor
    filters: Tensor

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        require_same_padding(spec)
        self.spec = spec
        self.register_buffer("window", hann(spec.win_length, spec.n_fft), persistent=False)
        filters = torch.from_numpy(np.ascontiguousarray(mel_filters(spec).T))
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (B, T * hop + 2 * pad), `pad` of them on either side, to complex (B, T, n_fft // 2 + 1)."""
        spec = self.spec
        frames = samples.unfold(1, spec.n_fft, spec.hop_length)
        return torch.fft.rfft(frames * self.window)

    def padded(self, samples: Tensor) -> Tensor:
        """Samples (B, S) reflected by `pad` at both ends, as `log_mel` does; fewer than that get zeros."""
        mode = "reflect" if samples.shape[1] > self.spec.pad else "constant"
        return nn.functional.pad(samples[:, None], (self.spec.pad, self.spec.pad), mode=mode)[:, 0]

    def log_mel(self, spectrum: Tensor) -> Tensor:
        """Complex (B, T, n_fft // 2 + 1) to the log mel (B, T, n_mels) of `audio.features.log_mel`."""
        power = spectrum.real.square() + spectrum.imag.square()
        magnitude = (power + self.spec.power_epsilon).sqrt()
        return (magnitude @ self.filters).clamp_min(self.spec.floor).log()

    def refined(self, spectrum: Tensor, amplitude: Tensor, rounds: int) -> Tensor:
        """Fast Griffin-Lim (Perraudin et al. 2013): phases of a nearby sound, these amplitudes (B, T, K)."""
        previous = spectrum
        for _ in range(rounds):
            rebuilt = self(self.padded(self.inverse(spectrum)))
            ahead = rebuilt + MOMENTUM * (rebuilt - previous)
            spectrum = ahead * (amplitude / ahead.abs().clamp_min(1e-9))
            previous = rebuilt
        return spectrum

    def inverse(self, spectrum: Tensor) -> Tensor:
        """Complex (B, T, n_fft // 2 + 1) to samples (B, T * hop): the least-squares inverse.

        (Griffin & Lim 1984, equation 6: windowed frames added up, divided by the sum of the squared windows.)
        """
        spec = self.spec
        frames = torch.fft.irfft(spectrum, n=spec.n_fft) * self.window
        weight = self.window.square().expand(1, spectrum.shape[1], spec.n_fft)
        total, weight = _overlap(frames, spec.hop_length), _overlap(weight, spec.hop_length)
        size = spectrum.shape[1] * spec.hop_length
        return total[:, spec.pad : spec.pad + size] / weight[:, spec.pad : spec.pad + size].clamp_min(1e-8)


def _overlap(frames: Tensor, hop: int) -> Tensor:
    """Frames (B, T, n_fft), a multiple of hop, added up every `hop` samples: (B, (T - 1) * hop + n_fft)."""
    batch, count, n_fft = frames.shape
    blocks = n_fft // hop
    pieces = frames.reshape(batch, count, blocks, hop)
    parts = [nn.functional.pad(pieces[:, :, b], (0, 0, b, blocks - 1 - b)) for b in range(blocks)]
    return torch.stack(parts).sum(0).reshape(batch, -1)
