"""Stage `vocoder.source_filter`: filters for pulses and noise, learnt from recordings without an adversary.

In training the pulses run with the phase of the recording's own fundamental, so that every harmonic's phase
is a function of the mel and can be regressed; the noise is judged by the spectral energy distance, to which a
smooth spectrum in place of a noisy one is a fault. Discriminators (`--adversary.adversarial`) may follow.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

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
from intona.vocoder.source import bridged, unwrapped_phase
from intona.vocoder.source_filter import (
    PITCH_BINS,
    SourceFilter,
    SourceFilterConfig,
    SourceFilterNetwork,
    untrained,
)
from intona.vocoder.spectral import MultiResolution, emphasis, phase_losses
from intona.vocoder.trunk import TrunkConfig

RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))


@dataclass(frozen=True, kw_only=True)
class SourceFilterLoss:
    """Weights of the terms.

    Attributes:
        mel: |log mel - log mel|. energy: the spectral energy distance, with this repulsion.
        phase: each of the three phase terms, in voiced frames.
        pitch, voicing: cross-entropies of the predicted pitch.
        emphasis: power of the target's amplitude that weighs a bin's phase.
        blur: deviation of the pitch's target, in bins.
    """

    mel: float = 1.0
    energy: float = 1.0
    repulsion: float = 0.5
    phase: float = 1.0
    pitch: float = 0.1
    voicing: float = 0.3
    emphasis: float = 1.0
    blur: float = 1.0

    def __post_init__(self) -> None:
        configs.at_least(self, mel=0, energy=0, phase=0, pitch=0, voicing=0, blur=0.1)
        configs.within(self, emphasis=(0, 2), repulsion=(0, 1))


@dataclass(frozen=True, kw_only=True)
class SourceFilterRun(VocoderRun):
    """A whole run; all segments learn the recording."""

    stage: str = "vocoder.source_filter"
    model: SourceFilterConfig = field(default_factory=SourceFilterConfig)
    loss: SourceFilterLoss = field(default_factory=SourceFilterLoss)


def small() -> SourceFilterRun:
    """3.6 M parameters, 7 MB in half precision.

    Command: `intona train vocoder.source_filter --data TARGETS --output RUN`. Cost and figures:
    docs/notebook/vocoder.md.
    """
    return SourceFilterRun(
        loop=LoopConfig(steps=60_000, ema=0.999, log_every=50, validate_every=1000, save_every=1000),
        optim=OptimConfig(
            lr=1e-3, betas=(0.8, 0.99), weight_decay=0.01, warmup=200, schedule="cosine", final=0.02, clip=5.0
        ),
    )


def toy() -> SourceFilterRun:
    """0.2 M parameters: trains in seconds. For tests and first tries."""
    base = small()
    tiny = TrunkConfig(width=32, depth=1, expand=2)
    return dataclasses.replace(
        base,
        size="toy",
        segment=48,
        batch=2,
        model=SourceFilterConfig(trunk=tiny, pitch=tiny),
        loop=LoopConfig(steps=100, log_every=10, validate_every=50, save_every=50),
    )


SIZES = {"small": small, "toy": toy}


class SourceFilterTask(VocoderTask):
    """The network with its losses."""

    label = "source-filter"
    config: SourceFilterRun
    model: SourceFilterNetwork

    def __init__(self, config: SourceFilterRun, targets: Targets) -> None:
        super().__init__(config, targets, untrained(config.model, targets.spec))
        self.resolutions = MultiResolution(RESOLUTIONS)

    def forward(self, batch: Segments, step: int) -> Losses:
        filters = self.model.filters(batch.mels)
        logits, voicing = self.model.pitch_logits(batch.mels)
        assert batch.pitch is not None
        f0 = batch.pitch[..., 0]
        with torch.autocast(batch.mels.device.type, enabled=False):
            terms, wave, samples = self.terms(filters, batch, step)
        weights = self.config.loss
        terms |= {
            "pitch": (pitch_loss(logits, f0, self.model.centres, weights.blur), weights.pitch),
            "voicing": (
                F.binary_cross_entropy_with_logits(voicing.float(), (f0 > 0).float()),
                weights.voicing,
            ),
        }
        return self.losses(terms, wave, samples, step, {"pitch": (f0 > 0).sum().float()})

    def terms(self, filters: Any, batch: Segments, step: int) -> tuple[Terms, Tensor, Tensor]:
        """The sound's terms with their weights, and the sounds (B, T * hop); all in float32."""
        weights, stft, spec, model = self.config.loss, self.model.stft, self.targets.spec, self.model
        assert batch.pitch is not None
        f0, wrapped = batch.pitch.unbind(-1)
        phase = unwrapped_phase(wrapped, bridged(f0), spec)
        target = stft(batch.samples)
        known = self.known_bins(batch.band_hz)
        source = model.harmonics(f0, phase)
        harmonic = filters.complex * source
        quiet = filters.noise.exp()
        random = ItemRandom(self.config.loop.seed, step, batch.ids)
        draws = []
        for _ in range(2):
            first = (random.uniform() * len(model.table) / spec.hop_length).long().to(target.device)
            spectrum = harmonic + quiet * model.noises(first, target.shape[1])
            # Above its band a recording has nothing to say: there the sound is compared with itself.
            draws.append(stft.inverse(torch.where(known > 0, spectrum, target)))
        mel = (stft.log_mel(stft(stft.padded(draws[0]))) - stft.log_mel(target)).abs().mean()
        resolutions = self.resolutions.resolutions
        if step != -2:
            resolutions = (resolutions[int(random.shared() * len(resolutions))],)
        samples = batch.samples[:, spec.pad : -spec.pad]
        energy = self.resolutions.energy_distance(
            samples, draws[0], draws[1], repulsion=weights.repulsion, resolutions=resolutions
        )
        log_amplitude = target.abs().clamp_min(FLOOR).log()
        weight = emphasis(log_amplitude, weights.emphasis, known * (f0 > 0)[..., None])
        phases = phase_losses(filters.phase + source.angle(), target.angle(), weight)
        terms = {
            "mel": (mel, weights.mel),
            "energy": (energy, weights.energy),
            **{name: (value, weights.phase) for name, value in phases.items()},
        }
        return terms, draws[0], samples

    def sound(self, mel: Tensor) -> Tensor:
        sound = SourceFilter(self.model, self.model.config, self.targets.spec).decode(mel)[0]
        self.model.requires_grad_(True)  # a vocoder freezes its network
        return sound


def pitch_loss(logits: Tensor, f0: Tensor, centres: Tensor, blur: float) -> Tensor:
    """Cross-entropy with a normal of deviation `blur` bins about the true pitch, mean over the voiced frames.

    (Kim et al. 2018, arXiv 1802.06182, blur the targets of CREPE likewise.)

    Args:
        logits: (B, T, bins). f0: (B, T) Hz, 0 where unvoiced. centres: (bins,) log2 Hz.
    """
    voiced = f0 > 0
    width = blur * (centres[1] - centres[0])
    distance = (f0.clamp_min(1).log2()[..., None] - centres) / width
    target = (-0.5 * distance.square()).softmax(-1)
    losses = -(target * logits.float().log_softmax(-1)).sum(-1)
    return (losses * voiced).sum() / voiced.sum().clamp_min(1)


STAGE = Stage(
    name="vocoder.source_filter",
    makes="vocoder",
    sizes=SIZES,
    setup=setup_of(
        SourceFilterTask,
        feed=lambda config: {"teacher": 0.0, "pitch": True},
        facts={"pitch": f"{PITCH_BINS} bins"},
    ),
)
