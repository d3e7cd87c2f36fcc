"""A posterior encoder for a voice that was published without one, and how good it is.

A recording's linear spectrogram -> the mean of z: ConvNeXt blocks at frame rate, trained on pairs of sound
and z that the voice itself makes (`restyle.posterior`). VITS's own samples z; a mean is what a regression can
learn, and what the alignment and the diffusion need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio, MelSpec, log_mel
from intona.errors import UserError
from intona.nn.convnext import ConvNeXtStack
from intona.systems.restyle.vits.space import VitsSpace

FACTS = "posterior.json"
VERSION = 2  # 1 knew neither the recordings' band nor their level
EDGE_HZ = 8000.0  # recordings of 16 kHz hold nothing above it
SILENT = 1e-3  # magnitude of nothing at all, as `space.magnitudes` has it
RECORDED_DB = -23.0  # what `intona prepare` levels speech to
MISSING_DB = 20.0  # so far below the voice's own share above the edge, a recording ends there


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig:
    """Sizes; `bins` and `channels` are the voice's, `edge` its first bin above EDGE_HZ (0: it has none)."""

    bins: int = 513
    edge: int = 0
    channels: int = 192
    dim: int = 256
    depth: int = 8
    expand: int = 3
    kernel: int = 7


class PosteriorNet(nn.Module):
    """(B, T, bins) magnitudes, (B, T) mask -> (B, T, C) mean of z.

    `level` dB below full scale and `share` dB above the edge are those of the voice's own speech
    (`level_of`, `share_of`): a recording is brought to them by `as_heard`.
    """

    mean: Tensor
    std: Tensor
    level: Tensor
    share: Tensor

    def __init__(self, config: PosteriorConfig) -> None:
        super().__init__()
        self.config = config
        self.net = ConvNeXtStack(
            config.bins,
            config.channels,
            dim=config.dim,
            depth=config.depth,
            condition=1,
            expand=config.expand,
            kernel=config.kernel,
        )
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))
        self.register_buffer("level", torch.tensor(RECORDED_DB))
        self.register_buffer("share", torch.tensor(-100.0))

    def forward(self, spectrograms: Tensor, mask: Tensor) -> Tensor:
        """Standardised: multiply by `std` and add `mean` for z (`latents`)."""
        # Log magnitudes about 0 with deviation about 1 for speech at full scale.
        x = (torch.log(spectrograms.clamp(min=1e-5)) + 4.0) / 3.0
        nothing = x.new_zeros(len(x), 1)  # the blocks want a condition; their biases are what is learned
        return self.net(x * mask[..., None], nothing, mask)

    @torch.no_grad()
    def latents(self, spectrograms: Tensor, mask: Tensor) -> Tensor:
        return (self(spectrograms, mask) * self.std + self.mean) * mask[..., None]

    @property
    def gain(self) -> float:
        """One constant for all recordings: from the level of a prepared corpus to the voice's."""
        return 10.0 ** ((float(self.level) - RECORDED_DB) / 20)

    def as_heard(self, spectrogram: Tensor) -> Tensor:
        """(T, bins) of a recording at the voice's level; nothing above the edge where its own band ends
        there: what lies 40 dB down is no sound of the voice, and half of training was without it."""
        edge = self.config.edge
        if edge and share_of(spectrogram, edge) < float(self.share) - MISSING_DB:
            spectrogram = silence_above(spectrogram, edge)
        return spectrogram


