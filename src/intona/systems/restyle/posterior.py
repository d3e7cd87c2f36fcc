"""Stage `restyle.posterior`: a posterior encoder for a voice that ships none, from its own speech.

The voice speaks the texts of a prepared corpus (any number of times, with other noise and rates each time);
sound and z are known together, and a regression learns z from the sound.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
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
from intona.systems.restyle.frozen import setup_beside
from intona.systems.restyle.pairs import Pair, PairBatch, make_in_parts, read, remove_parts, write
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

DEV_SHARE = 20  # every 20th text is kept for validation
HEARD = 100  # of the voice's own sentences tell its level and its band


@dataclass(frozen=True, kw_only=True)
class PosteriorRunConfig:
    """A whole run. `corpus` and `voice` are fingerprints; `pairs` texts are spoken before training.

    `narrow` is the share of training items that are heard without anything above 8 kHz, as recordings of
    16 kHz are.

    `mel_weight` adds the log-magnitude error of the sound that the frozen decoder makes of the guess: z that
    differ without being heard then cost nothing more. It costs a decoder pass and its gradient a step.
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
    """3.6 M parameters. `intona train restyle.posterior --data DATA --out RUN [--vits NAME]`."""
    return PosteriorRunConfig(
        loop=LoopConfig(steps=10_000, ema=0.999, validate_every=500, save_every=500),
        optim=OptimConfig(
            lr=5e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=200, schedule="cosine", final=0.02
        ),
    )


