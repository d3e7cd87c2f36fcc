"""A variational autoencoder of mels, eight times fewer vectors per second (10.77 Hz at 22.05 kHz, hop 256).

DiTTo-TTS (Lee et al. 2024, arXiv 2406.11427) works on such latents; its own Mel-VAE is quantised and trained
with adversaries. This one is the plain kind (Kingma & Welling 2014), of ConvNeXt blocks (ours).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.latents.base import LatentsConfig, LatentSpace, hold_last
from intona.nn.convnext import ConvNeXtBlock
from intona.nn.losses import Losses, Part
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom

LOG_VAR = (-12.0, 6.0)  # of the posterior; a wider one is of no use and overflows


@dataclass(frozen=True, kw_only=True)
class MelVAEConfig(LatentsConfig):
    """Sizes.

    Attributes:
        dim: of a latent. width: of the network. depth: blocks before each halving and after the last.
        halvings: 3 make 8 frames per latent.
        kl: weight of the divergence from the unit normal, a latent's dimension, beside a mean absolute error
            of 1 a standardised mel bin.
        delta: weight of the error of differences between neighbouring frames, against blur.
    """

    kind: Literal["melvae"] = "melvae"
    n_mels: int = 80
    dim: int = 64
    width: int = 256
    depth: int = 2
    expand: int = 3
    kernel: int = 7
    halvings: int = 3
    kl: float = 2e-3
    delta: float = 0.5

    def __post_init__(self) -> None:
        configs.at_least(self, n_mels=1, dim=1, width=1, depth=1, expand=1)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        if not 0 <= self.halvings <= 5:
            raise ValueError("halvings must lie in 0..5")
        if self.kl < 0 or self.delta < 0:
            raise ValueError("kl and delta must not be below 0")

    def build(self, spec: MelSpec) -> MelVAE:
        return MelVAE(self, spec)


class _Blocks(nn.Module):
    """ConvNeXt blocks whose modulation sees a constant: a learned scale, shift and gate, nothing more."""

    def __init__(self, config: MelVAEConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, 1, expand=config.expand, kernel=config.kernel)
            for _ in range(config.depth)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        one = x.new_ones(x.shape[0], 1)
        for block in self.blocks:
            x = block(x, one, mask)
        return x * mask[..., None]


class MelVAE(LatentSpace):
    """See the module.

    Halving joins two neighbours by a linear map and doubling parts them again, so that no frame is seen
    through a convolution that would reach over the end of another length.
    """

    kind = "melvae"
    config: MelVAEConfig
    version = 2  # as patches
    mel_mean: Tensor
    mel_std: Tensor

    def __init__(self, config: MelVAEConfig, spec: MelSpec) -> None:
        if config.n_mels != spec.n_mels:
            raise UserError(f"latents of {config.n_mels} mels, features with {spec.n_mels}", where="latents")
        super().__init__(spec, dim=config.dim, compression=2**config.halvings)
        self.config = config
        w = config.width
        self.inlet = nn.Linear(config.n_mels, w)
        self.down = nn.ModuleList(_Blocks(config) for _ in range(config.halvings + 1))
        self.join = nn.ModuleList(nn.Linear(2 * w, w) for _ in range(config.halvings))
        self.posterior = nn.Sequential(nn.LayerNorm(w), nn.Linear(w, 2 * config.dim))
        self.start = nn.Linear(config.dim, w)
        self.up = nn.ModuleList(_Blocks(config) for _ in range(config.halvings + 1))
        self.part = nn.ModuleList(nn.Linear(w, 2 * w) for _ in range(config.halvings))
        self.outlet = nn.Sequential(nn.LayerNorm(w), nn.Linear(w, config.n_mels))
        self.register_buffer("mel_mean", torch.zeros(config.n_mels))
        self.register_buffer("mel_std", torch.ones(config.n_mels))

    def set_mel_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Corpus mean and deviation of each mel bin."""
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std)

    def moments(self, mels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, n_mels) -> mean and log variance of the posterior, (B, L, dim) each."""
        t = self.latents(mels.shape[1]) * self.compression
        whole = self.latent_lengths(lengths) * self.compression
        x = self.inlet((hold_last(mels, lengths, t) - self.mel_mean) / self.mel_std)
        x = x * length_mask(whole, t)[..., None]
        for i, blocks in enumerate(self.down):
            if i:
                x = self.join[i - 1](x.reshape(x.shape[0], -1, 2 * x.shape[2]))
            x = blocks(x, length_mask(whole // 2**i, x.shape[1]))
        mean, log_var = self.posterior(x).float().chunk(2, dim=-1)
        return mean, log_var.clamp(*LOG_VAR)

    def codes(self, mels: Tensor, lengths: Tensor) -> Tensor:
        return self.moments(mels, lengths)[0]

    def mels(self, codes: Tensor, lengths: Tensor) -> Tensor:
        return self.standard_mels(codes, lengths).float() * self.mel_std + self.mel_mean

    def standard_mels(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """As `mels`, in units of the corpus's deviation."""
        x = self.start(codes)
        for i, blocks in enumerate(self.up):
            if i:
                x = self.part[i - 1](x)
                x = x.reshape(x.shape[0], -1, x.shape[2] // 2)
            x = blocks(x, length_mask(lengths * 2**i, x.shape[1]))
        return self.outlet(x)

    def losses(self, mels: Tensor, lengths: Tensor, random: ItemRandom) -> Losses:
        """Absolute errors of standardised mels and of their differences in time, and the divergence.

        All frames of the last latent count: those after the end go on with the last one.

        KL(N(m, s^2) | N(0, 1)) = (m^2 + s^2 - 1 - log s^2) / 2 (Kingma & Welling 2014, appendix B).
        """
        mean, log_var = self.moments(mels, lengths)
        after = self.latent_lengths(lengths)
        noise = random.normal(after.tolist(), self.dim).to(mean)
        decoded = self.standard_mels(mean + torch.exp(0.5 * log_var) * noise, after).float()
        lengths, mels = after * self.compression, hold_last(mels, lengths, decoded.shape[1])
        error = decoded - (mels - self.mel_mean) / self.mel_std
        error = error * length_mask(lengths, mels.shape[1])[..., None]
        inner = length_mask(lengths - 1, mels.shape[1] - 1)
        moving = (error[:, 1:] - error[:, :-1]).abs() * inner[..., None]
        divergence = 0.5 * (mean.square() + log_var.exp() - 1 - log_var)
        divergence = divergence * length_mask(after, mean.shape[1])[..., None]
        n = mels.shape[2]
        return Losses(
            parts={
                "mel": Part(total=error.abs().sum(), count=lengths.sum() * n),
                "delta": Part(total=moving.sum(), count=inner.sum() * n, weight=self.config.delta),
                "kl": Part(total=divergence.sum(), count=after.sum() * self.dim, weight=self.config.kl),
            }
        )
