"""Distances between sounds and between spectra that a vocoder learns by."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intona.vocoder.stft import hann

RESOLUTIONS = ((256, 64), (512, 128), (2048, 512))  # (n_fft, hop); 1024 is the mel's own


def anti_wrapped(difference: Tensor) -> Tensor:
    """Distance of two angles, in [0, pi]: |x - 2 pi round(x / 2 pi)| (Ai & Ling 2023, arXiv 2305.07952)."""
    return (difference - 2 * math.pi * torch.round(difference / (2 * math.pi))).abs()


def phase_losses(phase: Tensor, target: Tensor, weight: Tensor | None = None) -> dict[str, Tensor]:
    """Anti-wrapped mean distances of phases (B, T, K), of their steps along frequency and along time.

    (Instantaneous phase, group delay and instantaneous angular frequency: arXiv 2305.07952.)

    Args:
        weight: (B, T, K) of each bin, mean 1 or 0 where nothing is known; a difference has the geometric
            mean of its two (ours).
    """
    error = phase - target
    frequency = error[:, :, 1:] - error[:, :, :-1]
    time = error[:, 1:] - error[:, :-1]
    if weight is None:
        return {
            "phase": anti_wrapped(error).mean(),
            "group_delay": anti_wrapped(frequency).mean(),
            "angular_frequency": anti_wrapped(time).mean(),
        }
    root = weight.sqrt()
    return {
        "phase": (anti_wrapped(error) * weight).mean(),
        "group_delay": (anti_wrapped(frequency) * root[:, :, 1:] * root[:, :, :-1]).mean(),
        "angular_frequency": (anti_wrapped(time) * root[:, 1:] * root[:, :-1]).mean(),
    }


def emphasis(log_amplitude: Tensor, power: float, band: Tensor | None = None) -> Tensor:
    """Weights amplitude ** power with mean 1 over an item: loud bins count for more. (B, T, K) to (B, T, K).

    Args:
        band: (B, 1, K) or (B, T, K) of 1 and 0: bins that count at all.
    """
    raw = (power * log_amplitude).exp()
    if band is not None:
        raw = raw * band
    return raw / raw.mean(dim=(1, 2), keepdim=True).clamp_min(1e-12)


def consistency(spectrum: Tensor, again: Tensor, target: Tensor) -> Tensor:
    """How far a spectrum is from being that of a sound, relative to the target's power.

    |S - STFT(iSTFT(S))|^2 / |target|^2, each summed over an item (the short-time spectral consistency loss of
    arXiv 2305.07952, made independent of the level).

    Args:
        spectrum, again, target: complex (B, T, K).
    """
    power = _power(target).sum(dim=(1, 2))
    return (_power(spectrum - again).sum(dim=(1, 2)) / power.clamp_min(1e-6)).mean()


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


class MultiResolution(nn.Module):
    """Spectral convergence and log magnitude at several resolutions (Yamamoto et al. 2020, arXiv 1910.11480).

    Args:
        floor: least magnitude, of windows of `n_fft` samples of ±1.
    """

    def __init__(
        self, resolutions: tuple[tuple[int, int], ...] = RESOLUTIONS, *, floor: float = 1e-3
    ) -> None:
        super().__init__()
        self.resolutions, self.floor = resolutions, floor
        for n_fft, _ in resolutions:
            self.register_buffer(f"window{n_fft}", hann(n_fft, n_fft), persistent=False)

    def magnitudes(self, samples: Tensor, n_fft: int, hop: int) -> Tensor:
        """(B, S) to (B, T, n_fft // 2 + 1), frames inside the signal alone."""
        frames = samples.unfold(1, n_fft, hop) * getattr(self, f"window{n_fft}")
        return _power(torch.fft.rfft(frames)).clamp_min(self.floor**2).sqrt()

    def forward(
        self, samples: Tensor, target: Tensor, *, resolutions: tuple[tuple[int, int], ...] | None = None
    ) -> dict[str, Tensor]:
        """(B, S) both: means over the resolutions (or over some of them), `convergence` of an item
        ||a - b|| / ||b||, and `log_magnitude` |log a - log b|."""
        convergence, log_magnitude = [], []
        for n_fft, hop in resolutions or self.resolutions:
            a = self.magnitudes(samples, n_fft, hop)
            with torch.no_grad():
                b = self.magnitudes(target, n_fft, hop)
            difference = torch.linalg.vector_norm(a - b, dim=(1, 2))
            convergence.append((difference / torch.linalg.vector_norm(b, dim=(1, 2)).clamp_min(1e-3)).mean())
            log_magnitude.append((a.log() - b.log()).abs().mean())
        return {
            "convergence": torch.stack(convergence).mean(),
            "log_magnitude": torch.stack(log_magnitude).mean(),
        }

    def energy_distance(
        self,
        target: Tensor,
        first: Tensor,
        second: Tensor,
        *,
        repulsion: float = 1.0,
        resolutions: tuple[tuple[int, int], ...] | None = None,
    ) -> Tensor:
        """d(x, y) + d(x, y') - d(y, y') for two independent draws of the sound (Gritsenko et al. 2020, arXiv
        2008.01160, eq. 3): least when the draws are distributed as the target is, noise included.

        d is the mean over frames of the Euclidean distance of log magnitudes, divided by the root of the
        number of bins, plus the mean absolute difference of magnitudes, relative to the target's.

        Args:
            repulsion: factor of d(y, y'). Below 1 a sound with less noise than the target's is least.
        """
        distances = []
        for n_fft, hop in resolutions or self.resolutions:
            with torch.no_grad():
                x = self.magnitudes(target, n_fft, hop)
            y, z = self.magnitudes(first, n_fft, hop), self.magnitudes(second, n_fft, hop)
            level = x.mean(dim=(1, 2), keepdim=True).clamp_min(1e-3)

            def distance(a: Tensor, b: Tensor, level: Tensor = level) -> Tensor:
                log = torch.linalg.vector_norm(a.log() - b.log() + 1e-8, dim=2) / a.shape[2] ** 0.5
                return log.mean() + ((a - b).abs() / level).mean()

            distances.append(distance(x, y) + distance(x, z) - repulsion * distance(y, z))
        return torch.stack(distances).mean()
