"""What every vocoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from intona.audio import Audio, MelSpec
from intona.errors import UserError

BF16 = bool | Literal["auto"]


class Vocoder(ABC):
    """Turns log mels of one `spec` into sound."""

    spec: MelSpec

    @classmethod
    def load(cls, directory: Path | None, *, device: str | torch.device = "cpu", bf16: BF16 = "auto") -> Self:
        """Open a vocoder.

        Args:
            directory: a run, a checkpoint or a published model; None where the name of this class alone was
                asked for, for a vocoder that has no weights.
            device: where it decodes. bf16: whether in bfloat16; "auto": where that is faster.

        Raises:
            UserError: missing or damaged files, or no directory for a vocoder that needs one.
        """
        raise NotImplementedError

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


def require_directory(directory: Path | None, name: str) -> Path:
    """The directory, for a vocoder that has weights.

    Raises:
        UserError: none was given.
    """
    if directory is None:
        raise UserError(
            f'no model named "{name}" is installed', where="vocoder", hint="give a run or a directory"
        )
    return directory
