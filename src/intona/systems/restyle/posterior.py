"""Stage `restyle.posterior`: a posterior encoder for a voice that was published without one.

The voice speaks the texts of a prepared corpus, if needed several times with other noise and rates. Both the
audio and its z are known, and a regression learns z from the audio.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import config as configs
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom, derive_seed
from intona.systems.restyle import vits
from intona.systems.restyle.frozen import setup_on_voice
from intona.systems.restyle.pairs import FrameBatch, FramePair, make_in_parts, read, remove_parts, write
from intona.systems.restyle.vits import VitsSpace
from intona.systems.restyle.vits.posterior import (
    FACTS,
    VERSION,
    PosteriorConfig,
    PosteriorNet,
    edge_of,
    level_of,
    share_of,
    silence_above,
)
from intona.systems.restyle.vits.space import magnitudes
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task

log = logging.getLogger(__name__)

DEV_SHARE = 20  # one text in 20 is held out for validation
LEVEL_SENTENCES = 100  # sentences that the level and the band of the voice are measured on


@dataclass(frozen=True, kw_only=True)
class PosteriorRunConfig:
    """Config of a whole run.

    Args:
        corpus, voice: fingerprints. vits: the frozen voice. speaker: of a voice that has several.
        pairs: how many texts the voice speaks before training.
        mel_weight: weight of a second loss, the log-magnitude error of the predicted z decoded by the frozen
            decoder. It ignores differences of z that are inaudible, and costs a decoder pass with its
            gradient per step.
        narrow: share of training items without anything above 8 kHz, like recordings at 16 kHz.
    """

    stage: str = "restyle.posterior"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    vits: str = "piper"
    voice: str = ""
    speaker: str = ""
    pairs: int = 500
    max_frames: int = 2400
    mel_weight: float = 0.0
    narrow: float = 0.5
    model: PosteriorConfig = field(default_factory=PosteriorConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


def small() -> PosteriorRunConfig:
    """3.6 M parameters. `intona train restyle.posterior --data DATA --output RUN [--vits NAME]`."""
    return PosteriorRunConfig(
        loop=LoopConfig(steps=10_000, ema=0.999, validate_every=500, save_every=500),
        optim=OptimConfig(
            lr=5e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=200, schedule="cosine", final=0.02
        ),
    )


def paper() -> PosteriorRunConfig:
    """8.0 M parameters; the posterior encoder of VITS has 7.2 M (16 WaveNet layers of width 192).

    The paper trains none, because its voices have one.
    """
    base = small()
    model = PosteriorConfig(dim=320, depth=12)
    return dataclasses.replace(base, size="paper", pairs=20_000, model=model)


def toy() -> PosteriorRunConfig:
    """For tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        pairs=6,
        model=PosteriorConfig(dim=32, depth=2),
        loop=dataclasses.replace(base.loop, steps=100, log_every=10, validate_every=50, save_every=50),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


