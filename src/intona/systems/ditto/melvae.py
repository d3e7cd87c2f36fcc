"""Stage `prosody.melvae`: the mel VAE that a latent diffusion works on."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from intona import config as configs
from intona.audio import Audio
from intona.data.batch import Batch
from intona.data.prepared import Item, Prepared
from intona.evaluation.stats import ratio_interval
from intona.latents import trained
from intona.latents.base import LatentSpace
from intona.latents.mel_vae import MelVAE, MelVAEConfig
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom
from intona.training.loop import LoopConfig
from intona.training.mel_feed import MelFeed, mel_statistics
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task

log = logging.getLogger(__name__)

DEMO_SENTENCES = 2
REPORT = "reconstruction.json"


@dataclass(frozen=True, kw_only=True)
class MelVAERun:
    """A whole run. `corpus` is the fingerprint of the data, `init` the VAE it started from ("" = none);
    `max_frames` bounds a batch with padding; `format` is written by the run."""

    stage: str = "prosody.melvae"
    format: int = 0
    size: str = "small"
    corpus: str = ""
    init: str = ""
    max_frames: int = 2400
    max_items: int | None = None
    model: MelVAEConfig = field(default_factory=MelVAEConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)


def paper() -> MelVAERun:
    """54 M parameters, 8 frames per latent (10.77 Hz, the published rate); widths are not published (ours).

    Command: `intona train prosody.melvae --size paper --data DATA --output RUN`. Cost: meant for a GPU; never
    run here. The published Mel-VAE is quantised and adversarial, and its reconstruction is not given in
    figures that can be compared.
    """
    return MelVAERun(
        size="paper",
        max_frames=32 * 1600,
        model=MelVAEConfig(dim=128, width=512, depth=3, expand=4),
        loop=LoopConfig(steps=200_000, save_every=2000, validate_every=5000),
        optim=OptimConfig(lr=2e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=1000, schedule="cosine"),
    )


def small() -> MelVAERun:
    """7.2 M parameters, 64 numbers per latent.

    Command: `intona train prosody.melvae --data DATA --output RUN`. Cost and figures: docs/notebook/ditto.md.
    """
    return MelVAERun(
        loop=LoopConfig(steps=6000, ema=0.995),
        optim=OptimConfig(
            lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup=200, schedule="cosine", final=0.02
        ),
    )


def toy() -> MelVAERun:
    """0.2 M parameters: trains in seconds. For tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        max_frames=1600,
        model=MelVAEConfig(dim=16, width=64, depth=1, expand=2),
        loop=LoopConfig(steps=200, log_every=10, validate_every=100, save_every=100),
        optim=OptimConfig(lr=3e-3, warmup=20),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


class MelVAETask(Task):
    """The VAE with its losses; the noise of a latent follows from (seed, step, utterance)."""

    def __init__(self, config: MelVAERun, prepared: Prepared) -> None:
        super().__init__()
        self.config, self.prepared = config, prepared
        self.model = MelVAE(config.model, prepared.spec)
        self.model.set_mel_statistics(*mel_statistics(prepared))

    def forward(self, batch: Batch, step: int) -> Losses:
        random = ItemRandom(self.config.loop.seed, step, batch.ids)
        return self.model.losses(batch.mels, batch.mel_lengths, random)

    def summary(self) -> dict[str, Any]:
        return {"latents": f"{self.model.rate:.2f} Hz x {self.config.model.dim}"}

    def extra_files(self) -> dict[str, Any]:
        features = json.loads((self.prepared.root / "features.json").read_text(encoding="utf-8"))
        return {"features.json": features, "stats.json": self.prepared.stats}

    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev utterances as wavs: the vocoder on their mels, and on the mels of their latents."""
        from intona.vocoder import load_vocoder

        out.mkdir(parents=True, exist_ok=True)
        vocoder = load_vocoder("hifigan", device=self.model.mean.device)
        for item in self.prepared.items("dev")[:DEMO_SENTENCES]:
            mel = torch.from_numpy(self.prepared.mel(item))[None]
            for name, x in (("vocoder", mel), ("vae", there_and_back(self.model, mel))):
                wave = vocoder.decode(x)[0].cpu().numpy()
                Audio(wave, self.prepared.spec.sample_rate).write(out / f"{item.id}-{name}.wav")


@torch.inference_mode()
def there_and_back(space: LatentSpace, mel: torch.Tensor) -> torch.Tensor:
    """One log mel (1, T, n_mels) through the latents of any space, on the device of the space."""
    mel = mel.to(space.mean.device)
    latents, after = space.encode(mel, torch.tensor([mel.shape[1]], device=mel.device))
    return space.decode(latents, after)[:, : mel.shape[1]]


def mel_errors(space: LatentSpace, prepared: Prepared, items: Iterable[Item]) -> dict[str, Any]:
    """Mean absolute error of mels through the latents, intervals over utterances.

    `nats` in natural-log units, `deviations` in the corpus's deviation of each bin.
    """
    std = mel_statistics(prepared)[1]
    nats: list[float] = []
    deviations: list[float] = []
    for item in items:
        mel = torch.from_numpy(prepared.mel(item))[None]
        error = (there_and_back(space, mel).cpu() - mel).abs()
        nats.append(float(error.mean()))
        deviations.append(float((error / std).mean()))
    errors = {"nats": nats, "deviations": deviations}
    return {name: dataclasses.asdict(ratio_interval(values)) for name, values in errors.items()}


def report(run: Path, prepared: Prepared) -> None:
    """RUN/reconstruction.json: the error of the dev split's mels through the latents of the finished VAE."""
    items = prepared.items("dev")
    if not items:
        return
    errors = mel_errors(trained.load(run), prepared, items)
    configs.write_json(run / REPORT, {"split": "dev", **errors})
    nats = errors["nats"]
    log.info(
        f"through the latents: mel error {nats['estimate']:.3f} nats "
        f"[{nats['low']:.3f}, {nats['high']:.3f}], {nats['n']} dev utterances ({REPORT})"
    )


def setup(config: MelVAERun, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    model = dataclasses.replace(config.model, n_mels=prepared.spec.n_mels)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, model=model, format=trained.FORMAT)

    def finish(newest: Path) -> None:
        if newest.name == f"step-{config.loop.steps:08d}":
            report(newest.parent, prepared)

    return Setup(
        config=config,
        task=lambda: MelVAETask(config, prepared),
        feed=lambda rank, world: MelFeed(
            prepared,
            seed=config.loop.seed,
            max_frames=config.max_frames,
            max_items=config.max_items,
            rank=rank,
            world=world,
        ),
        facts={"utterances": len(prepared.items("train"))},
        finish=finish,
    )


STAGE = Stage(name="prosody.melvae", makes="part", sizes=SIZES, setup=setup)
