"""The interface of the spaces that a latent diffusion works in: mel frames to fewer vectors, and back."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.nn.masks import length_mask

STATISTICS = ("mean", "std")


class LatentsConfig(configs.PartConfig):
    """The config of a latent space; frozen dataclasses with `kind: Literal["name"]` derive from it."""

    group = "latents"
    default_kind = "melvae"

    def build(self, spec: MelSpec) -> LatentSpace:
        """A space with untrained weights for the mels of `spec`."""
        raise NotImplementedError


class LatentSpace(nn.Module, ABC):
    """Log mels (B, T, n_mels) <-> normalised latents (B, L, dim), L = ceil(T / compression).

    Latents are the codes standardised with `mean` and `std` (dim,), which belong to a corpus and are set by
    whoever trains on them; until then they are 0 and 1. The latents of an item depend on its frames only.

    Attributes:
        config: what it was built from.

    Args:
        spec: the mels it takes. dim: width of a latent. compression: mel frames per latent.
    """

    kind: str
    config: LatentsConfig
    version = 1  # part of the fingerprint: raised when the same weights give other latents
    proportion = 0.0  # what is left of the proportions between dimensions, see `scales`
    mean: Tensor
    std: Tensor

    def __init__(self, spec: MelSpec, *, dim: int, compression: int) -> None:
        super().__init__()
        self.spec, self.dim, self.compression = spec, dim, compression
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    @property
    def rate(self) -> float:
        """Latents per second."""
        return self.spec.frame_rate / self.compression

    def latents(self, frames: int) -> int:
        """The number of latents for so many mel frames."""
        return math.ceil(frames / self.compression)

    def latent_lengths(self, frames: Tensor) -> Tensor:
        return torch.div(frames + self.compression - 1, self.compression, rounding_mode="floor")

    @abstractmethod
    def codes(self, mels: Tensor, lengths: Tensor) -> Tensor:
        """Mels (B, T, n_mels) and frames (B,) -> codes (B, L, dim), not standardised; no randomness."""

    @abstractmethod
    def mels(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Codes (B, L, dim) and their lengths (B,) -> log mels (B, L * compression, n_mels)."""

    @torch.no_grad()
    def encode(self, mels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """-> latents (B, L, dim), zero after their lengths (B,)."""
        after = self.latent_lengths(lengths)
        z = (self.codes(mels, lengths).float() - self.mean) / self.std
        return z * length_mask(after, z.shape[1])[..., None], after

    @torch.no_grad()
    def decode(self, latents: Tensor, lengths: Tensor) -> Tensor:
        """Latents (B, L, dim) -> log mels (B, L * compression, n_mels), zero after lengths * compression."""
        mels = self.mels(latents * self.std + self.mean, lengths).float()
        return mels * length_mask(lengths * self.compression, mels.shape[1])[..., None]

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        self.mean.copy_(mean)
        self.std.copy_(std.clamp(min=1e-5))

    def fingerprint(self) -> str:
        """16 hex digits over kind, mel spec and weights, but not over the statistics.

        Weights count in half precision: a model published so keeps its fingerprint.
        """
        digest = hashlib.sha256(f"{self._description()} {self.dim}".encode())
        for name, value in sorted(self.state_dict().items()):
            if name not in STATISTICS:
                digest.update(name.encode())
                digest.update(value.detach().cpu().half().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _description(self) -> str:
        version = f"{self.version} " if self.version > 1 else ""
        return f"{self.kind} {version}{self.spec.fingerprint()}"

    def require(self, fingerprint: str, *, where: object = None) -> None:
        """Refuse latents of another space.

        Raises:
            UserError: names both fingerprints.
        """
        if fingerprint != self.fingerprint():
            raise UserError(
                f"made for the latents {fingerprint}, these are {self.fingerprint()} ({self.kind})",
                where=where,
                hint="use the latents that the model was trained with",
            )


def hold_last(mels: Tensor, lengths: Tensor, size: int) -> Tensor:
    """(B, T, n_mels) -> (B, size, n_mels): after its length each item goes on with its last frame.

    Anything else, above all the mean mel, would be learnt, and audible as a burst after the last word.
    """
    index = torch.minimum(torch.arange(size, device=mels.device)[None, :], (lengths - 1)[:, None])
    return mels.gather(1, index[..., None].expand(-1, -1, mels.shape[2]))


def scales(deviations: Tensor, proportion: float) -> Tensor:
    """What to divide dimensions of these deviations (dim,) by: s becomes s ** proportion, up to one factor.

    With 0 each has a deviation of 1 then, with 1 all keep their proportions; the mean square is always 1.
    """
    return deviations ** (1 - proportion) * (deviations ** (2 * proportion)).mean().sqrt()


def statistics_of(codes: Iterable[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each dimension over (L, dim) arrays, added up in float64.

    Raises:
        UserError: nothing to measure, or values that are not finite.
    """
    count, total, squares = 0, np.float64(0), np.float64(0)
    for rows in codes:
        values = rows.astype(np.float64)
        count, total, squares = count + len(values), total + values.sum(0), squares + np.square(values).sum(0)
    if not count or not np.isfinite(squares).all():
        raise UserError("the latents of the corpus are none, or not finite", hint="train the latents anew")
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    return torch.from_numpy(np.asarray(mean)).float(), torch.from_numpy(np.asarray(std)).float()