def paper() -> PosteriorRunConfig:
    """8.0 M parameters; VITS's own posterior encoder has 7.2 M (16 WaveNet layers of 192).

    The paper trains none: its voices ship theirs.
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
    """Squared error of z, in deviations of each channel; and optionally of the sound."""

    def __init__(self, config: PosteriorRunConfig, space: VitsSpace) -> None:
        super().__init__()
        self.config = config
        self._space = [space]  # no submodule: nothing of the voice belongs to the run's weights
        self.net = PosteriorNet(config.model)

    def forward(self, batch: PairBatch, step: int) -> Losses:
        mask = length_mask(batch.frames, batch.given.shape[1]).to(batch.given.device)
        found = self.net(self._heard(batch, step), mask)
        wanted = (batch.wanted - self.net.mean) / self.net.std
        error = (found.float() - wanted).square() * mask[..., None]
        count = mask.sum() * wanted.shape[2]
        parts = {"latent": Part(total=error.sum(), count=count)}
        if self.config.mel_weight:
            parts["sound"] = self._sound(batch, found, step)
        return Losses(parts=parts)

    def _heard(self, batch: PairBatch, step: int) -> torch.Tensor:
        """Some items end at 8 kHz; which ones belongs to (seed, step, item). All are whole in validation."""
        edge = self.config.model.edge
        if not (edge and self.config.narrow and self.training):
            return batch.given
        draws = ItemRandom(self.config.loop.seed, step, [f"{i}/band" for i in batch.ids]).uniform()
        cut = (draws < self.config.narrow).to(batch.given.device)[:, None, None]
        return torch.where(cut, silence_above(batch.given, edge), batch.given)

    def _sound(self, batch: PairBatch, found: torch.Tensor, step: int) -> Part:
        """Log-magnitude error of a window of 32 frames of each item, through the frozen decoder.

        An item of fewer frames is decoded with its last one repeated, of which nothing is counted.
        """
        space, size = self._space[0].to(found.device), 32
        draws = ItemRandom(self.config.loop.seed, step, batch.ids).uniform()
        first = (draws * (batch.frames - size + 1).clamp(min=1)).long()
        place = first[:, None] + torch.arange(size)
        last = batch.frames[:, None] - 1
        counted = (place <= last).to(found.device)
        index = torch.minimum(place, last).to(found.device)
        z = (found * self.net.std + self.net.mean).gather(1, index[..., None].expand(-1, -1, found.shape[2]))
        truth = batch.wanted.gather(1, index[..., None].expand(-1, -1, found.shape[2]))
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
    """Refuse a corpus in another language than the voice's; "" is a voice that names none.

    Raises:
        UserError: says which both are.
    """
    languages = {vits.language_code(item.language) for item in prepared}
    if language and languages != {language}:
        raise UserError(
            f"the corpus is in {', '.join(sorted(languages))}, the voice {voice} speaks {language}",
            where=prepared.root,
            hint="take a corpus in its language, or another --vits",
        )


def texts_of(prepared: Prepared, space: VitsSpace) -> list[tuple[str, str]]:
    """(id, text) of train and dev, refused where the corpus is not in the voice's language.

    Never of test: the voice would then be asked to give back sentences that it has trained on.
    """
    require_language(prepared, space.facts.name, space.facts.symbols.language)
    return [(item.id, item.text) for split in ("train", "dev") for item in prepared.items(split)]


def order_of(texts: list[tuple[str, str]], count: int, seed: int) -> list[tuple[str, str, str]]:
    """(name, id, text) of `count` texts: all of them, shuffled, before any is said again."""
    out: list[tuple[str, str, str]] = []
    while len(out) < count:
        number = len(out) // len(texts)
        order = np.random.default_rng(derive_seed(seed, "texts", number)).permutation(len(texts))
        out += [(f"{texts[k][0]}#{number}", *texts[k]) for k in order]
    return out[:count]


def is_held(id: str) -> bool:
    """Whether a text is kept for validation, however often it is said."""
    return int(hashlib.sha256(id.encode()).hexdigest(), 16) % DEV_SHARE == 0


@torch.inference_mode()
def speak_pairs(
    space: VitsSpace, texts: list[tuple[str, str]], config: PosteriorRunConfig, path: Path, identity: str
) -> dict[str, list[Pair]]:
    """The voice says `config.pairs` texts: spectrogram and z of each.

    Noise 0.3 to 1 and rate 0.8 to 1.25, drawn anew each time a text is said: recordings lie about the prior
    more widely than the voice's own setting. What an interrupted call has kept beside `path`, made as
    `identity` says, is not said again.
    """
    row = space.speaker(config.speaker or None)
    rows = None if row is None else torch.tensor([row])

    def say(item: tuple[str, str, str]) -> tuple[str, Pair] | None:
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
        given = space.spectrogram(audio).numpy()[:frames]
        pair = Pair(id=name, given=given, wanted=z[0, : len(given)].numpy(), style=np.zeros(1, np.float32))
        return "dev" if is_held(id) else "train", pair

    chosen = order_of(texts, config.pairs, config.loop.seed)
    out = make_in_parts(path, identity, chosen, say, what="speaking")
    if mute := config.pairs - sum(map(len, out.values())):
        print(f"{mute} of {config.pairs} texts could not be said, or were too long", file=sys.stderr)
    if not out["train"]:
        raise UserError("none of the texts could be said", hint="look at the corpus's texts and the voice")
    return out


def setup(config: PosteriorRunConfig, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    if config.pairs < 1:
        raise UserError(f"{config.pairs} pairs", where="--pairs", hint="take 1 or more")
    space = vits.load(config.vits)
    if space.facts.has_posterior:
        raise UserError(f"{space.facts.name} has a posterior encoder of its own", where="--vits")
    before = space.weights_hash()
    if not 0 <= config.narrow <= 1:
        raise UserError(f"{config.narrow:g} is no share", where="--narrow", hint="0 to 1")
    edge = edge_of(space.sample_rate, space.n_fft)
    model = dataclasses.replace(config.model, bins=space.n_fft // 2 + 1, channels=space.channels, edge=edge)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, voice=before[:16], model=model)
    texts = texts_of(prepared, space)
    made = [config.corpus, before, config.pairs, config.loop.seed, config.max_frames, config.speaker, 3]
    identity = hashlib.sha256(json.dumps(made).encode()).hexdigest()
    out = request.out
    out.mkdir(parents=True, exist_ok=True)
    path = out / "pairs.safetensors"
    pairs = read(path, identity)
    if pairs is None:
        print(
            f"the voice {space.facts.name} says {config.pairs} texts of the corpus, for the encoder to learn "
            f"the latents of a sound that is known; they are kept in {path}",
            file=sys.stderr,
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
        spoken = [torch.from_numpy(p.given).float() for p in pairs["train"][:HEARD]]
        task.net.level.fill_(float(np.mean([level_of(x) for x in spoken])))
        if edge:
            task.net.share.fill_(float(np.median([share_of(x, edge) for x in spoken])))
        return task

    return setup_beside(space, task, config, pairs, before=before, facts={"pairs": len(pairs["train"])})


STAGE = Stage(name="restyle.posterior", makes="part", sizes=SIZES, setup=setup)


def statistics(pairs: list[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation per channel of what is wanted."""
    from intona.latents.base import statistics_of

    mean, std = statistics_of(p.wanted for p in pairs)
    return mean, std.clamp(min=1e-3)
