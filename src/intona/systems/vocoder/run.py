"""What the stages of both vocoders share: the fields of a run, discriminators, and the training itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from intona import checkpoint
from intona import config as configs
from intona.nn.losses import Losses, Part
from intona.nn.random import ItemRandom
from intona.systems.vocoder.discriminators import AdversaryConfig, Discriminators
from intona.systems.vocoder.feed import SegmentFeed
from intona.systems.vocoder.targets import Targets
from intona.training.initial import built_as, start_from
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import fit_stage
from intona.training.task import Task
from intona.vocoder.frames import for_features
from intona.vocoder.trunk import NETWORK

DEMO_CLIPS = 3
FLOOR = 1e-4  # of amplitudes that are compared: -94 dB of the loudest possible bin
Terms = dict[str, tuple[Tensor, float]]  # name -> value, weight


@dataclass(frozen=True, kw_only=True)
class VocoderRun:
    """A whole run.

    Attributes:
        corpus: fingerprint of the targets. clips: how many of them the run uses (0 = those that are there
            when it starts). init: what it started from ("" = nothing).
        segment: frames. batch: segments a step.
        band_hz: above this a recording says nothing (the corpora here are of 16 kHz).
    """

    stage: str
    size: str = "small"
    corpus: str = ""
    clips: int = 0
    init: str = ""
    segment: int = 96
    batch: int = 4
    band_hz: float = 7000.0
    model: Any
    loss: Any
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, clips=0, segment=16, batch=1)


Run = TypeVar("Run", bound=VocoderRun)


class VocoderTask(Task):
    """A network with its losses, those of discriminators among them."""

    def __init__(self, config: VocoderRun, targets: Targets, model: nn.Module) -> None:
        super().__init__()
        self.config, self.targets = config, targets
        self.model = model
        self.discriminators = Discriminators(config.adversary) if config.adversary.adversarial else None

    def rates(self) -> dict[str, float]:
        return {"discriminators.": self.config.adversary.rate}

    def losses(self, terms: Terms, wave: Tensor, samples: Tensor, step: int) -> Losses:
        """All terms of some weight, with what discriminators say of the two sounds (B, S)."""
        if self.discriminators is not None:
            drawn = ItemRandom(self.config.loop.seed, step, ["discriminators"]).uniform()
            judged = self.discriminators.losses(wave, samples, float(drawn))
            sizes = self.config.adversary
            weights = {"discriminator": 1.0, "adversarial": sizes.adversarial, "features": sizes.features}
            terms = terms | {k: (v, weights[k]) for k, v in judged.items()}
        count = torch.tensor(float(len(wave)), device=wave.device)
        return Losses(
            parts={k: Part(total=v * count, count=count, weight=w) for k, (v, w) in terms.items() if w > 0}
        )

    @property
    def band(self) -> float:
        """The share of the frequency axis of which a recording says anything."""
        return self.config.band_hz / (self.targets.spec.sample_rate / 2)

    def extra_files(self) -> dict[str, Any]:
        return {
            "features.json": configs.to_dict(self.targets.spec),
            NETWORK: configs.to_dict(self.model.config),
        }


def known_bins(recorded: Tensor, share: float, bins: int) -> Tensor:
    """(B, 1, bins) of 1 and 0: up to `share` of the frequency axis for a recording, all for the others."""
    band = torch.where(recorded, share, 1.0)
    return (torch.arange(bins, device=recorded.device) <= band[:, None] * (bins - 1))[:, None].float()


def train_vocoder(
    preset: Callable[[], Run],
    task_of: Callable[[Run, Targets], VocoderTask],
    *,
    feed: Callable[[Run], dict[str, Any]],
    facts: dict[str, Any],
    data: Path,
    out: Path,
    overrides: dict[str, str],
    limit_minutes: float | None,
    init: Path | None,
    fabric: Any,
) -> Path:
    """See `intona.systems.train`; `data` is a directory of `systems.vocoder.targets`.

    Args:
        preset: makes the config of the run. task_of: its task. feed: its arguments of `SegmentFeed`, beside
            those that both stages have. facts: see `fit_stage`.
    """
    config = configs.override(built_as(preset(), init), overrides)
    targets = Targets(data, clips=config.clips or _clips_of(type(config), out))
    model = for_features(config.model, targets.spec)
    config = dataclasses.replace(config, corpus=targets.fingerprint, clips=len(targets.clips), model=model)
    torch.manual_seed(config.loop.seed)
    task = task_of(config, targets)
    fresh = [k for k in task.state_dict() if k.startswith("discriminators.")]
    seconds = targets.spec.seconds(sum(c.n_frames for c in targets.split("train")))
    return fit_stage(
        task,
        config,
        out,
        feed=lambda rank, world: SegmentFeed(
            targets,
            segment=config.segment,
            batch=config.batch,
            seed=config.loop.seed,
            rank=rank,
            world=world,
            **feed(config),
        ),
        facts={"clips": len(targets.clips), "minutes": f"{seconds / 60:.1f}", **facts},
        init=init,
        start=lambda task, source: start_from(task, source, added=fresh),
        limit_minutes=limit_minutes,
        fabric=fabric,
    )


def _clips_of(kind: type[VocoderRun], out: Path) -> int:
    """The clips that a run began with: its folder of targets may have grown since."""
    if not checkpoint.steps(out):
        return 0
    return configs.load(kind, checkpoint.resolve(out) / "config.json").clips
