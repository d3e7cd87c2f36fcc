"""Run config of prosody.ditto, and its sizes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from intona.encoders.plain import PlainEncoderConfig
from intona.encoders.speakers import NOBODY
from intona.latents.mel import PROPORTION
from intona.systems.ditto import DittoConfig, LengthConfig
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig


@dataclass(frozen=True, kw_only=True)
class DittoRun:
    """A whole run.

    `latents` is a run of prosody.melvae, "mel8" for patches of 8 mel frames ("mel8x64": of 64 numbers), "mel"
    for plain mels, or a run of this stage, for its latents ("" = those of `init`); in a checkpoint, their
    fingerprint. `reference` is the shortest and longest reference in seconds. `corpus`, `init`,
    `encoder`, `encoder_weights`, `encoder_rate` are those of prosody.gradtts; `speaker` makes the vectors of
    the references, which an encoder with AdaLN is conditioned on: those that it was pretrained with, "none"
    for its vector of nobody. `max_frames` are mel frames of a batch with padding.

    Ours, for little data: `clauses` is the share of batches that hold clauses instead of whole utterances,
    where the corpus is aligned (the paper's is 0); `patch_proportion` how much louder the first numbers of
    new patches are than the rest (`latents.mel.PatchLatentsConfig`), `patch_shift` the noise shift over
    patches (1 is the paper's; model.noise_shift, if set, counts instead).
    `format` is written by the run.
    """

    stage: str = "prosody.ditto"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    latents: str = ""
    encoder: str = ""
    encoder_weights: Literal["pretrained", "random"] = "pretrained"
    encoder_rate: float | None = None
    speaker: str = NOBODY
    reference: tuple[float, float] = (1.5, 4.0)
    clauses: float = 0.0
    patch_proportion: float = PROPORTION
    patch_shift: float = 1.0
    format: int = 0
    max_frames: int = 6000
    max_items: int | None = None
    model: DittoConfig = field(default_factory=DittoConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if not 0 < self.reference[0] <= self.reference[1]:
            raise ValueError("reference: 0 < shortest <= longest seconds must hold")
        if not 0 <= self.clauses <= 1:
            raise ValueError("clauses must lie in 0..1")
        if self.patch_shift <= 0:
            raise ValueError("patch_shift must be above 0")
        if not 0 <= self.patch_proportion <= 1:
            raise ValueError("patch_proportion must lie in 0..1")


def _published(size: str, dim: int, depth: int, heads: int) -> DittoRun:
    return DittoRun(
        size=size,
        max_frames=64 * 1720,
        model=DittoConfig(dim=dim, depth=depth, heads=heads),
        loop=LoopConfig(steps=1_000_000, ema=0.9999, save_every=5000, validate_every=5000),
        optim=OptimConfig(lr=1e-4, warmup=1000, schedule="cosine"),
    )


def paper() -> DittoRun:
    """The published S: 40.2 M parameters here (41.89 M in the paper) beside the text encoder.

    Command: `intona train prosody.ditto --size paper --latents VAE --data DATA --output RUN`. Cost in the
    paper: 1 M steps on four A100; never run here. AdamW 1e-4, cosine, 1,000 steps of warm-up are the paper's;
    widths and depths are DiT's S, B, L, XL, which fit the published counts within 9 %.
    """
    return _published("paper", 384, 12, 6)


def base() -> DittoRun:
    """The published B: 159 M here, 151.58 M in the paper. As `paper` otherwise."""
    return _published("base", 768, 12, 12)


def large() -> DittoRun:
    """The published L: 548 M here, 507.99 M in the paper. As `paper` otherwise."""
    return _published("large", 1024, 24, 16)


def xl() -> DittoRun:
    """The published XL: 804 M here, 739.97 M in the paper (LibriSpeech cross WER 2.56 %, 55,000 h)."""
    return _published("xl", 1152, 28, 16)


def small() -> DittoRun:
    """8.6 M parameters beside the VAE, for a few hours of speech; the text is placed in time (ours).

    Command: `intona train prosody.ditto --latents VAE --data DATA --output RUN`. Cost:
    docs/notebook/ditto.md.
    """
    return DittoRun(
        clauses=0.7,
        patch_shift=0.5,
        max_frames=4000,
        model=DittoConfig(
            dim=192,
            depth=6,
            heads=4,
            text_positions="stretched",
            text_widths=(0.14, 0.28, 0.56, 0.0),
            rotary=200.0,
            opening=0.2,
            guess=True,
            together=True,
            drop_reference=0.5,
            encoder=PlainEncoderConfig(layers=4, hidden=384),
        ),
        loop=LoopConfig(steps=10_000, ema=0.999),
        optim=OptimConfig(
            lr=6e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=500, schedule="cosine", final=0.02
        ),
    )


def toy() -> DittoRun:
    """0.4 M parameters: trains in seconds, for tests and first tries; its speech is unintelligible."""
    whole = small()
    return dataclasses.replace(
        whole,
        size="toy",
        max_frames=3200,
        model=dataclasses.replace(
            whole.model,
            dim=64,
            depth=3,
            heads=2,
            expand=2,
            encoder=PlainEncoderConfig(dim=64, layers=1, hidden=128),
            length=LengthConfig(hidden=32),
        ),
        loop=LoopConfig(steps=200, log_every=10, validate_every=100, save_every=100),
    )


SIZES = {"paper": paper, "base": base, "large": large, "xl": xl, "small": small, "toy": toy}
