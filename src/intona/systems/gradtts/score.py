"""Score networks behind one interface: the paper's 2-D U-Net and a 1-D network at frame rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intona.nn.convnext import ConvNeXtStack
from intona.nn.embedding import TimeEmbedding
from intona.nn.unet2d import UNet2d
from intona.systems.gradtts.config import DecoderConfig


class UNetScore(nn.Module):
    """Noisy mel, mean and (several voices) a projected speaker plane as channels of an image."""

    def __init__(self, config: DecoderConfig, *, n_mels: int, states: int, speaker_dim: int) -> None:
        super().__init__()
        self.speaker = (
            nn.Sequential(
                nn.Linear(speaker_dim, 4 * speaker_dim), nn.Mish(), nn.Linear(4 * speaker_dim, n_mels)
            )
            if speaker_dim
            else None
        )
        self.net = UNet2d(
            2 + bool(speaker_dim), dim=config.dim, mults=config.mults, time_activation=config.time_activation
        )

    def forward(
        self, x: Tensor, mu: Tensor, t: Tensor, mask: Tensor, states: Tensor | None, speaker: Tensor | None
    ) -> Tensor:
        planes = [mu, x]
        if self.speaker is not None and speaker is not None:
            planes.append(self.speaker(speaker)[:, None, :].expand_as(x))
        return self.net(torch.stack([p.to(x.dtype) for p in planes], dim=1), t, mask)


class ConvNeXtScore(nn.Module):
    """Noisy mel, mean and optionally the expanded text states side by side as channels of a sequence."""

    def __init__(self, config: DecoderConfig, *, n_mels: int, states: int, speaker_dim: int) -> None:
        super().__init__()
        self.see_states = config.see_states
        self.time = TimeEmbedding(config.dim)
        self.speaker = nn.Linear(speaker_dim, config.dim) if speaker_dim else None
        self.net = ConvNeXtStack(
            2 * n_mels + (states if config.see_states else 0),
            n_mels,
            dim=config.dim,
            depth=config.depth,
            condition=config.dim,
            expand=config.expand,
            kernel=config.kernel,
        )

    def forward(
        self, x: Tensor, mu: Tensor, t: Tensor, mask: Tensor, states: Tensor | None, speaker: Tensor | None
    ) -> Tensor:
        condition = self.time(t)
        if self.speaker is not None and speaker is not None:
            condition = condition + self.speaker(speaker)
        inputs = [x, mu] + ([states] if self.see_states and states is not None else [])
        return self.net(torch.cat([i.to(x.dtype) for i in inputs], dim=-1), condition, mask)


def build_score(
    config: DecoderConfig, *, n_mels: int, states: int, speaker_dim: int
) -> UNetScore | ConvNeXtScore:
    cls = {"unet2d": UNetScore, "convnext1d": ConvNeXtScore}[config.kind]
    return cls(config, n_mels=n_mels, states=states, speaker_dim=speaker_dim)
