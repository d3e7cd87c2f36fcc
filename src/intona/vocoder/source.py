"""The source of a source-filter vocoder: pulses whose phase runs on from frame to frame, and noise.

A network that sees frames alone cannot keep a free-running phase: for a mel that stands still its output
repeats every hop, whatever the pitch. Here the phase is the integral of a predicted pitch instead, as in the
neural source-filter models of Wang et al. 2019 (arXiv 1904.12088) and HiFTNet (Li
et al. 2023, arXiv 2309.09493).
"""

from __future__ import annotations

import math

import numpy as np
import scipy.signal
import torch
from torch import Tensor

from intona.audio import Audio, MelSpec, f0_contour
from intona.vocoder.stft import hann

NOISE_SAMPLES = 1 << 18  # of the table: 12 s before it repeats
_TWO_PI = 2 * math.pi


def running_phase(f0: Tensor, spec: MelSpec, start: Tensor | None = None) -> Tensor:
    """The phase of the fundamental at the centres of the frames, by the trapezoidal rule.

    Args:
        f0: (B, T) Hz. start: (B,) radians at the first frame's centre, default 0.

    Returns:
        (B, T) float64 radians, not wrapped.
    """
    f = f0.double()
    steps = _TWO_PI * spec.hop_length / spec.sample_rate * 0.5 * (f[:, 1:] + f[:, :-1])
    first = torch.zeros_like(f[:, :1]) if start is None else start.double()[:, None]
    return torch.cat([first, first + steps.cumsum(1)], dim=1)


def unwrapped_phase(wrapped: Tensor, f0: Tensor, spec: MelSpec) -> Tensor:
    """A measured phase (B, T), unwrapped along the steps that the pitch predicts; float64."""
    expected = running_phase(f0, spec)
    step = wrapped.double().diff(dim=1) - expected.diff(dim=1)
    step = expected.diff(dim=1) + step - _TWO_PI * torch.round(step / _TWO_PI)
    first = wrapped[:, :1].double()
    return torch.cat([first, first + step.cumsum(1)], dim=1)


def pulses(phase: Tensor, f0: Tensor, spec: MelSpec, pad: int) -> Tensor:
    """Sum of all cosines at multiples of the pitch below the Nyquist frequency, a frame's STFT peaking at 1.

    Args:
        phase: (B, T) radians at the frames' centres, not wrapped.
        f0: (B, T) Hz, 0 where unvoiced: silent there.
        pad: samples more at either end.

    Returns:
        (B, T * hop + 2 * pad) float32.
    """
    hop, rate = spec.hop_length, spec.sample_rate
    frames = phase.shape[1]
    # Samples in frames: sample s is at (s + 1/2) / hop - 1/2; beyond the ends the last step goes on.
    at = (torch.arange(-pad, frames * hop + pad, device=phase.device, dtype=torch.float64) + 0.5) / hop - 0.5
    left = at.floor().clamp(0, max(frames - 2, 0)).long()
    right = (left + 1).clamp(max=frames - 1)
    share = at - left
    edge = _TWO_PI * hop / rate * f0.double()
    step = phase[:, right] - phase[:, left] if frames > 1 else edge[:, left]
    theta = phase[:, left] + share * step
    nearest = at.round().clamp(0, frames - 1).long()
    voiced = f0[:, nearest]
    count = torch.where(voiced > 0, (rate / 2 / voiced.clamp_min(1.0)).floor(), 0.0).double()
    # Dirichlet's kernel: cos t + cos 2t + ... + cos Kt = sin((K + 1/2) t) / (2 sin(t / 2)) - 1/2.
    half = 0.5 * torch.remainder(theta + math.pi, _TWO_PI) - 0.5 * math.pi
    sine = torch.sin(half)
    safe = torch.where(sine.abs() < 1e-6, torch.ones_like(sine), sine)
    total = torch.where(sine.abs() < 1e-6, count, torch.sin((2 * count + 1) * half) / (2 * safe) - 0.5)
    total = torch.where(count > 0, total, torch.zeros_like(total))
    return (total * (4.0 / spec.win_length)).float()


def noise_table(spec: MelSpec, seed: int = 0) -> Tensor:
    """(NOISE_SAMPLES,) float32 white noise whose STFT bins have power 1."""
    power = 3 / 8 * spec.win_length  # of the Hann window's squares
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(NOISE_SAMPLES, generator=generator) / math.sqrt(power)


def noise(table: Tensor, first: Tensor, size: int) -> Tensor:
    """Noise (B, size) from sample `first` (B,) on, the same wherever a chunk begins."""
    at = first[:, None] + torch.arange(size, device=table.device)
    return table[torch.remainder(at, len(table))]


def analyse(audio: Audio, spec: MelSpec) -> np.ndarray:
    """Pitch in Hz (0 = unvoiced) and phase of the fundamental in radians, a mel frame each: (T, 2) float32.

    The recording times exp(-i phase of the pitch contour), in a window of 46 ms: what is left is how far the
    fundamental runs ahead of the contour.
    """
    f0 = f0_contour(audio, spec.hop_length / spec.sample_rate).f0.astype(np.float64)
    frames = len(audio.samples) // spec.hop_length
    f0 = np.pad(f0, (0, max(0, frames - len(f0))))[:frames]
    held = _held(f0)
    base = running_phase(torch.from_numpy(held)[None], spec)[0].numpy()
    centres = (np.arange(frames) + 0.5) * spec.hop_length - 0.5
    carrier = np.interp(np.arange(len(audio.samples)), centres, base)
    turned = audio.samples.astype(np.float64) * np.exp(-1j * carrier)
    window = hann(spec.n_fft, spec.n_fft).double().numpy()
    smooth = scipy.signal.oaconvolve(turned, window / window.sum(), mode="same")
    at = np.clip(np.round(centres).astype(int), 0, len(smooth) - 1)
    phase = np.angle(np.exp(1j * base) * smooth[at])
    return np.stack([f0, phase], axis=1).astype(np.float32)


def _held(f0: np.ndarray) -> np.ndarray:
    """The contour with its gaps bridged, so that a phase can run through them."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.full_like(f0, 150.0)
    return np.interp(np.arange(len(f0)), voiced, f0[voiced])
