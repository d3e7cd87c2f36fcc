"""Stage `restyle.decoder`: a *copy* of the voice's decoder, fine-tuned on the recordings of a corpus.

The paper proposes this as a next check: the decoder was trained on latents of its encoder and may not know
the latents that diffusion produces. The copy learns Z_audio -> recording; the voice itself does not change.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from intona import checkpoint
from intona import config as configs
from intona.audio import read_audio
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.nn.random import ItemRandom
from intona.systems.restyle import vits
from intona.systems.restyle.frozen import setup_on_voice
from intona.systems.restyle.pairs import FrameBatch, FramePair
from intona.systems.restyle.posterior import texts_of
from intona.systems.restyle.vits import VitsSpace
from intona.systems.restyle.vits import posterior as posteriors
from intona.systems.restyle.vits.posterior import PosteriorNet, at_level, latents_of
from intona.systems.restyle.vits.space import magnitudes
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task

FACTS = "decoder.json"
VERSION = 2  # version 1 was tuned to recordings at their original level
EDGE = 4  # frames at each end of a window, which are decoded without their neighbours: no loss there
RESOLUTIONS = ((2048, 512), (1024, 256), (512, 128))  # window and hop, samples


@dataclass(frozen=True, kw_only=True)
class DecoderRunConfig:
    """Config of a whole run.

    Attributes:
        segment: frames of each recording that are decoded per step.
        any_language: accept a corpus in another language than the voice's, because this stage uses no text.
            Sounds that the voice's language lacks are then part of what the copy learns.
    """

    stage: str = "restyle.decoder"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    vits: str = "piper"
    voice: str = ""
    posterior: str = ""
    speaker: str = ""
    any_language: bool = False
    segment: int = 40
    max_frames: int = 1600
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


def small() -> DecoderRunConfig:
    """`intona train restyle.decoder --data DATA --output RUN --posterior POST`."""
    return DecoderRunConfig(
        loop=LoopConfig(steps=1000, ema=0.99, validate_every=100, save_every=100),
        optim=OptimConfig(lr=1e-4, betas=(0.8, 0.99), warmup=20, schedule="cosine", final=0.1),
    )


def paper() -> DecoderRunConfig:
    """Ten times the steps of `small`; the paper proposes this stage but does not train it."""
    base = small()
    return dataclasses.replace(base, size="paper", loop=dataclasses.replace(base.loop, steps=10_000))


def toy() -> DecoderRunConfig:
    """For tests and first tries."""
    base = small()
    loop = dataclasses.replace(base.loop, steps=20, log_every=5, validate_every=10, save_every=10)
    return dataclasses.replace(base, size="toy", segment=24, loop=loop)


SIZES = {"paper": paper, "small": small, "toy": toy}


class DecoderTask(Task):
    """Log and linear magnitudes of three resolutions (Yamamoto et al. 2020, arXiv 1910.11480) of a window."""

    def __init__(self, config: DecoderRunConfig, space: VitsSpace, facts: dict[str, Any]) -> None:
        super().__init__()
        self.config, self.facts = config, facts
        self._space = [space]  # in a list, so that only the copy is among the weights of the run
        self.decoder = copy.deepcopy(space.model.decoder).requires_grad_(True)

    def forward(self, batch: FrameBatch, step: int) -> Losses:
        space = self._space[0].to(batch.target.device)
        z, truth = window(batch, self.config, step, validating=not self.training)
        row = space.speaker(self.config.speaker or None)
        rows = None if row is None else torch.full((len(z),), row, device=z.device)
        output = space.decode(z, speakers=rows, decoder=self.decoder)
        cut = slice(EDGE * space.hop, -EDGE * space.hop)
        return Losses(parts={"sound": spectral_distance(output[:, cut], truth[:, cut])})

    def extra_files(self) -> dict[str, Any]:
        return {FACTS: self.facts}


def window(
    batch: FrameBatch, config: DecoderRunConfig, step: int, *, validating: bool
) -> tuple[Tensor, Tensor]:
    """The same window of z (B, segment, C) and audio (B, segment * hop); the first one when validating."""
    draws = ItemRandom(config.loop.seed, step, batch.ids).uniform()
    first = (draws * (batch.frames - config.segment + 1)).long() * (not validating)
    index = (first[:, None] + torch.arange(config.segment))[..., None].to(batch.target.device)
    z = batch.target.gather(1, index.expand(-1, -1, batch.target.shape[2]))
    return z, batch.source.gather(1, index.expand(-1, -1, batch.source.shape[2])).flatten(1)


def spectral_distance(output: Tensor, truth: Tensor) -> Part:
    """Mean over resolutions of |log a - log b| + |a - b|, (B, S) samples each."""
    totals = []
    for size, hop in RESOLUTIONS:
        a, b = (magnitudes(x.float(), size, hop) for x in (output, truth))
        logs = torch.log(a.clamp(min=1e-3)) - torch.log(b.clamp(min=1e-3))
        totals.append(logs.abs().mean((1, 2)) + (a - b).abs().mean((1, 2)))
    each = torch.stack(totals).mean(0)
    return Part(total=each.sum(), count=torch.tensor(float(len(each)), device=each.device))


@torch.inference_mode()
def pairs_of(
    prepared: Prepared, space: VitsSpace, net: PosteriorNet | None, config: DecoderRunConfig
) -> dict[str, list[FramePair]]:
    """Each recording (T, hop) at the voice's level and its Z_audio (T, C).

    Recordings shorter than a window or longer than `max_frames` are left out.
    """
    row, out = space.speaker(config.speaker or None), {"train": [], "dev": []}
    for split, kept in out.items():
        for item in prepared.items(split):
            audio = read_audio(prepared.audio_path(item)).resample(space.sample_rate)
            frames = len(audio) // space.hop
            if not config.segment <= frames <= config.max_frames:
                continue
            z = latents_of(space, net, audio, speaker=row).numpy().astype(np.float16)
            audio = at_level(net, audio)
            samples = audio.samples[: len(z) * space.hop].reshape(len(z), space.hop).astype(np.float16)
            kept.append(FramePair(id=item.id, source=samples, target=z, style=np.zeros(1, np.float32)))
    if not out["train"]:
        raise UserError(
            f"no recording of {config.segment} to {config.max_frames} frames", where=prepared.root
        )
    return out


def load(run: Path, space: VitsSpace) -> nn.Module:
    """The tuned copy, for `VitsSpace.audio(..., decoder=)`.

    Raises:
        UserError: no such run, or a copy of another voice's decoder.
    """
    path, state = checkpoint.weights_of(run)
    facts = configs.read_json(path / FACTS) if (path / FACTS).is_file() else {}
    if not isinstance(facts, dict) or facts.get("voice_hash") != space.weights_hash():
        raise UserError(f"not a decoder for the voice {space.facts.name}", where=path)
    if facts.get("version") != VERSION:
        raise UserError(
            f"written by version {facts.get('version', 1)} of restyle.decoder; this version reads {VERSION}",
            where=path,
            hint="train it again: intona train restyle.decoder",
        )
    decoder = copy.deepcopy(space.model.decoder)
    weights = {k.removeprefix("decoder."): v for k, v in state.items()}
    checkpoint.load_weights(decoder, weights, where=path)
    return decoder.eval().requires_grad_(False)


def setup(config: DecoderRunConfig, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    if config.segment <= 2 * EDGE + RESOLUTIONS[0][0] // 256:
        raise UserError(f"{config.segment} frames are too few", where="--segment", hint="use 24 or more")
    space = vits.load(config.vits)
    if not config.any_language:
        texts_of(prepared, space)  # refuses another language
    before = space.weights_hash()
    config = dataclasses.replace(config, corpus=prepared.fingerprint, voice=before[:16])
    net = posteriors.load_for(space, config.posterior)
    pairs = pairs_of(prepared, space, net, config)
    facts = {"version": VERSION, "voice": space.facts.name, "voice_hash": before}
    return setup_on_voice(
        space,
        lambda: DecoderTask(config, space, facts),
        config,
        pairs,
        before=before,
        facts={"recordings": len(pairs["train"])},
    )


STAGE = Stage(name="restyle.decoder", makes="part", sizes=SIZES, setup=setup)
