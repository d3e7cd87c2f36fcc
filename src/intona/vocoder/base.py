"""What every vocoder is, and where the shipped ones lie."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intona import models
from intona.audio import Audio, MelSpec
from intona.errors import UserError

BF16 = bool | Literal["auto"]


class Vocoder(ABC):
    """Turns log mels of one `spec` into sound."""

    spec: MelSpec

    @abstractmethod
    def decode(self, mel: Tensor) -> Tensor:
        """Log mels (B, T, n_mels) to samples (B, S) float32 within ±1.

        Raises:
            UserError: another shape, or values that are not finite.
        """

    def speak(self, mel: np.ndarray, spec: MelSpec) -> Audio:
        """One mel (T, n_mels) made with `spec` to `Audio`; another spec than the vocoder's is refused."""
        self.spec.require_same(spec, where="vocoder")
        samples = self.decode(torch.from_numpy(np.ascontiguousarray(mel, np.float32))[None])
        return Audio(samples[0].cpu().numpy(), self.spec.sample_rate)

    def check(self, mel: Tensor) -> None:
        """Refuse what no vocoder can decode."""
        if mel.ndim != 3 or mel.shape[2] != self.spec.n_mels:
            raise UserError(
                f"a mel of shape (B, T, {self.spec.n_mels}) is needed, found {tuple(mel.shape)}",
                where="vocoder",
            )
        if not bool(torch.isfinite(mel).all()):
            raise UserError("the mel holds NaN or infinite values", where="vocoder")


def find(name: str | os.PathLike[str]) -> Path:
    """The directory of a vocoder, by the name of a shipped one or by path.

    Raises:
        UserError: there is none; the nearest known name is offered.
    """
    path = models.find(name, kind="vocoder")
    if not (path / "config.json").is_file():
        raise UserError("no vocoder directory: it holds no config.json", where=path)
    return path


def load_vocoder(
    name: str | os.PathLike[str] = "hifigan", *, device: str | torch.device = "cpu", bf16: BF16 = "auto"
) -> Vocoder:
    """A vocoder ready to decode.

    Args:
        name: "hifigan" (the shipped universal one), "griffin-lim", or a directory.
        bf16: see `HifiGan`.

    Raises:
        UserError: unknown name, or a directory whose files are missing, damaged or of another kind.
    """
    if name == "griffin-lim":
        from intona.vocoder.griffin_lim import GriffinLim

        return GriffinLim(MelSpec())
    from intona.vocoder.hifigan import HifiGan

    return HifiGan.load(find(name), device=device, bf16=bf16)
