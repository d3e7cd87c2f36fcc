"""Plain mels behind the face of a latent space: the control of any latent diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from intona.audio import MelSpec
from intona.latents.base import LatentSpace


@dataclass(frozen=True, kw_only=True)
class MelLatentsConfig:
    """Nothing to choose: a latent is a mel frame."""

    kind: Literal["mel"] = "mel"


class MelLatents(LatentSpace):
    """A latent is a mel frame, standardised; nothing is lost."""

    kind = "mel"

    def __init__(self, spec: MelSpec) -> None:
        super().__init__(spec, dim=spec.n_mels, compression=1)

    def codes(self, mels: Tensor, lengths: Tensor) -> Tensor:
        return mels

    def mels(self, codes: Tensor, lengths: Tensor) -> Tensor:
        return codes