class PosteriorTask(Task):
    """Squared error of z in standard deviations of each channel, and optionally the error of the audio."""

    def __init__(self, config: PosteriorRunConfig, space: VitsSpace) -> None:
        super().__init__()
        self.config = config
        self._space = [space]  # in a list, so that the voice's weights are not among those of the run
        self.net = PosteriorNet(config.model)

    def forward(self, batch: FrameBatch, step: int) -> Losses:
        mask = length_mask(batch.frames, batch.source.shape[1]).to(batch.source.device)
        prediction = self.net(self._limit_band(batch, step), mask)
        target = (batch.target - self.net.mean) / self.net.std
        error = (prediction.float() - target).square() * mask[..., None]
        count = mask.sum() * target.shape[2]
        parts = {"latent": Part(total=error.sum(), count=count)}
        if self.config.mel_weight:
            parts["sound"] = self._sound(batch, prediction, step)
        return Losses(parts=parts)

    def _limit_band(self, batch: FrameBatch, step: int) -> torch.Tensor:
        """Silence some items above 8 kHz, chosen by (seed, step, item); none in validation."""
        edge = self.config.model.edge
        if not (edge and self.config.narrow and self.training):
            return batch.source
        draws = ItemRandom(self.config.loop.seed, step, [f"{i}/band" for i in batch.ids]).uniform()
        cut = (draws < self.config.narrow).to(batch.source.device)[:, None, None]
        return torch.where(cut, silence_above(batch.source, edge), batch.source)

    def _sound(self, batch: FrameBatch, prediction: torch.Tensor, step: int) -> Part:
        """Log-magnitude error of a window of 32 frames of each item, through the frozen decoder.

        A shorter item is padded with its last frame; the padding does not count.
        """
        space, size = self._space[0].to(prediction.device), 32
        draws = ItemRandom(self.config.loop.seed, step, batch.ids).uniform()
        first = (draws * (batch.frames - size + 1).clamp(min=1)).long()
        place = first[:, None] + torch.arange(size)
        last = batch.frames[:, None] - 1
        counted = (place <= last).to(prediction.device)
        index = torch.minimum(place, last).to(prediction.device)
        z = (prediction * self.net.std + self.net.mean).gather(
            1, index[..., None].expand(-1, -1, prediction.shape[2])
        )
        truth = batch.target.gather(1, index[..., None].expand(-1, -1, prediction.shape[2]))
        row = space.speaker(self.config.speaker or None)
        rows = None if row is None else torch.full((len(z),), row, device=z.device)
        waves = [space.decode(x, speakers=rows) for x in (z, truth)]
        a, b = (torch.log(magnitudes(w, space.n_fft, space.hop).clamp(min=1e-3)) for w in waves)
        error = (a - b).abs() * counted[..., None]
        return Part(total=error.sum(), count=counted.sum() * a.shape[2], weight=self.config.mel_weight)

    def extra_files(self) -> dict[str, Any]:
        space = self._space[0]
        return {
            FACTS: {
                "version": VERSION,
                "voice": space.facts.name,
                "voice_hash": space.weights_hash(),
                "net": configs.to_dict(self.config.model),
            }
        }


def require_language(prepared: Prepared, voice: str, language: str) -> None:
    """Refuse a corpus in another language than the voice's; "" = the language of the voice is unknown.

    Raises:
        UserError: the languages differ.
    """
    languages = {vits.language_code(item.language) for item in prepared}
    if language and languages != {language}:
        raise UserError(
            f"the corpus is in {', '.join(sorted(languages))}, the voice {voice} speaks {language}",
            where=prepared.root,
            hint="choose a corpus in that language, or another --vits",
        )


def texts_of(prepared: Prepared, space: VitsSpace) -> list[tuple[str, str]]:
    """(id, text) of train and dev; refuses a corpus that is not in the voice's language.

    Never of test: models are tested on sentences that they were not trained on.
    """
    require_language(prepared, space.facts.name, space.facts.symbols.language)
    return [(item.id, item.text) for split in ("train", "dev") for item in prepared.items(split)]


def order_of(texts: list[tuple[str, str]], count: int, seed: int) -> list[tuple[str, str, str]]:
    """(name, id, text) of `count` texts in shuffled order; every text is used before any is repeated."""
    out: list[tuple[str, str, str]] = []
    while len(out) < count:
        number = len(out) // len(texts)
        order = np.random.default_rng(derive_seed(seed, "texts", number)).permutation(len(texts))
        out += [(f"{texts[k][0]}#{number}", *texts[k]) for k in order]
    return out[:count]


def is_held_out(id: str) -> bool:
    """Whether a text is held out for validation, however often it is spoken."""
    return int(hashlib.sha256(id.encode()).hexdigest(), 16) % DEV_SHARE == 0


