"""The mel spectrogram of the project, and the description that everything computed from it carries.

The default is the published HiFi-GAN recipe (Kong et al. 2020): frames of 1024 every 256 samples with no
centring, the signal reflected by (n_fft - hop) / 2 at both ends, magnitude sqrt(power + 1e-9), slaney mel
filters, natural log floored at 1e-5. Frame t is centred at sample (t + 1/2) * hop, and T = S // hop.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from intona import config
from intona.audio.io import Audio
from intona.errors import UserError

# Frames per transform: the working set stays in the L2 cache (512 are a fifth slower, a whole file more so).
# The transform runs in float64: in float32 the rounding of a loud low vowel leaks into the quiet high bins
# and moves their logarithm by up to 6e-4, in the published torch code, too. In float64 the result agrees with
# librosa's to 1e-6.
# On one core that runs at 1,200 times real time instead of 1,900. librosa reaches 1,150. torch in float32
# reaches 3,900, but importing it costs every worker process a second and 200 MB.
CHUNK = 128


@dataclass(frozen=True, kw_only=True)
class MelSpec:
    """All parameters that a mel frame depends on.

    Args:
        floor: smallest magnitude of a mel bin before the logarithm.
        power_epsilon: added to the power of each frequency bin before the root (HiFi-GAN: 1e-9).
        log_base: "e", or "10" (SpeechT5).
        padding: "same" reflects (n_fft - hop) / 2 samples: T = S // hop (HiFi-GAN);
            "center" reflects n_fft / 2: T = S // hop + 1 (librosa's default, SpeechT5).
        mel_scale: "slaney", or "htk".
        mel_norm: "slaney" (triangles of unit area), or "none" (of unit height).
    """

    sample_rate: int = 22050
    n_fft: int = 1024
    win_length: int = 1024
    hop_length: int = 256
    n_mels: int = 80
    f_min: float = 0.0
    f_max: float = 8000.0
    floor: float = 1e-5
    power_epsilon: float = 1e-9
    log_base: Literal["e", "10"] = "e"
    padding: Literal["same", "center"] = "same"
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"

    def __post_init__(self) -> None:
        if not 0 < self.hop_length <= self.win_length <= self.n_fft:
            raise ValueError("hop_length <= win_length <= n_fft must hold, all above 0")
        if (self.n_fft - self.hop_length) % 2 or self.n_fft % 2:
            raise ValueError("n_fft and n_fft - hop_length must be even")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError("0 <= f_min < f_max <= sample_rate / 2 must hold")
        if self.n_mels < 1 or self.floor <= 0 or self.power_epsilon < 0:
            raise ValueError("n_mels and floor must be above 0, power_epsilon not below")

    @property
    def pad(self) -> int:
        """Samples reflected at each end."""
        return self.n_fft // 2 if self.padding == "center" else (self.n_fft - self.hop_length) // 2

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sample_rate / self.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Frames T of a signal of S samples."""
        return max(0, (n_samples + 2 * self.pad - self.n_fft) // self.hop_length + 1)

    def seconds(self, n_frames: int) -> float:
        """Duration of T frames."""
        return n_frames * self.hop_length / self.sample_rate

    def fingerprint(self) -> str:
        """16 hex digits of the SHA-256 of the fields as canonical JSON."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def require_same(self, other: MelSpec, where: object = None) -> None:
        """See the function `require_same`."""
        require_same(self, other, where)

    def save(self, path: Path) -> None:
        config.save(self, path)

    @staticmethod
    def load(path: Path) -> MelSpec:
        return config.load(MelSpec, path)


#: The input of the published SpeechT5 HiFi-GAN vocoder.
SPEECHT5 = MelSpec(
    sample_rate=16000,
    f_min=80.0,
    f_max=7600.0,
    floor=1e-10,
    power_epsilon=0.0,
    log_base="10",
    padding="center",
)


def fingerprint(spec: MelSpec) -> str:
    return spec.fingerprint()


def diff(a: MelSpec, b: MelSpec) -> list[str]:
    """`field: a -> b` for each field that differs."""
    return config.diff(a, b)


def require_same(a: MelSpec, b: MelSpec, where: object = None) -> None:
    """Refuse two specs that differ.

    Raises:
        UserError: lists the fields as `field: a -> b`.
    """
    if a != b:
        fields = ", ".join(diff(a, b))
        raise UserError(
            f"mel spectrograms with different parameters ({a.fingerprint()} and {b.fingerprint()}): {fields}",
            where=where,
            hint="use parts that were trained on the same features, or prepare the data again",
        )


def log_mel(audio: Audio, spec: MelSpec) -> np.ndarray:
    """Log mel spectrogram (T, n_mels) float32.

    Raises:
        UserError: the sample rate is not the spec's, or there are fewer samples than one frame needs.
    """
    if audio.sample_rate != spec.sample_rate:
        raise UserError(
            f"the audio is at {audio.sample_rate} Hz, the features at {spec.sample_rate} Hz",
            hint=f"use audio.resample({spec.sample_rate})",
        )
    total = spec.n_frames(len(audio.samples))
    if len(audio.samples) <= spec.pad or total < 1:
        raise UserError(
            f"{len(audio.samples)} samples are too short for a mel frame, which needs {spec.pad + 1}"
        )
    import scipy.fft  # here, because whoever only speaks does without it

    first, filters = _filters(spec)
    window = hann(spec)
    padded = np.pad(audio.samples, spec.pad, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, spec.n_fft)[:: spec.hop_length]
    out = np.empty((total, spec.n_mels), np.float32)
    epsilon = np.float32(spec.power_epsilon)
    for start in range(0, total, CHUNK):
        spectrum = np.asarray(scipy.fft.rfft(frames[start : start + CHUNK] * window))
        bins = spectrum[:, first : first + len(filters)].astype(np.complex64)
        magnitude = np.square(np.real(bins))
        magnitude += np.square(np.imag(bins))
        magnitude += epsilon
        np.sqrt(magnitude, out=magnitude)
        np.matmul(magnitude, filters, out=out[start : start + CHUNK])
    np.maximum(out, np.float32(spec.floor), out=out)
    return np.log(out, out=out) if spec.log_base == "e" else np.log10(out, out=out)


@lru_cache(maxsize=8)
def hann(spec: MelSpec) -> np.ndarray:
    """Periodic Hann window (n_fft,) float64: win_length samples in the middle of zeros."""
    n = spec.win_length
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(n) / n)
    left = (spec.n_fft - n) // 2
    return np.pad(hann, (left, spec.n_fft - n - left))


@lru_cache(maxsize=8)
def _filters(spec: MelSpec) -> tuple[int, np.ndarray]:
    """The first frequency bin that any filter uses, and the filters from that bin on (bins, n_mels)."""
    full = mel_filters(spec)
    used = np.flatnonzero(full.any(axis=0))
    first, last = int(used[0]), int(used[-1]) + 1
    return first, np.ascontiguousarray(full[:, first:last].T)


def mel_filters(spec: MelSpec) -> np.ndarray:
    """Triangular mel filters (n_mels, n_fft // 2 + 1) float32 (Slaney 1998, Auditory Toolbox; or HTK)."""
    to_mel, to_hz = (_htk, _htk_inverse) if spec.mel_scale == "htk" else (hz_to_slaney, slaney_to_hz)
    low, high = to_mel(np.array([spec.f_min, spec.f_max], np.float64))
    edges = to_hz(np.linspace(low, high, spec.n_mels + 2))
    frequencies = np.linspace(0, spec.sample_rate / 2, spec.n_fft // 2 + 1)
    slopes = edges[:, None] - frequencies[None, :]
    widths = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    if spec.mel_norm == "slaney":
        triangles *= (2 / (edges[2:] - edges[:-2]))[:, None]
    if not triangles.any(axis=1).all():
        raise UserError(f"{spec.n_mels} mel filters are too many for n_fft {spec.n_fft}: some would be empty")
    return triangles.astype(np.float32)


_LINEAR = 200 / 3  # Hz per mel below 1 kHz on Slaney's scale
_STEP = math.log(6.4) / 27  # log frequency per mel above


def hz_to_slaney(hz: np.ndarray) -> np.ndarray:
    return np.where(hz < 1000, hz / _LINEAR, 15 + np.log(np.maximum(hz, 1) / 1000) / _STEP)


def slaney_to_hz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15, mel * _LINEAR, 1000 * np.exp(_STEP * (mel - 15)))


def _htk(hz: np.ndarray) -> np.ndarray:
    return 2595 * np.log10(1 + hz / 700)


def _htk_inverse(mel: np.ndarray) -> np.ndarray:
    return 700 * (10 ** (mel / 2595) - 1)
