"""A vocoder at frame rate: ConvNeXt blocks predict a spectrum, the inverse STFT makes the sound.

Vocos (Siuzdak 2023, arXiv 2306.00814): a trunk that never leaves the frame rate, and a Fourier head.
FreeV (Lv et al. 2024, arXiv 2406.08196): the amplitude starts from the pseudo-inverse of the mel filters, so
that only a correction is learnt. One trunk serves amplitude and phase, as in Vocos: both need the pitch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from intona import config as configs
from intona.audio import MelSpec
from intona.vocoder.frames import FrameVocoder, for_features
from intona.vocoder.stft import Stft
from intona.vocoder.trunk import LOG_RANGE, Trunk, TrunkConfig, normalised, pseudo_inverse


@dataclass(frozen=True, kw_only=True)
class VocosConfig:
    """Sizes; the defaults have 8.0 M parameters.

    Args:
        trunk: of the network.
        floor: least amplitude of the pseudo-inverse.
        refinements: rounds of Griffin-Lim from the predicted phases when decoding; training does without.
        features: fingerprint of the `MelSpec` that it was trained on ("" until it is known).
    """

    kind: Literal["vocos"] = "vocos"
    n_mels: int = 80
    trunk: TrunkConfig = dataclasses.field(default_factory=TrunkConfig)
    floor: float = 1e-4
    refinements: int = 0
    features: str = ""

    def __post_init__(self) -> None:
        configs.at_least(self, n_mels=1)
        configs.within(self, refinements=(0, 100))
        if not self.floor > 0:
            raise ValueError("floor must be above 0")

    @property
    def reach(self) -> int:
        """Frames to either side of its own that a sample depends on.

        Each convolution, each refinement (frames that share a sample), and the overlap at the end.
        """
        return self.trunk.reach + 3 * self.refinements + 2


@dataclass(frozen=True, kw_only=True)
class Spectrum:
    """What the network says of a mel.

    Args:
        log_amplitude: (B, T, n_fft // 2 + 1) natural logarithm.
        real, imag: (B, T, n_fft // 2 + 1) a vector whose direction is the phase; its length means nothing.
    """

    log_amplitude: Tensor
    real: Tensor
    imag: Tensor

    @property
    def phase(self) -> Tensor:
        """In (-pi, pi]."""
        return torch.atan2(self.imag, self.real)

    @property
    def complex(self) -> Tensor:
        scale = self.log_amplitude.exp() * torch.rsqrt(self.real.square() + self.imag.square() + 1e-12)
        return torch.complex(scale * self.real, scale * self.imag)


class VocosNetwork(nn.Module):
    """Log mels (B, T, n_mels) to a `Spectrum`, and on to samples."""

    pseudo_inverse: Tensor

    def __init__(self, config: VocosConfig, spec: MelSpec) -> None:
        super().__init__()
        self.config = config
        bins = spec.n_fft // 2 + 1
        self.stft = Stft(spec)
        self.register_buffer("pseudo_inverse", pseudo_inverse(spec), persistent=False)
        self.trunk = Trunk(config.n_mels, config.trunk)
        self.amplitude_out = nn.Linear(config.trunk.width, bins)
        self.phase_out = nn.Linear(config.trunk.width, 2 * bins)
        nn.init.zeros_(self.amplitude_out.weight)
        nn.init.zeros_(self.amplitude_out.bias)

    def spectrum(self, mel: Tensor) -> Spectrum:
        """Float32, whatever the autocast: a phase in bfloat16 is off by a degree, an amplitude by 3 %."""
        mel = mel.float()
        x = self.trunk(normalised(mel))
        with torch.autocast(mel.device.type, enabled=False):
            first = (mel.exp() @ self.pseudo_inverse).abs().clamp_min(self.config.floor).log()
            log_amplitude = (first + self.amplitude_out(x)).clamp(*LOG_RANGE)
            real, imag = self.phase_out(x).chunk(2, dim=-1)
        return Spectrum(log_amplitude=log_amplitude, real=real, imag=imag)

    def forward(self, mel: Tensor) -> Tensor:
        """Samples (B, T * hop) float32, not yet limited to ±1."""
        spectrum = self.spectrum(mel)
        with torch.autocast(mel.device.type, enabled=False):
            amplitude = spectrum.log_amplitude.exp()
            refined = self.stft.refined(spectrum.complex, amplitude, self.config.refinements)
            return self.stft.inverse(refined)


class Vocos(FrameVocoder[VocosNetwork]):
    """A trained network."""

    config_type, network_type = VocosConfig, VocosNetwork

    @torch.inference_mode()
    def decode(self, mel: Tensor) -> Tensor:
        self.check(mel)
        mel = mel.to(self.device, torch.float32)
        frames, hop, reach = mel.shape[1], self.spec.hop_length, self.config.reach
        pieces = []
        for start in range(0, frames, self.chunk_frames):
            end = min(start + self.chunk_frames, frames)
            left, right = max(0, start - reach), min(frames, end + reach)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                wave = self.network(mel[:, left:right])
            pieces.append(wave[:, (start - left) * hop : (end - left) * hop].clamp(-1, 1))
        return torch.cat(pieces, dim=1) if pieces else mel.new_zeros(len(mel), 0)


def untrained(config: VocosConfig, spec: MelSpec) -> VocosNetwork:
    """A network with fresh weights for these features, which its config then names."""
    return VocosNetwork(for_features(config, spec), spec)
