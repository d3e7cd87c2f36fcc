"""Stage `vocoder.vocos`: a vocoder with an inverse-STFT head learns from HiFi-GAN and from recordings.

Phase A, without an adversary. HiFi-GAN's output is a function of the mel, so that a regression on its
spectrum, phase included, is well posed: the mel tells HiFi-GAN's phases, but a recording's only in part.

Phase B, with discriminators (`--adversary.adversarial 0.02`), starts from what phase A has learnt (`--init`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio
from intona.nn.losses import Losses, Part
from intona.nn.random import ItemRandom
from intona.systems.vocoder.discriminators import AdversaryConfig, Discriminators
from intona.systems.vocoder.feed import SegmentFeed, Segments
from intona.systems.vocoder.targets import Targets
from intona.training.initial import built_as, start_from
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import fit_stage
from intona.training.task import Task
from intona.vocoder.spectral import RESOLUTIONS, MultiResolution, consistency, emphasis, phase_losses
from intona.vocoder.trunk import NETWORK, TrunkConfig
from intona.vocoder.vocos import Spectrum, VocosConfig, VocosNetwork, untrained

DEMO_CLIPS = 3
FLOOR = 1e-4  # of amplitudes that are compared: -94 dB of the loudest possible bin


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the terms, relative to the mel's; the proportions are about those of APNet2 and FreeV.

    Attributes:
        mel: |log mel - log mel|. amplitude: squared difference of log amplitudes. phase: each of the three
            phase terms. consistency, convergence, log_magnitude: see `vocoder.spectral`.
        emphasis: power of the target's amplitude that weighs a bin's phase; 0 is the published loss.
        draw: one resolution a step instead of all, at a third of the cost.
    """

    mel: float = 1.0
    amplitude: float = 1.0
    phase: float = 1.0
    consistency: float = 0.5
    convergence: float = 0.5
    log_magnitude: float = 1.0
    emphasis: float = 0.5
    draw: bool = True

    def __post_init__(self) -> None:
        configs.at_least(self, mel=0, amplitude=0, phase=0, consistency=0, convergence=0, log_magnitude=0)
        configs.within(self, emphasis=(0, 2))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run.

    Attributes:
        corpus: fingerprint of the targets. clips: how many of them the run uses (0 = those that are there
            when it starts). init: what it started from ("" = nothing).
        segment: frames. batch: segments a step.
        teacher: share of segments that learn HiFi-GAN's sound, among those of clips that have it; all others
            learn the recording.
        band_hz: above this a recording says nothing (the corpora here are of 16 kHz).
    """

    stage: str = "vocoder.vocos"
    size: str = "small"
    corpus: str = ""
    clips: int = 0
    init: str = ""
    segment: int = 96
    batch: int = 4
    teacher: float = 1.0
    band_hz: float = 7000.0
    model: VocosConfig = field(default_factory=VocosConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, clips=0, segment=16, batch=1)
        configs.within(self, teacher=(0, 1))


def small() -> RunConfig:
    """8.0 M parameters, 16 MB in half precision.

    Command: `intona train vocoder.vocos --data TARGETS --out RUN`. Cost and figures: docs/vocoder.md.
    """
    return RunConfig(
        loop=LoopConfig(steps=60_000, ema=0.999, log_every=50, validate_every=1000, save_every=1000),
        optim=OptimConfig(
            lr=5e-4,
            betas=(0.8, 0.99),
            weight_decay=0.01,
            warmup=200,
            schedule="cosine",
            final=0.02,
            clip=10.0,
        ),
    )


def toy() -> RunConfig:
    """0.1 M parameters: trains in seconds. For tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        segment=48,
        batch=2,
        model=VocosConfig(trunk=TrunkConfig(width=48, depth=2, expand=2)),
        loop=LoopConfig(steps=100, log_every=10, validate_every=50, save_every=50),
    )


SIZES = {"small": small, "toy": toy}


