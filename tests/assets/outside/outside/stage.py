"""A stage: the mean mel of each symbol, learned by least squares with gradients."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from intona import config as configs
from intona.data.batch import Batch
from intona.data.prepared import Prepared
from intona.nn.losses import Losses, Part
from intona.nn.masks import length_mask
from intona.training.loop import LoopConfig
from intona.training.mel_feed import MelFeed
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task


@dataclass(frozen=True, kw_only=True)
class MeanConfig:
    """Sizes of the table."""

    n_tokens: int = 0
    n_mels: int = 80


@dataclass(frozen=True, kw_only=True)
class MeanRun:
    """A whole run."""

    stage: str = "outside.mean"
    size: str = "toy"
    corpus: str = ""
    init: str = ""
    model: MeanConfig = field(default_factory=MeanConfig)
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=100))
    optim: OptimConfig = field(default_factory=OptimConfig)


class MeanModel(nn.Module):
    """One mel per symbol; a text is as long as its symbols are many."""

    FRAMES_PER_SYMBOL = 7

    def __init__(self, config: MeanConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.n_tokens, config.n_mels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N) ids -> (B, N * FRAMES_PER_SYMBOL, n_mels)."""
        return self.table(tokens).repeat_interleave(self.FRAMES_PER_SYMBOL, dim=1)


class MeanTask(Task):
    """The model, and the squared error between the mean mel of a text and that of its recording."""

    def __init__(self, config: MeanRun, prepared: Prepared) -> None:
        super().__init__()
        self.prepared = prepared
        self.model = MeanModel(config.model)

    def forward(self, batch: Batch, step: int) -> Losses:
        tokens = length_mask(batch.token_lengths, batch.tokens.shape[1])[..., None]
        frames = length_mask(batch.mel_lengths, batch.mels.shape[1])[..., None]
        predicted = (self.model.table(batch.tokens) * tokens).sum(1) / tokens.sum(1)
        target = (batch.mels * frames).sum(1) / frames.sum(1)
        error = (predicted.float() - target).square()
        return Losses(parts={"mean": Part(total=error.sum(), count=torch.tensor(error.numel()))})

    def extra_files(self) -> dict[str, Any]:
        return {
            "tokenizer.json": self.prepared.tokenizer.to_json(),
            "features.json": configs.to_dict(self.prepared.spec),
            "voices.json": {
                "kind": "outside",
                "speakers": list(self.prepared.speakers),
                "languages": list(self.prepared.languages),
            },
        }


def setup(config: MeanRun, request: Request) -> Setup:
    """See `intona.training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    model = MeanConfig(n_tokens=len(prepared.tokenizer), n_mels=prepared.spec.n_mels)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, model=model)
    return Setup(
        config=config,
        task=lambda: MeanTask(config, prepared),
        feed=lambda rank, world: MelFeed(
            prepared, seed=config.loop.seed, max_frames=2000, rank=rank, world=world
        ),
    )


STAGE = Stage(name="outside.mean", makes="voice", sizes={"toy": MeanRun, "small": MeanRun}, setup=setup)
