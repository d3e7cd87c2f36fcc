"""Stage `vocoder.vocos`: a vocoder with an inverse-STFT head learns from HiFi-GAN and from recordings.

Phase A, without an adversary. HiFi-GAN's output is a function of the mel, so that a regression on its
spectrum, phase included, is well posed: the mel tells HiFi-GAN's phases, but a recording's only in part.

Phase B, with discriminators (`--adversary.adversarial 0.02`), starts from what phase A has learnt (`--init`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from intona import config as configs
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom
from intona.systems.vocoder.feed import Segments
from intona.systems.vocoder.run import (
    FLOOR,
    Terms,
    VocoderRun,
    VocoderTask,
    setup_of,
)
from intona.systems.vocoder.targets import Targets
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Stage
from intona.vocoder.spectral import RESOLUTIONS, MultiResolution, consistency, emphasis, phase_losses
from intona.vocoder.trunk import TrunkConfig
from intona.vocoder.vocos import Spectrum, VocosConfig, VocosNetwork, untrained


@dataclass(frozen=True, kw_only=True)
class VocosLoss:
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
class VocosRun(VocoderRun):
    """A whole run.

    Attributes:
        teacher: share of segments that learn HiFi-GAN's sound, among those of clips that have it; all others
            learn the recording.
    """

    stage: str = "vocoder.vocos"
    teacher: float = 1.0
    model: VocosConfig = field(default_factory=VocosConfig)
    loss: VocosLoss = field(default_factory=VocosLoss)

    def __post_init__(self) -> None:
        super().__post_init__()
        configs.within(self, teacher=(0, 1))


def small() -> VocosRun:
    """8.0 M parameters, 16 MB in half precision.

    Command: `intona train vocoder.vocos --data TARGETS --output RUN`. Cost and figures:
    docs/notebook/vocoder.md.
    """
    return VocosRun(
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


def toy() -> VocosRun:
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


class VocosTask(VocoderTask):
    """The network with its losses."""

    label = "vocos"
    compared = ("teacher", "recording")
    config: VocosRun
    model: VocosNetwork

    def __init__(self, config: VocosRun, targets: Targets) -> None:
        super().__init__(config, targets, untrained(config.model, targets.spec))
        self.resolutions = MultiResolution(RESOLUTIONS)

    def forward(self, batch: Segments, step: int) -> Losses:
        spectrum = self.model.spectrum(batch.mels)
        with torch.autocast(batch.mels.device.type, enabled=False):
            terms, wave, samples = self.terms(spectrum, batch, step)
        return self.losses(terms, wave, samples, step)

    def terms(self, spectrum: Spectrum, batch: Segments, step: int) -> tuple[Terms, Tensor, Tensor]:
        """Phase A's terms with their weights, and the two sounds (B, T * hop); all in float32.

        Validation (step -2) takes every resolution.
        """
        weights, stft, spec = self.config.loss, self.model.stft, self.targets.spec
        target = stft(batch.samples)
        known = self.known_bins(batch.band_hz)
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

    def sound(self, mel: Tensor) -> Tensor:
        return self.model(mel)[0].clamp(-1, 1)


STAGE = Stage(
    name="vocoder.vocos",
    makes="vocoder",
    sizes=SIZES,
    setup=setup_of(VocosTask, feed=lambda config: {"teacher": config.teacher}),
)
