"""What every vocoder is."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from intona.audio import Audio, MelSpec
from intona.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BF16 = bool | Literal["auto"]


class Vocoder(ABC):
    """Turns log mels of one `spec` into sound. `decode` and `stream` keep no state: any thread may call them.

    Attributes:
        spec: of the mels.
        reach: frames to either side of its own that a sample depends on; None where it may be all of them.
    """

    spec: MelSpec

    @property
    def reach(self) -> int | None:
        return None

    @classmethod
    def load(cls, directory: Path | None, *, device: str | torch.device = "cpu", bf16: BF16 = "auto") -> Self:
        """Open a vocoder.

        Args:
            directory: a run, a checkpoint or a published model; None for a vocoder that has no weights and
                was requested by the name of its class.
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

    def stream(self, mels: Iterable[Tensor]) -> Iterator[np.ndarray]:
        """Waves (S,) float32 of consecutive mels (T, n_mels); joined they are what `decode` gives of all.

        A frame is decoded as soon as the `reach` frames after it are there, with those on both sides. Without
        a reach all is decoded at the end.
        """
        import torch

        hop = self.spec.hop_length
        buffer: list[Tensor] = []
        context, ahead = 0, 0  # frames in the buffer that are decoded already, and that are not
        for mel in itertools.chain(mels, [None]):
            last = mel is None
            if mel is not None and len(mel):
                buffer.append(mel.float().cpu())
                ahead += len(mel)
            ready = ahead if last else 0 if self.reach is None else ahead - self.reach
            if ready <= 0:
                continue
            x = torch.cat(buffer)
            wave = self.decode(x[None])[0, context * hop : (context + ready) * hop]
            yield wave.float().cpu().numpy()
            keep = min(self.reach or 0, context + ready)
            buffer = [x[context + ready - keep :]]
            context, ahead = keep, ahead - ready

    def speak(self, mel: np.ndarray, spec: MelSpec) -> Audio:
        """One mel (T, n_mels) made with `spec` to `Audio`; another spec than the vocoder's is refused."""
        import torch

        self.spec.require_same(spec, where="vocoder")
        samples = self.decode(torch.from_numpy(np.ascontiguousarray(mel, np.float32))[None])
        return Audio(samples[0].cpu().numpy(), self.spec.sample_rate)

    def check(self, mel: Tensor) -> None:
        """Refuse what no vocoder can decode."""
        if mel.ndim != 3 or mel.shape[2] != self.spec.n_mels:
            raise UserError(
                f"a mel of shape (B, T, {self.spec.n_mels}) is needed, this one is {tuple(mel.shape)}",
                where="vocoder",
            )
        if not bool(mel.isfinite().all()):
            raise UserError("the mel holds NaN or infinite values", where="vocoder")


def require_directory(directory: Path | None, name: str) -> Path:
    """The directory, for a vocoder that has weights.

    Raises:
        UserError: there is none.
    """
    if directory is None:
        raise UserError(
            f'no model named "{name}" is installed', where="vocoder", hint="give a run or a directory"
        )
    return directory
