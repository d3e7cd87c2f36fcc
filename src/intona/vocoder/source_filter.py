"""A source-filter vocoder at frame rate: a network's filters on the STFT of pulses and of noise.

    S = H * STFT(pulses) + G * STFT(noise),   sound = inverse STFT of S

H is complex and G positive, one value a bin and frame, by ConvNeXt blocks from the mel; both start from the
pseudo-inverse of the mel filters (FreeV, Lv et al. 2024, arXiv 2406.08196). The pitch of the pulses is
predicted from the mel. The neural homomorphic vocoder (Liu et al. 2020) and DDSP (Engel et al. 2020, arXiv
2001.04643) filter pulses and noise likewise, the frame-rate trunk is that of Vocos (arXiv 2306.00814); the
combination is ours.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from intona import config as configs
from intona.audio import MelSpec
from intona.vocoder.frames import FrameVocoder, for_features
from intona.vocoder.running import waves
from intona.vocoder.source import noise, noise_table, pulses
from intona.vocoder.stft import Stft
from intona.vocoder.trunk import LOG_RANGE, Trunk, TrunkConfig, normalised, pseudo_inverse

PITCH_BINS = 128


@dataclass(frozen=True, kw_only=True)
class SourceFilterConfig:
    """Sizes; the defaults have 3.6 M parameters.

    Args:
        trunk: of the filters. pitch: of the pitch and its voicing.
        f_min, f_max: Hz, of a pitch. floor: least amplitude of the pseudo-inverse.
        refinements: rounds of fast Griffin-Lim (Perraudin et al. 2013) when decoding: in voiced frames
            towards the amplitudes that are expected of pulses and noise together, in the others towards their
            own. They make the voice less hoarse; training does without.
        features: fingerprint of the `MelSpec` that it was trained on ("" until it is known).
    """

    kind: Literal["source-filter"] = "source-filter"
    n_mels: int = 80
    trunk: TrunkConfig = dataclasses.field(default_factory=lambda: TrunkConfig(width=256, depth=6))
    pitch: TrunkConfig = dataclasses.field(default_factory=lambda: TrunkConfig(width=128, depth=4))
    f_min: float = 55.0
    f_max: float = 620.0
    floor: float = 1e-4
    refinements: int = 8
    features: str = ""

    def __post_init__(self) -> None:
        configs.at_least(self, n_mels=1, f_min=20)
        configs.within(self, refinements=(0, 100))
        if not self.f_min < self.f_max <= 2000:
            raise ValueError("f_min < f_max <= 2000 must hold")
        if not self.floor > 0:
            raise ValueError("floor must be above 0")

    @property
    def reach(self) -> int:
        """Frames to either side of its own that a sample depends on, but for the running phase."""
        return self.trunk.reach + self.pitch.reach + 4 + 3 * self.refinements


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the network says of a mel, each (B, T, n_fft // 2 + 1).

    Args:
        harmonic, noise: log amplitudes.
        real, imag: a vector whose direction is the phase of the harmonic filter.
    """

    harmonic: Tensor
    noise: Tensor
    real: Tensor
    imag: Tensor

    @property
    def phase(self) -> Tensor:
        """In (-pi, pi]."""
        return torch.atan2(self.imag, self.real)

    @property
    def complex(self) -> Tensor:
        """H."""
        scale = self.harmonic.exp() * torch.rsqrt(self.real.square() + self.imag.square() + 1e-12)
        return torch.complex(scale * self.real, scale * self.imag)


