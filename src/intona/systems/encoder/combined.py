"""`prosody.combined`: stages 2 and 3 in one. Each step has a mixed batch and a batch of one phoneme.

The objective is (1 - same_weight) x the loss of the mixed batch + same_weight x that of the other one. The
paper's conclusion asks for such a stage; the weights, sizes and the second bias are ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from intona import config as configs
from intona.data.pairs import PairBatch
from intona.data.pieces import Text
from intona.data.prepared import Prepared
from intona.encoders.contrastive import start_bias
from intona.encoders.speaker import SpeakerVectors
from intona.nn import ranks
from intona.nn.losses import Losses
from intona.systems.encoder import contrastive
from intona.systems.encoder.contrastive import ContrastiveRun, ContrastiveTask, PhonemePairFeed
from intona.text import BpeTokenizer
from intona.training.stage import Request, Setup, Stage


@dataclass(frozen=True, kw_only=True)
class CombinedRun(ContrastiveRun):
    """A whole run. Fields of `ContrastiveRun` are about the mixed batches, except for `statistics`.

    `same_weight`: share of the loss of the batch of one phoneme, from 0 to 1. `same_batch`: its pairs per
    rank, each of another text. `statistics`: what the audio encoder normalises that batch by: the running
    statistics of the mixed batches ("frozen", as in stage 3) or its own ("batch").
    """

    stage: str = "prosody.combined"
    same_weight: float = 0.5
    same_batch: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        configs.at_least(self, same_batch=2)
        if not 0 <= self.same_weight <= 1:
            raise ValueError(f"same_weight is {self.same_weight}: from 0 to 1")
        if self.batches != "mixed" or self.fit_bias:
            raise ValueError(
                "prosody.combined has batches of both kinds and two biases: leave `batches` and "
                "`fit_bias` as they are"
            )

    def same(self) -> ContrastiveRun:
        """The config of the batches of one phoneme."""
        shared = {f.name: getattr(self, f.name) for f in dataclasses.fields(ContrastiveRun)}
        return ContrastiveRun(**{**shared, "batches": "same", "batch": self.same_batch, "per_utterance": 1})


def _combined(base: ContrastiveRun, same_batch: int) -> CombinedRun:
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(base)}
    return CombinedRun(
        **{**fields, "stage": "prosody.combined", "statistics": "frozen"}, same_batch=same_batch
    )


def paper() -> CombinedRun:
    """20,000 steps (those of stage 2) of 256 pairs of each kind. Not in the paper.

    Command: `intona train prosody.combined --size paper --data DATA --init STAGE1 --output RUN`.
    """
    return _combined(contrastive.paper(), 256)


def small() -> CombinedRun:
    """2,000 steps of 128 mixed pairs and 32 pairs of one phoneme, each of another text.

    Command: `intona train prosody.combined --size small --data DATA --init STAGE1 --output RUN`. Cost,
    from those of stages 2 and 3: about 3 s of one CPU core per step, two hours in all.
    """
    return _combined(contrastive.small(), 32)


def toy() -> CombinedRun:
    """Seconds: for tests and first tries."""
    return _combined(contrastive.toy(), 8)


SIZES = {"paper": paper, "small": small, "toy": toy}


@dataclass(frozen=True, kw_only=True)
class CombinedBatch:
    """A batch of phonemes of any kind, and one of a single phoneme."""

    mixed: PairBatch
    same: PairBatch

    @property
    def ids(self) -> list[str]:
        return [*self.mixed.ids, *self.same.ids]

    def __len__(self) -> int:
        return len(self.mixed) + len(self.same)

    def to(self, device: torch.device | str) -> CombinedBatch:
        return CombinedBatch(mixed=self.mixed.to(device), same=self.same.to(device))


class CombinedTask(ContrastiveTask):
    """Both losses. `same.bias` is SigLIP's bias for batches of one phoneme."""

    config: CombinedRun

    def __init__(
        self,
        config: CombinedRun,
        prepared: Prepared,
        bpe: BpeTokenizer,
        speakers: SpeakerVectors | None = None,
    ) -> None:
        super().__init__(config, prepared, bpe, speakers)
        self.model.audio.freeze_statistics(False)
        self.same = nn.ParameterDict()
        if self.model.bias is not None:
            pairs = config.same_batch * ranks.world()
            self.same["bias"] = nn.Parameter(torch.tensor(start_bias(config.model, pairs)))

    def forward(self, batch: CombinedBatch, step: int) -> Losses:  # type: ignore[override]
        weight = self.config.same_weight
        mixed = self.losses(batch.mixed, step)
        # After the mixed batch, whose statistics it is normalised by.
        self.model.audio.freeze_statistics(self.config.statistics == "frozen")
        same = self.losses(batch.same, step, self.same.get("bias", None))
        self.model.audio.freeze_statistics(False)
        parts = {k: dataclasses.replace(p, weight=p.weight * (1 - weight)) for k, p in mixed.items()}
        parts |= {f"same_{k}": dataclasses.replace(p, weight=p.weight * weight) for k, p in same.items()}
        del parts["same_scale"]  # both have the same scale,
        del parts["same_same_phoneme"]  # and here all pairs are of one phoneme
        return Losses(parts=parts)


class CombinedFeed:
    """Training pairs of both kinds for one rank, and fixed ones of the dev set."""

    def __init__(
        self,
        prepared: Prepared,
        config: CombinedRun,
        texts: dict[str, Text],
        speakers: SpeakerVectors | None,
        rank: int,
        world: int,
    ) -> None:
        self.mixed = PhonemePairFeed(prepared, config, texts, speakers, rank, world)
        self.same = PhonemePairFeed(prepared, config.same(), texts, speakers, rank, world)
        # What setup reports is about the mixed batches.
        self.places, self.sampler = self.mixed.places, self.mixed.sampler

    def next(self) -> CombinedBatch:
        return CombinedBatch(mixed=self.mixed.next(), same=self.same.next())

    def longest(self) -> CombinedBatch:
        return CombinedBatch(mixed=self.mixed.longest(), same=self.same.longest())

    def validation(self) -> Sequence[CombinedBatch]:
        pairs = zip(self.mixed.validation(), self.same.validation(), strict=False)
        return [CombinedBatch(mixed=mixed, same=same) for mixed, same in pairs]

    def seconds(self, batch: CombinedBatch) -> float:
        return self.mixed.seconds(batch.mixed) + self.same.seconds(batch.same)

    def state_dict(self) -> dict[str, Any]:
        return {"mixed": self.mixed.state_dict(), "same": self.same.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.mixed.load_state_dict(state["mixed"])
        self.same.load_state_dict(state["same"])


def setup(config: CombinedRun, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    return contrastive.setup(config, request, task=CombinedTask, feed=CombinedFeed)


STAGE = Stage(name="prosody.combined", makes="encoder", sizes=SIZES, resolve=contrastive.resolve, setup=setup)
