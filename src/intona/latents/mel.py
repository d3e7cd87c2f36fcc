"""Mels as a latent space without any training: frame by frame, or in patches of frames."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intona.audio import MelSpec
from intona.errors import UserError
from intona.latents.base import LatentsConfig, LatentSpace, hold_last

PER_FRAME = 16  # numbers of a patch that stand for one of its frames
PROPORTION = 0.5  # of new patches: see `PatchLatentsConfig` and docs/notebook/ditto.md


@dataclass(frozen=True, kw_only=True)
class MelLatentsConfig(LatentsConfig):
    """No settings: a latent is a mel frame."""

    kind: Literal["mel"] = "mel"

    def build(self, spec: MelSpec) -> MelLatents:
        return MelLatents(spec)


@dataclass(frozen=True, kw_only=True)
class PatchLatentsConfig(LatentsConfig):
    """`frames` mel frames per latent of `dim` numbers, fitted to the corpus whose fingerprint is `corpus`.

    Of 128 components the first holds two thirds of the variance and the last half 2 %. With `proportion` 1
    they keep that, and most come out of the noise in the last few steps; with 0 each has a deviation of 1,
    and half of what diffusion learns is inaudible noise.
    """

    kind: Literal["patch"] = "patch"
    n_mels: int = 80
    frames: int = 8
    dim: int = 128
    corpus: str = ""
    proportion: float = 1.0

    def __post_init__(self) -> None:
        if self.frames < 1 or self.n_mels < 1:
            raise ValueError("frames and n_mels must be at least 1")
        if not 1 <= self.dim <= self.frames * self.n_mels:
            raise ValueError(f"dim must lie in 1..{self.frames * self.n_mels}")
        if not 0 <= self.proportion <= 1:
            raise ValueError("proportion must lie in 0..1")

    def build(self, spec: MelSpec) -> PatchLatents:
        return PatchLatents(self, spec)


class MelLatents(LatentSpace):
    """A latent is a mel frame, standardised; nothing is lost."""

    kind = "mel"

    def __init__(self, spec: MelSpec) -> None:
        super().__init__(spec, dim=spec.n_mels, compression=1)
        self.config = MelLatentsConfig()

    def codes(self, mels: Tensor, lengths: Tensor) -> Tensor:
        return mels

    def mels(self, codes: Tensor, lengths: Tensor) -> Tensor:
        return codes


class PatchLatents(LatentSpace):
    """The first principal components of patches of mel frames: the best that a linear map can keep.

    As many vectors per second as the mel VAE has, without training: the control that shows what the training
    of a VAE is worth (ours; not in the paper).
    """

    kind = "patch"
    config: PatchLatentsConfig
    version = 2  # the last frame fills the last patch; once it was the mean mel
    center: Tensor
    basis: Tensor

    def __init__(self, config: PatchLatentsConfig, spec: MelSpec) -> None:
        if config.n_mels != spec.n_mels:
            raise UserError(f"latents of {config.n_mels} mels, features with {spec.n_mels}", where="latents")
        super().__init__(spec, dim=config.dim, compression=config.frames)
        self.config = config
        self.proportion = config.proportion
        self.register_buffer("center", torch.zeros(config.n_mels))
        self.register_buffer("basis", torch.zeros(config.dim, config.frames * config.n_mels))

    def codes(self, mels: Tensor, lengths: Tensor) -> Tensor:
        n = self.latents(mels.shape[1])
        x = hold_last(mels, lengths, n * self.compression) - self.center
        return x.reshape(len(x), n, -1) @ self.basis.T

    def mels(self, codes: Tensor, lengths: Tensor) -> Tensor:
        x = codes @ self.basis
        return x.reshape(len(x), -1, self.config.n_mels) + self.center

    def fingerprint(self) -> str:
        """Over kind, mel spec, sizes and corpus, from which the basis follows up to rounding."""
        c = self.config
        description = f"{self._description()} {c.frames} {c.dim} {c.corpus}"
        if c.proportion != 1:  # so that older ones keep their fingerprint
            description += f" {c.proportion:g}"
        return hashlib.sha256(description.encode()).hexdigest()[:16]


def fit_patches(mels: Iterable[np.ndarray], config: PatchLatentsConfig, spec: MelSpec) -> PatchLatents:
    """Principal components of whole patches about the mean mel, by the covariance, in float64.

    Args:
        mels: log mels (T, n_mels) of the training split. Frames after the last whole patch are
            not used.

    Raises:
        UserError: fewer patches than a latent has numbers.
    """
    width = config.frames * config.n_mels
    squares, sums, count = np.zeros((width, width)), np.zeros(width), 0
    for mel in mels:
        n = len(mel) // config.frames
        rows = mel[: n * config.frames].astype(np.float64).reshape(n, width)
        squares += rows.T @ rows
        sums += rows.sum(0)
        count += n
    if count < config.dim:
        raise UserError(f"{count} patches of {config.frames} frames are too few for {config.dim} numbers")
    mean = sums / count
    center = mean.reshape(config.frames, config.n_mels).mean(0)
    # About the mean frame, which hardly differs from the mean patch: any shift of a patch has the same one.
    off = mean - np.tile(center, config.frames)
    covariance = squares / count - np.outer(mean, mean) + np.outer(off, off)
    vectors = np.linalg.eigh(covariance)[1][:, ::-1][:, : config.dim]
    # The sign of a component is free: the largest entry decides it, on any machine.
    vectors *= np.sign(vectors[np.abs(vectors).argmax(0), np.arange(config.dim)])
    space = PatchLatents(config, spec)
    space.center.copy_(torch.from_numpy(center))
    space.basis.copy_(torch.from_numpy(np.ascontiguousarray(vectors.T)))
    return space