class SourceFilterNetwork(nn.Module):
    """Log mels (B, T, n_mels) to pitch, filters and samples."""

    pseudo_inverse: Tensor
    table: Tensor
    centres: Tensor

    def __init__(self, config: SourceFilterConfig, spec: MelSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.bins = spec.n_fft // 2 + 1
        self.stft = Stft(spec)
        self.register_buffer("pseudo_inverse", pseudo_inverse(spec), persistent=False)
        self.register_buffer("table", noise_table(spec), persistent=False)
        octaves = torch.linspace(math.log2(config.f_min), math.log2(config.f_max), PITCH_BINS)
        self.register_buffer("centres", octaves, persistent=False)
        self.trunk = Trunk(config.n_mels, config.trunk)
        self.out = nn.Linear(config.trunk.width, 4 * self.bins)
        self.pitch_trunk = Trunk(config.n_mels, config.pitch)
        self.pitch_out = nn.Linear(config.pitch.width, PITCH_BINS + 1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()
            self.out.bias[self.bins : 2 * self.bins] = -1.0  # noise below the pulses
            self.out.bias[2 * self.bins : 3 * self.bins] = 1.0  # phase 0

    def filters(self, mel: Tensor) -> Filters:
        """The trunk runs as the autocast says, the rest in float32."""
        mel = mel.float()
        x = self.trunk(normalised(mel))
        with torch.autocast(mel.device.type, enabled=False):
            first = (mel.exp() @ self.pseudo_inverse).abs().clamp_min(self.config.floor).log()
            harmonic, quiet, real, imag = self.out(x).chunk(4, dim=-1)
            return Filters(
                harmonic=(first + harmonic).clamp(*LOG_RANGE),
                noise=(first + quiet).clamp(*LOG_RANGE),
                real=real,
                imag=imag,
            )

    def pitch_logits(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Log mels to logits over the pitch's bins (B, T, PITCH_BINS) and of voicing (B, T)."""
        x = self.pitch_trunk(normalised(mel.float()))
        with torch.autocast(mel.device.type, enabled=False):
            logits = self.pitch_out(x)
        return logits[..., :-1], logits[..., -1]

    def pitch(self, mel: Tensor) -> Tensor:
        """(B, T) Hz, 0 where unvoiced."""
        octaves, voiced = self.octaves(mel)
        return torch.where(voiced > 0, octaves.exp2(), 0.0)

    def octaves(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) log2 of the pitch in Hz, the mean of the bins about the likeliest one; logits of voicing."""
        logits, voiced = self.pitch_logits(mel)
        at = torch.arange(PITCH_BINS, device=mel.device)
        near = (at - logits.argmax(-1, keepdim=True)).abs() <= 3
        shares = logits.masked_fill(~near, -torch.inf).softmax(-1)
        # Rounded to .3 cents: else the last bits, which depend on the length of a chunk, add up in the phase.
        return (shares @ self.centres * 4096).round() / 4096, voiced

    def harmonics(self, f0: Tensor, phase: Tensor) -> Tensor:
        """The STFT of the pulses, complex (B, T, n_fft // 2 + 1)."""
        return self.stft(pulses(phase, f0, self.spec, self.spec.pad))

    def noises(self, first: Tensor, frames: int) -> Tensor:
        """The STFT of the noise from frame `first` (B,) on, complex (B, T, n_fft // 2 + 1)."""
        size = frames * self.spec.hop_length + 2 * self.spec.pad
        return self.stft(noise(self.table, first * self.spec.hop_length, size))

    def forward(self, mel: Tensor, f0: Tensor, phase: Tensor, first: Tensor) -> Tensor:
        """Samples (B, T * hop) for a pitch and its phase (B, T) and the number of the first frame (B,)."""
        filters = self.filters(mel)
        with torch.autocast(mel.device.type, enabled=False):
            harmonic, quiet = filters.complex * self.harmonics(f0, phase), filters.noise.exp()
            spectrum = harmonic + quiet * self.noises(first, mel.shape[1])
            expected = (harmonic.real.square() + harmonic.imag.square() + quiet.square()).sqrt()
            amplitude = torch.where((f0 > 0)[..., None], expected, spectrum.abs())
            return self.stft.inverse(self.stft.refined(spectrum, amplitude, self.config.refinements))


class SourceFilter(FrameVocoder[SourceFilterNetwork]):
    """A trained network."""

    config_type, network_type = SourceFilterConfig, SourceFilterNetwork

    @torch.inference_mode()
    def decode(self, mel: Tensor) -> Tensor:
        self.check(mel)
        if not mel.shape[1]:
            return torch.zeros(len(mel), 0, device=self.device)
        pieces = list(self._waves(mel.split(self.chunk_frames, dim=1)))
        return torch.cat(pieces, dim=1)

    def stream(self, mels: Iterable[Tensor]) -> Iterator[np.ndarray]:
        """Waves of mel chunks (T, n_mels) that come in turn, the same as those of the whole."""
        with torch.inference_mode():
            for wave in self._waves(m[None] for m in mels if len(m)):
                yield wave[0].float().cpu().numpy()

    def _waves(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        mels = (chunk.to(self.device, torch.float32) for chunk in chunks)
        reach, pitch_reach = self.config.reach, self.config.pitch.reach
        return waves(
            mels, self.spec, reach=reach, pitch_reach=pitch_reach, pitch=self._pitch, sound=self._sound
        )

    def _pitch(self, mel: Tensor) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network.pitch(mel)

    def _sound(self, mel: Tensor, f0: Tensor, phase: Tensor, first: int) -> Tensor:
        frame = torch.full((len(mel),), first, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.network(mel, f0, phase, frame).clamp(-1, 1)


def untrained(config: SourceFilterConfig, spec: MelSpec) -> SourceFilterNetwork:
    """A network with fresh weights for these features, which its config then names."""
    return SourceFilterNetwork(for_features(config, spec), spec)
