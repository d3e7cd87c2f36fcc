"""A posterior encoder for a voice that was published without one, and how good it is.

A recording's linear spectrogram -> the mean of z: ConvNeXt blocks at frame rate, trained on pairs of sound
and z that the voice itself makes (`restyle.posterior`). VITS's own samples z; a mean is what a regression can
learn, and what the alignment and the diffusion need.
"""

from __future__ import annotations

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
from intona.latents.vits.space import VitsSpace
from intona.nn.convnext import ConvNeXtStack

FACTS = "posterior.json"


@dataclass(frozen=True, kw_only=True)
class PosteriorConfig:
    """Sizes; `bins` and `channels` are the voice's."""

    bins: int = 513
    channels: int = 192
    dim: int = 256
    depth: int = 8
    expand: int = 3
    kernel: int = 7


class PosteriorNet(nn.Module):
    """(B, T, bins) magnitudes, (B, T) mask -> (B, T, C) mean of z."""

    mean: Tensor
    std: Tensor

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

    def forward(self, spectrograms: Tensor, mask: Tensor) -> Tensor:
        """Standardised: multiply by `std` and add `mean` for z (`latents`)."""
        # Log magnitudes about 0 with deviation about 1 for speech at full scale.
        x = (torch.log(spectrograms.clamp(min=1e-5)) + 4.0) / 3.0
        nothing = x.new_zeros(len(x), 1)  # the blocks want a condition; their biases are what is learned
        return self.net(x * mask[..., None], nothing, mask)

    @torch.no_grad()
    def latents(self, spectrograms: Tensor, mask: Tensor) -> Tensor:
        return (self(spectrograms, mask) * self.std + self.mean) * mask[..., None]


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
    if facts["voice_hash"] != space.weights_hash():
        raise UserError(
            f"trained for the voice {facts.get('voice')} ({str(facts['voice_hash'])[:12]}), not for "
            f"{space.facts.name} ({space.weights_hash()[:12]})",
            where=path,
            mend="train one for this voice: intona train restyle.posterior",
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
        mend="train one: intona train restyle.posterior --data DATA --out RUN; then --posterior RUN",
    )


@torch.no_grad()
def latents_of(
    space: VitsSpace, net: PosteriorNet | None, audio: Audio, *, speaker: int | None = None
) -> Tensor:
    """Z_audio (T, C) of a recording: the voice's own posterior mean, or a trained one's.

    Raises:
        UserError: too short; no posterior of its own and none given.
    """
    spectrogram = space.spectrogram(audio)[None]
    frames = torch.tensor([spectrogram.shape[1]])
    if net is not None:
        return net.latents(spectrogram, torch.ones(1, int(frames), dtype=torch.bool))[0]
    rows = None if speaker is None else torch.tensor([speaker])
    return space.posterior(spectrogram, frames, speakers=rows)[0][0]


@torch.no_grad()
def reconstruction(
    space: VitsSpace, net: PosteriorNet | None, recordings: Sequence[Audio], *, speaker: int | None = None
) -> list[float]:
    """Mean absolute log-mel difference (natural log) of each recording and decode(posterior(recording)).

    Both at the voice's rate on the project's mel; 0 is the same sound, two unlike sentences are some 2 apart.
    """
    spec = MelSpec(sample_rate=space.sample_rate, f_max=min(8000.0, space.sample_rate / 2))
    rows = None if speaker is None else torch.tensor([speaker])
    out = []
    for audio in recordings:
        audio = audio.resample(space.sample_rate)
        z = latents_of(space, net, audio, speaker=speaker)
        again = space.audio(z[None], torch.tensor([len(z)]), speakers=rows)[0]
        a, b = log_mel(audio, spec), log_mel(again, spec)
        n = min(len(a), len(b))
        out.append(float(np.abs(a[:n] - b[:n]).mean()))
    return out