class VocosTask(Task):
    """The network with its losses."""

    def __init__(self, config: RunConfig, targets: Targets) -> None:
        super().__init__()
        self.config, self.targets = config, targets
        self.model: VocosNetwork = untrained(config.model, targets.spec)
        self.resolutions = MultiResolution(RESOLUTIONS)
        self.discriminators = Discriminators(config.adversary) if config.adversary.adversarial else None

    def rates(self) -> dict[str, float]:
        return {"discriminators.": self.config.adversary.rate}

    def forward(self, batch: Segments, step: int) -> Losses:
        spectrum = self.model.spectrum(batch.mels)
        with torch.autocast(batch.mels.device.type, enabled=False):
            terms, wave, samples = self.terms(spectrum, batch, step)
        if self.discriminators is not None:
            drawn = ItemRandom(self.config.loop.seed, step, ["discriminators"]).uniform()
            judged = self.discriminators.losses(wave, samples, float(drawn))
            sizes = self.config.adversary
            weights = {"discriminator": 1.0, "adversarial": sizes.adversarial, "features": sizes.features}
            terms |= {k: (v, weights[k]) for k, v in judged.items()}
        count = torch.tensor(float(len(batch.ids)), device=wave.device)
        return Losses(
            parts={k: Part(total=v * count, count=count, weight=w) for k, (v, w) in terms.items() if w > 0}
        )

    def terms(
        self, spectrum: Spectrum, batch: Segments, step: int
    ) -> tuple[dict[str, tuple[Tensor, float]], Tensor, Tensor]:
        """Phase A's terms with their weights, and the two sounds (B, T * hop); all in float32.

        Validation (step -2) takes every resolution.
        """
        weights, stft, spec = self.config.loss, self.model.stft, self.targets.spec
        share = self.config.band_hz / (spec.sample_rate / 2)
        band = torch.where(batch.recorded, share, 1.0)
        target = stft(batch.samples)
        bins = torch.arange(target.shape[2], device=target.device)
        known = (bins <= band[:, None] * (len(bins) - 1))[:, None].float()
        log_amplitude = target.abs().clamp_min(FLOOR).log()
        # Above its band a recording has nothing to say: there the sound is compared with itself.
        predicted = torch.where(known > 0, spectrum.complex, target)
        wave = stft.inverse(predicted)
        again = stft(stft.padded(wave))
        amplitude = ((spectrum.log_amplitude - log_amplitude).square() * known).mean()
        weight = emphasis(log_amplitude, weights.emphasis, known)
        phases = phase_losses(spectrum.phase, target.angle(), weight)
        mel = (stft.log_mel(again) - stft.log_mel(target)).abs().mean()
        resolutions = self.resolutions.resolutions
        if weights.draw and step != -2:
            drawn = ItemRandom(self.config.loop.seed, step, batch.ids).shared()
            resolutions = (resolutions[int(drawn * len(resolutions))],)
        samples = batch.samples[:, spec.pad : -spec.pad]
        several = self.resolutions(wave, samples, resolutions=resolutions)
        terms = {
            "mel": (mel, weights.mel),
            "amplitude": (amplitude, weights.amplitude),
            **{name: (value, weights.phase) for name, value in phases.items()},
            "consistency": (consistency(predicted, again, target), weights.consistency),
            "convergence": (several["convergence"], weights.convergence),
            "log_magnitude": (several["log_magnitude"], weights.log_magnitude),
        }
        return terms, wave, samples

    def extra_files(self) -> dict[str, Any]:
        return {
            "features.json": configs.to_dict(self.targets.spec),
            NETWORK: configs.to_dict(self.model.config),
        }

    @torch.no_grad()
    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev clips as wavs: the teacher's, the recording's and the network's sound."""
        out.mkdir(parents=True, exist_ok=True)
        rate = self.targets.spec.sample_rate
        for clip in self.targets.split("dev")[:DEMO_CLIPS]:
            name = clip.id.replace("/", "-").replace("#", "-")
            mel = torch.from_numpy(self.targets.mel(clip, 0, clip.n_frames))[None]
            wave: Tensor = self.model(mel)[0].clamp(-1, 1)
            Audio(wave.numpy(), rate).write(out / f"{name}-vocos.wav")
            for source in ("teacher", "recording"):
                samples = self.targets.samples(clip, source, 0, clip.n_frames, 0)
                Audio(samples, rate).write(out / f"{name}-{source}.wav")


def train(
    *,
    size: str,
    data: Path,
    out: Path,
    overrides: dict[str, str],
    limit_minutes: float | None,
    init: Path | None = None,
    fabric: Any = None,
) -> Path:
    """See `intona.systems.train`; `data` is a directory of `systems.vocoder.targets`."""
    config = configs.override(built_as(SIZES[size](), init), overrides)
    targets = Targets(data, clips=config.clips or _clips_of(out))
    model = dataclasses.replace(config.model, n_mels=targets.spec.n_mels, features=targets.spec.fingerprint())
    config = dataclasses.replace(config, corpus=targets.fingerprint, clips=len(targets.clips), model=model)
    torch.manual_seed(config.loop.seed)
    task = VocosTask(config, targets)
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
            teacher=config.teacher,
            seed=config.loop.seed,
            rank=rank,
            world=world,
        ),
        facts={"clips": len(targets.clips), "minutes": f"{seconds / 60:.1f}"},
        init=init,
        start=lambda task, source: start_from(task, source, added=fresh),
        limit_minutes=limit_minutes,
        fabric=fabric,
    )


def _clips_of(out: Path) -> int:
    """The clips that a run began with: its folder of targets may have grown since."""
    if not checkpoint.steps(out):
        return 0
    before = configs.load(RunConfig, checkpoint.resolve(out) / "config.json")
    return before.clips