def edge_of(sample_rate: int, n_fft: int) -> int:
    """The first bin above EDGE_HZ; 0 where there is next to none."""
    bin = math.ceil(EDGE_HZ * n_fft / sample_rate)
    return bin if bin < 0.95 * (n_fft // 2 + 1) else 0


def silence_above(spectrogram: Tensor, edge: int) -> Tensor:
    """(..., bins) with nothing from bin `edge` on."""
    out = spectrogram.clone()
    out[..., edge:] = SILENT
    return out


def level_of(spectrogram: Tensor) -> float:
    """RMS of the frames with speech (40 dB below the loud ones), dB below full scale, of (T, bins)."""
    n_fft = 2 * (spectrogram.shape[-1] - 1)
    power = (spectrogram.square() - SILENT**2).clamp(min=0).sum(-1) * 2 / (n_fft * 0.375 * n_fft)  # Hann
    loud = power[power > 1e-4 * torch.quantile(power, 0.95)]
    return float(10 * torch.log10(loud.mean().clamp(min=1e-10))) if len(loud) else -100.0


def share_of(spectrogram: Tensor, edge: int) -> float:
    """Power above the edge, dB beside that of the octaves below it, of (T, bins)."""
    power = (spectrogram.square() - SILENT**2).clamp(min=1e-12)
    above, below = power[:, edge:].sum(), power[:, edge // 8 : edge].sum()
    return float(10 * torch.log10(above / below))


def load(run: Path, space: VitsSpace) -> PosteriorNet:
    """The trained posterior of a `restyle.posterior` run.

    Raises:
        UserError: no such run, or trained for another voice.
    """
    path = checkpoint.resolve(run)
    checkpoint.verify(path, state=False)
    facts = configs.read_json(path / FACTS) if (path / FACTS).is_file() else None
    if not isinstance(facts, dict) or "voice_hash" not in facts or "net" not in facts:
        raise UserError("not a run of restyle.posterior", where=path)
    if facts.get("version") != VERSION:
        raise UserError(
            f"made by version {facts.get('version', 1)} of restyle.posterior, and this one reads {VERSION}",
            where=path,
            hint="train it again: intona train restyle.posterior",
        )
    if facts["voice_hash"] != space.weights_hash():
        raise UserError(
            f"trained for the voice {facts.get('voice')} ({str(facts['voice_hash'])[:12]}), not for "
            f"{space.facts.name} ({space.weights_hash()[:12]})",
            where=path,
            hint="train one for this voice: intona train restyle.posterior",
        )
    net = PosteriorNet(configs.from_dict(PosteriorConfig, facts["net"], where=str(path / FACTS)))
    checkpoint.load_weights(net, checkpoint.weights(path, "net."), where=path)
    return net.eval().requires_grad_(False)


def load_for(space: VitsSpace, run: str) -> PosteriorNet | None:
    """The posterior of a run; None for a voice that has its own, where no run is named.

    Raises:
        UserError: as `load`; the voice has none of its own and none is named.
    """
    if run:
        return load(Path(run), space)
    if space.facts.has_posterior:
        return None
    raise UserError(
        f"the voice {space.facts.name} has no posterior encoder",
        where="--posterior",
        hint="train one: intona train restyle.posterior --data DATA --out RUN; then --posterior RUN",
    )


@torch.no_grad()
def latents_of(
    space: VitsSpace,
    net: PosteriorNet | None,
    audio: Audio,
    *,
    speaker: int | None = None,
    own: bool = False,
) -> Tensor:
    """Z_audio (T, C) of a recording: the voice's own posterior mean, or a trained one's.

    Args:
        own: the voice's own speech, which stands at its level already.

    Raises:
        UserError: too short; no posterior of its own and none given.
    """
    if net is not None:
        audio = audio if own else at_level(net, audio)
        spectrogram = net.as_heard(space.spectrogram(audio))[None]
        return net.latents(spectrogram, torch.ones(1, spectrogram.shape[1], dtype=torch.bool))[0]
    spectrogram = space.spectrogram(audio)[None]
    frames = torch.tensor([spectrogram.shape[1]])
    rows = None if speaker is None else torch.tensor([speaker])
    return space.posterior(spectrogram, frames, speakers=rows)[0][0]


def at_level(net: PosteriorNet | None, audio: Audio) -> Audio:
    """A recording at the level at which the posterior hears it."""
    return audio if net is None else Audio(audio.samples * np.float32(net.gain), audio.sample_rate)


@torch.no_grad()
def reconstruction(
    space: VitsSpace,
    net: PosteriorNet | None,
    recordings: Sequence[Audio],
    *,
    speaker: int | None = None,
    own: bool = False,
) -> list[float]:
    """Mean absolute log-mel difference (natural log) of each recording and decode(posterior(recording)).

    Both at the voice's rate and level on the project's mel; 0 is the same sound, two unlike sentences are
    some 2 apart.
    """
    spec = mel_spec(space)
    rows = None if speaker is None else torch.tensor([speaker])
    out = []
    for audio in recordings:
        audio = audio.resample(space.sample_rate)
        z = latents_of(space, net, audio, speaker=speaker, own=own)
        again = space.audio(z[None], torch.tensor([len(z)]), speakers=rows)[0]
        out.append(mel_distance(audio if own else at_level(net, audio), again, spec))
    return out


def mel_spec(space: VitsSpace) -> MelSpec:
    return MelSpec(sample_rate=space.sample_rate, f_max=min(EDGE_HZ, space.sample_rate / 2))


def mel_distance(a: Audio, b: Audio, spec: MelSpec) -> float:
    """Mean absolute difference of log mels (natural log) over the frames that both have."""
    x, y = log_mel(a, spec), log_mel(b, spec)
    n = min(len(x), len(y))
    return float(np.abs(x[:n] - y[:n]).mean())