@torch.inference_mode()
def speak_pairs(
    space: VitsSpace, texts: list[tuple[str, str]], config: PosteriorRunConfig, path: Path, identity: str
) -> dict[str, list[FramePair]]:
    """Spectrogram and z of `config.pairs` texts spoken by the voice.

    The noise scale (0.3 to 1) and the rate (0.8 to 1.25) are drawn for each sentence, because recordings
    spread about the prior more widely than speech at the voice's settings. Sentences that an interrupted call
    kept beside `path` under `identity` are not spoken again.
    """
    row = space.speaker(config.speaker or None)
    rows = None if row is None else torch.tensor([row])

    def say(item: tuple[str, str, str]) -> tuple[str, FramePair] | None:
        name, id, text = item
        random = ItemRandom(config.loop.seed, -1, [name])
        scale = 0.3 + 0.7 * float(random.uniform())
        rate = 0.8 * (1.25 / 0.8) ** float(random.uniform())
        try:
            ids = space.tokens(text)
        except UserError:
            return None
        prior = space.prior_of(ids, random, speakers=rows, rate=rate)
        frames = int(prior.durations.sum())
        if not 8 <= frames <= config.max_frames:
            return None
        z, lengths = space.latents(prior, random.normal([frames], space.channels), scale=scale, speakers=rows)
        audio = space.audio(z, lengths, speakers=rows)[0]
        source = space.spectrogram(audio).numpy()[:frames]
        pair = FramePair(
            id=name, source=source, target=z[0, : len(source)].numpy(), style=np.zeros(1, np.float32)
        )
        return "dev" if is_held_out(id) else "train", pair

    chosen = order_of(texts, config.pairs, config.loop.seed)
    out = make_in_parts(path, identity, chosen, say, what="speaking")
    if mute := config.pairs - sum(map(len, out.values())):
        log.warning(f"{mute} of {config.pairs} texts could not be spoken, or were too long")
    if not out["train"]:
        raise UserError(
            "none of the texts could be spoken", hint="check the texts of the corpus and the voice"
        )
    return out


def setup(config: PosteriorRunConfig, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    if config.pairs < 1:
        raise UserError(f"{config.pairs} pairs", where="--pairs", hint="use 1 or more")
    space = vits.load(config.vits)
    if space.facts.has_posterior:
        raise UserError(f"{space.facts.name} already has a posterior encoder", where="--vits")
    before = space.weights_hash()
    if not 0 <= config.narrow <= 1:
        raise UserError(f"{config.narrow:g} is not a share", where="--narrow", hint="0 to 1")
    edge = edge_of(space.sample_rate, space.n_fft)
    model = dataclasses.replace(config.model, bins=space.n_fft // 2 + 1, channels=space.channels, edge=edge)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, voice=before[:16], model=model)
    texts = texts_of(prepared, space)
    inputs = [config.corpus, before, config.pairs, config.loop.seed, config.max_frames, config.speaker, 3]
    identity = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()
    out = request.out
    out.mkdir(parents=True, exist_ok=True)
    path = out / "pairs.safetensors"
    pairs = read(path, identity)
    if pairs is None:
        log.info(
            f"the voice {space.facts.name} speaks {config.pairs} texts of the corpus as training data; they "
            f"are kept in {path}"
        )
        pairs = speak_pairs(space, texts, config, path, identity)
        write(path, pairs, identity)
        remove_parts(path)
        pairs = read(path, identity) or pairs  # the same halves on every start

    def task() -> PosteriorTask:
        task = PosteriorTask(config, space)
        mean, std = statistics(pairs["train"])
        task.net.mean.copy_(mean)
        task.net.std.copy_(std)
        spoken = [torch.from_numpy(p.source).float() for p in pairs["train"][:LEVEL_SENTENCES]]
        task.net.level.fill_(float(np.mean([level_of(x) for x in spoken])))
        if edge:
            task.net.share.fill_(float(np.median([share_of(x, edge) for x in spoken])))
        return task

    return setup_on_voice(space, task, config, pairs, before=before, facts={"pairs": len(pairs["train"])})


STAGE = Stage(name="restyle.posterior", makes="part", sizes=SIZES, setup=setup)


def statistics(pairs: list[FramePair]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (C,) of the targets."""
    from intona.latents.base import statistics_of

    mean, std = statistics_of(p.target for p in pairs)
    return mean, std.clamp(min=1e-3)
