"""A posterior encoder for a voice that was published without one, and its reconstruction error.

ConvNeXt blocks at frame rate map the linear spectrogram of a recording to the mean of z. They are trained on
audio and z that the voice generates (`restyle.posterior`). The posterior of VITS samples z; a regression
learns its mean, which is also what the alignment and the diffusion need.
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
VERSION = 2  # version 1 ignored the band and the level of recordings
EDGE_HZ = 8000.0  # recordings at 16 kHz have nothing above it
SILENT = 1e-3  # magnitude of digital silence in `space.magnitudes`
RECORDED_DB = -23.0  # level of speech after `intona prepare`
MISSING_DB = 20.0  # a recording ends at the edge if its share above is so far below the voice's


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig:
    """Sizes. `bins` and `channels` are the voice's; `edge`: its first bin above EDGE_HZ, 0 = none."""

    bins: int = 513
    edge: int = 0
    channels: int = 192
    dim: int = 256
    depth: int = 8
    expand: int = 3
    kernel: int = 7


class PosteriorNet(nn.Module):
    """(B, T, bins) magnitudes, (B, T) mask -> (B, T, C) mean of z.

    `level` and `share` (`level_of`, `share_of`) are those of the voice. Recordings are brought to them by
    `at_level` and `match_band`.
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
        """Standardized: multiply by `std` and add `mean` for z (`latents`)."""
        # Log magnitudes about 0 with deviation about 1 for speech at full scale.
        x = (torch.log(spectrograms.clamp(min=1e-5)) + 4.0) / 3.0
        nothing = x.new_zeros(len(x), 1)  # the blocks need a condition; zeros leave only their biases
        return self.net(x * mask[..., None], nothing, mask)

    @torch.no_grad()
    def latents(self, spectrograms: Tensor, mask: Tensor) -> Tensor:
        return (self(spectrograms, mask) * self.std + self.mean) * mask[..., None]

    @property
    def gain(self) -> float:
        """Amplitude factor from the level of a prepared corpus to the level of the voice."""
        return 10.0 ** ((float(self.level) - RECORDED_DB) / 20)

    def match_band(self, spectrogram: Tensor) -> Tensor:
        """(T, bins) of a recording at the voice's level, silenced above the edge if its band ends there.

        What a band-limited recording has above the edge is unlike any speech of the voice; silence is like
        the half of the training data that was band-limited (`narrow`).
        """
        edge = self.config.edge
        if edge and share_of(spectrogram, edge) < float(self.share) - MISSING_DB:
            spectrogram = silence_above(spectrogram, edge)
        return spectrogram


def edge_of(sample_rate: int, n_fft: int) -> int:
    """The first bin above EDGE_HZ; 0 if hardly any bin is."""
    bin = math.ceil(EDGE_HZ * n_fft / sample_rate)
    return bin if bin < 0.95 * (n_fft // 2 + 1) else 0


def silence_above(spectrogram: Tensor, edge: int) -> Tensor:
    """(..., bins) with silence from bin `edge` on."""
    out = spectrogram.clone()
    out[..., edge:] = SILENT
    return out


def level_of(spectrogram: Tensor) -> float:
    """RMS in dB full scale of the frames of (T, bins) with speech: within 40 dB of the loud ones."""
    n_fft = 2 * (spectrogram.shape[-1] - 1)
    power = (spectrogram.square() - SILENT**2).clamp(min=0).sum(-1) * 2 / (n_fft * 0.375 * n_fft)  # Hann
    loud = power[power > 1e-4 * torch.quantile(power, 0.95)]
    return float(10 * torch.log10(loud.mean().clamp(min=1e-10))) if len(loud) else -100.0


def share_of(spectrogram: Tensor, edge: int) -> float:
    """Power of (T, bins) above the edge, in dB relative to the three octaves below it."""
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
            f"written by version {facts.get('version', 1)} of restyle.posterior; this one reads {VERSION}",
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
    """The trained posterior of a run; None if no run is named (""), for a voice that has a posterior.

    Raises:
        UserError: as `load`; the voice has none and no run is named.
    """
    if run:
        return load(Path(run), space)
    if space.facts.has_posterior:
        return None
    raise UserError(
        f"the voice {space.facts.name} has no posterior encoder",
        where="--posterior",
        hint="train one: intona train restyle.posterior --data DATA --output RUN; then --posterior RUN",
    )


@torch.no_grad()
def latents_of(
    space: VitsSpace,
    net: PosteriorNet | None,
    audio: Audio,
    *,
    speaker: int | None = None,
    synthetic: bool = False,
) -> Tensor:
    """Z_audio (T, C) of a recording: the mean of the voice's posterior, or of a trained one (`net`).

    Args:
        synthetic: the audio was generated by the voice, so it is at its level already.

    Raises:
        UserError: too short; the voice has no posterior and `net` is None.
    """
    if net is not None:
        audio = audio if synthetic else at_level(net, audio)
        spectrogram = net.match_band(space.spectrogram(audio))[None]
        return net.latents(spectrogram, torch.ones(1, spectrogram.shape[1], dtype=torch.bool))[0]
    spectrogram = space.spectrogram(audio)[None]
    frames = torch.tensor([spectrogram.shape[1]])
    rows = None if speaker is None else torch.tensor([speaker])
    return space.posterior(spectrogram, frames, speakers=rows)[0][0]


def at_level(net: PosteriorNet | None, audio: Audio) -> Audio:
    """A recording at the level of the voice, which a trained posterior expects."""
    return audio if net is None else Audio(audio.samples * np.float32(net.gain), audio.sample_rate)


@torch.no_grad()
def reconstruction(
    space: VitsSpace,
    net: PosteriorNet | None,
    recordings: Sequence[Audio],
    *,
    speaker: int | None = None,
    synthetic: bool = False,
) -> list[float]:
    """Mean absolute log-mel difference (natural log) of each recording and decode(posterior(recording)).

    Both have the sample rate and level of the voice; the mel is that of the project. 0 = identical; two
    different sentences are about 2 apart.
    """
    spec = mel_spec(space)
    rows = None if speaker is None else torch.tensor([speaker])
    out = []
    for audio in recordings:
        audio = audio.resample(space.sample_rate)
        z = latents_of(space, net, audio, speaker=speaker, synthetic=synthetic)
        again = space.audio(z[None], torch.tensor([len(z)]), speakers=rows)[0]
        out.append(mel_distance(audio if synthetic else at_level(net, audio), again, spec))
    return out


def mel_spec(space: VitsSpace) -> MelSpec:
    return MelSpec(sample_rate=space.sample_rate, f_max=min(EDGE_HZ, space.sample_rate / 2))


def mel_distance(a: Audio, b: Audio, spec: MelSpec) -> float:
    """Mean absolute difference of log mels (natural log) over the frames that both have."""
    x, y = log_mel(a, spec), log_mel(b, spec)
    n = min(len(x), len(y))
    return float(np.abs(x[:n] - y[:n]).mean())
