"""A vocoder without weights: a buzz of 110 Hz that is as loud as the mel."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from intona.audio import MelSpec
from intona.vocoder.base import BF16, Vocoder

PITCH = 110.0  # Hz


class BuzzVocoder(Vocoder):
    """Intelligible to nobody, but its envelope is the mel's."""

    def __init__(self, spec: MelSpec) -> None:
        self.spec = spec

    @classmethod
    def load(
        cls, directory: Path | None, *, device: str | torch.device = "cpu", bf16: BF16 = "auto"
    ) -> BuzzVocoder:
        return cls(MelSpec() if directory is None else MelSpec.load(directory / "features.json"))

    def decode(self, mel: Tensor) -> Tensor:
        self.check(mel)
        level = mel.float().exp().mean(-1).clamp(max=1).repeat_interleave(self.spec.hop_length, dim=1)
        phase = torch.arange(level.shape[1]) * (PITCH / self.spec.sample_rate) % 1
        return level * (2 * phase - 1)
