"""The source of a source-filter vocoder: pulses whose phase runs on from frame to frame, and noise.

A network that sees frames alone cannot keep a free-running phase: for a mel that stands still its output
repeats every hop, whatever the pitch. Here the phase is the integral of a predicted pitch instead, as in the
neural source-filter models of Wang et al. 2019 (arXiv 1904.12088) and HiFTNet (Li
et al. 2023, arXiv 2309.09493).

What makes sound takes tensors or NumPy arrays; what training measures takes tensors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from intona.arrays import arange, as_type, namespace
from intona.audio import Audio, MelSpec, f0_contour

if TYPE_CHECKING:
    from torch import Tensor

NOISE_SAMPLES = 1 << 18  # of the table: 12 s before it repeats
_TWO_PI = 2 * math.pi


def running_phase(f0: Any, spec: MelSpec, start: Any = None) -> Any:
    """The phase of the fundamental at the centres of the frames, by the trapezoidal rule.

    Args:
        f0: (B, T) Hz. start: (B,) radians at the first frame's centre, default 0.

    Returns:
        (B, T) float64 radians, not wrapped.
    """
    f, xp = as_type(f0, "float64"), namespace(f0)
    steps = _TWO_PI * spec.hop_length / spec.sample_rate * 0.5 * (f[:, 1:] + f[:, :-1])
    first = xp.zeros_like(f[:, :1]) if start is None else as_type(start, "float64")[:, None]
    return xp.concatenate([first, first + steps.cumsum(1)], axis=1)


def bridged(f0: Any) -> Any:
    """The pitch (B, T), taken from a voiced neighbour where there is none, so that a phase starts in time."""
    xp = namespace(f0)
    none = xp.zeros_like(f0[:, :1])
    after = xp.concatenate([f0[:, 1:], none], axis=1)
    before = xp.concatenate([none, f0[:, :-1]], axis=1)
    return xp.where(f0 > 0, f0, xp.where(after > 0, after, before))


def unwrapped_phase(wrapped: Tensor, f0: Tensor, spec: MelSpec) -> Tensor:
    """A measured phase (B, T), unwrapped along the steps that the pitch predicts; float64."""
    import torch

    expected = running_phase(f0, spec)
    step = wrapped.double().diff(dim=1) - expected.diff(dim=1)
    step = expected.diff(dim=1) + step - _TWO_PI * torch.round(step / _TWO_PI)
    first = wrapped[:, :1].double()
    return torch.cat([first, first + step.cumsum(1)], dim=1)


def pulses(phase: Any, f0: Any, spec: MelSpec, pad: int) -> Any:
    """Sum of all cosines at multiples of the pitch below the Nyquist frequency, a frame's STFT peaking at 1.

    Args:
        phase: (B, T) radians at the frames' centres, not wrapped.
        f0: (B, T) Hz, 0 where unvoiced: silent there.
        pad: samples more at either end.

    Returns:
        (B, T * hop + 2 * pad) float32.
    """
    xp, hop, rate = namespace(phase), spec.hop_length, spec.sample_rate
    frames = phase.shape[1]
    # Samples in frames: sample s is at (s + 1/2) / hop - 1/2; beyond the ends the last step goes on.
    at = (as_type(arange(-pad, frames * hop + pad, phase), "float64") + 0.5) / hop - 0.5
    left = as_type(xp.clip(xp.floor(at), 0, max(frames - 2, 0)), "int64")
    right = xp.clip(left + 1, 0, frames - 1)
    share = at - left
    edge = _TWO_PI * hop / rate * as_type(f0, "float64")
    step = phase[:, right] - phase[:, left] if frames > 1 else edge[:, left]
    theta = phase[:, left] + share * step
    nearest = as_type(xp.clip(xp.round(at), 0, frames - 1), "int64")
    voiced = f0[:, nearest]
    count = as_type(xp.where(voiced > 0, xp.floor(rate / 2 / xp.clip(voiced, 1.0, None)), 0.0), "float64")
    # Dirichlet's kernel: cos t + cos 2t + ... + cos Kt = sin((K + 1/2) t) / (2 sin(t / 2)) - 1/2.
    half = 0.5 * xp.remainder(theta + math.pi, _TWO_PI) - 0.5 * math.pi
    sine = xp.sin(half)
    peak = xp.abs(sine) < 1e-6
    safe = xp.where(peak, xp.ones_like(sine), sine)
    total = xp.where(peak, count, xp.sin((2 * count + 1) * half) / (2 * safe) - 0.5)
    total = xp.where(count > 0, total, xp.zeros_like(total))
    return as_type(total * (4.0 / spec.win_length), "float32")


def noise_table(spec: MelSpec, seed: int = 0) -> Tensor:
    """(NOISE_SAMPLES,) float32 white noise whose STFT bins have power 1."""
    import torch

    power = 3 / 8 * spec.win_length  # of the Hann window's squares
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(NOISE_SAMPLES, generator=generator) / math.sqrt(power)


def noise(table: Any, first: Any, size: int) -> Any:
    """Noise (B, size) from sample `first` (B,) on, the same wherever a chunk begins."""
    at = first[:, None] + arange(0, size, table)
    return table[namespace(table).remainder(at, len(table))]


def analyse(audio: Audio, spec: MelSpec) -> np.ndarray:
    """Pitch in Hz (0 = unvoiced) and phase of the fundamental in radians, a mel frame each: (T, 2) float32.

    The recording times exp(-i phase of the pitch contour), in a window of 46 ms: what is left is how far the
    fundamental runs ahead of the contour.
    """
    import scipy.signal
    import torch

    from intona.vocoder.stft import hann

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
