"""What the stages of both vocoders share: the fields of a run, discriminators, and the training itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.nn.losses import Losses, Part
from intona.nn.random import ItemRandom
from intona.systems.vocoder.discriminators import AdversaryConfig, Discriminators
from intona.systems.vocoder.feed import SegmentFeed
from intona.systems.vocoder.targets import Source, Targets
from intona.training.initial import start_from
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup
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
        segment: frames. batch: segments per step.
        band_hz: the highest frequency that a recording teaches if its targets do not say where its content
            ends. Those of 16 kHz, and the mel, end at 8 kHz; below, the mel shows what is there.
    """

    stage: str
    size: str = "small"
    corpus: str = ""
    clips: int = 0
    init: str = ""
    segment: int = 96
    batch: int = 4
    band_hz: float = 8000.0
    model: Any
    loss: Any
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, clips=0, segment=16, batch=1)


class VocoderTask(Task):
    """A network with its losses, those of discriminators among them.

    Attributes:
        label: of the network's wavs among the demos. compared: the sounds of a clip beside them.
    """

    label: ClassVar[str]
    compared: ClassVar[tuple[Source, ...]] = ("recording",)

    def __init__(self, config: VocoderRun, targets: Targets, model: nn.Module) -> None:
        super().__init__()
        self.config, self.targets = config, targets
        self.model = model
        self.discriminators = Discriminators(config.adversary) if config.adversary.adversarial else None

    def rates(self) -> dict[str, float]:
        return {"discriminators.": self.config.adversary.rate}

    def losses(
        self,
        terms: Terms,
        wave: Tensor,
        samples: Tensor,
        step: int,
        counts: Mapping[str, Tensor] | None = None,
    ) -> Losses:
        """All terms with a weight above 0, with those of the discriminators on the two sounds (B, S).

        Args:
            counts: of terms that are no means over segments of equal size: how many elements they are over.
        """
        if self.discriminators is not None:
            drawn = ItemRandom(self.config.loop.seed, step, ["discriminators"]).uniform()
            judged = self.discriminators.losses(wave, samples, float(drawn))
            sizes = self.config.adversary
            # Validation, whose step is negative, reports all terms.
            learns = 0.0 if 0 <= step < sizes.warmup else 1.0
            weights = {
                "discriminator": 1.0,
                "adversarial": learns * sizes.adversarial,
                "features": learns * sizes.features,
            }
            terms = terms | {k: (v, weights[k]) for k, v in judged.items()}
        segments, counts = torch.tensor(float(len(wave)), device=wave.device), counts or {}
        parts: dict[str, Part] = {}
        for name, (value, weight) in terms.items():
            if weight > 0:
                count = counts.get(name, segments)
                parts[name] = Part(total=value * count, count=count, weight=weight)
        return Losses(parts=parts)

    def sound(self, mel: Tensor) -> Tensor:
        """The network's sound (S,) of a whole mel (1, T, n_mels)."""
        raise NotImplementedError

    @torch.no_grad()
    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev clips as wavs: the network's sound and those that it is compared with."""
        out.mkdir(parents=True, exist_ok=True)
        rate, device = self.targets.spec.sample_rate, next(self.parameters()).device
        for clip in self.targets.split("dev")[:DEMO_CLIPS]:
            name = clip.id.replace("/", "-").replace("#", "-")
            mel = torch.from_numpy(self.targets.mel(clip, 0, clip.n_frames))[None].to(device)
            Audio(self.sound(mel).cpu().numpy(), rate).write(out / f"{name}-{self.label}.wav")
            for source in self.compared:
                samples = self.targets.samples(clip, source, 0, clip.n_frames, 0)
                Audio(samples, rate).write(out / f"{name}-{source}.wav")

    def known_bins(self, band_hz: Tensor) -> Tensor:
        """Bins that the samples teach; see `known_bins`."""
        spec = self.targets.spec
        return known_bins(torch.where(band_hz > 0, band_hz, self.config.band_hz), spec)

    def extra_files(self) -> dict[str, Any]:
        return {
            "features.json": configs.to_dict(self.targets.spec),
            NETWORK: configs.to_dict(self.model.config),
        }


def known_bins(band_hz: Tensor, spec: MelSpec) -> Tensor:
    """(B, 1, n_fft // 2 + 1) of 1 and 0: the bins up to `band_hz` (B,)."""
    bins = spec.n_fft // 2 + 1
    frequencies = torch.linspace(0, spec.sample_rate / 2, bins, device=band_hz.device)
    return (frequencies <= band_hz[:, None])[:, None].float()


def setup_of(
    task_of: Callable[[Any, Targets], VocoderTask],
    *,
    feed: Callable[[Any], Mapping[str, Any]],
    facts: Mapping[str, Any] | None = None,
) -> Callable[[Any, Request], Setup]:
    """The `setup` of a vocoder's stage, whose data is a directory of `systems.vocoder.targets`.

    Args:
        task_of: builds the task. feed: config -> arguments of `SegmentFeed` beside those of both stages.
        facts: see `Setup`.
    """

    def setup(config: VocoderRun, request: Request) -> Setup:
        targets = Targets(request.data, clips=config.clips or _clips_of(type(config), request))
        model = for_features(config.model, targets.spec)
        config = dataclasses.replace(
            config, corpus=targets.fingerprint, clips=len(targets.clips), model=model
        )
        seconds = targets.spec.seconds(sum(c.n_frames for c in targets.split("train")))
        return Setup(
            config=config,
            task=lambda: task_of(config, targets),
            feed=lambda rank, world: SegmentFeed(
                targets,
                segment=config.segment,
                batch=config.batch,
                seed=config.loop.seed,
                rank=rank,
                world=world,
                **feed(config),
            ),
            facts={"clips": len(targets.clips), "minutes": f"{seconds / 60:.1f}", **(facts or {})},
            start=_start,
        )

    return setup


def _start(task: VocoderTask, source: Path) -> None:
    """Copy the weights of `source`. Its discriminators, or those of the run, may be missing."""
    added = [k for k in task.state_dict() if k.startswith("discriminators.")]
    start_from(task, source, added=added, unused=() if added else ("discriminators",))


def _clips_of(kind: type[VocoderRun], request: Request) -> int:
    """How many clips the run began with: its folder of targets may have grown since. 0 for a new run."""
    if not request.resumes:
        return 0
    return configs.load(kind, checkpoint.resolve(request.out) / "config.json").clips
