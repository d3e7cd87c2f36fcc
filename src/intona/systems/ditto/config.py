"""Sizes and choices of the latent diffusion model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from intona import config as configs
from intona.encoders.base import TextEncoderConfig
from intona.encoders.plain import PlainEncoderConfig
from intona.latents.base import LatentsConfig
from intona.latents.mel_vae import MelVAEConfig


@dataclass(frozen=True, kw_only=True)
class LengthConfig:
    """The speech-length predictor: a distribution over `bins` of log(latents / (tokens x pace))."""

    hidden: int = 192
    bins: int = 97
    span: float = 1.2
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.bins < 2 or self.span <= 0 or self.hidden < 1:
            raise ValueError("a length needs 2 bins or more, a span above 0 and hidden at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must lie in 0..1, without 1")


@dataclass(frozen=True, kw_only=True)
class DittoConfig:
    """A whole model. The defaults are the published S (41.89 M in the paper, 40.2 M here, both
    without the text encoder).

    Attributes:
        latents, encoder: what it predicts, and what reads the text.
        dim, depth, heads: of the transformer. expand: width of the gated feed-forward, times dim.
        text_positions: how cross-attention knows where a symbol stands. "none": only by its state (the
            paper). "stretched": rotary positions of symbols spread evenly over the target's length (ours:
            little data does not teach an alignment by itself).
        text_widths: of "stretched", seconds: head h adds -(distance)^2 / (2 width^2) to its scores, with
            width h modulo how many there are, 0 = nothing. () is none at all (the paper; others are ours).
        rotary: base of the rotary positions. Small ones tell more of a few hundred latents (ours; the
            paper's is the usual 10,000).
        opening: what gates start at, and the share of usual weights that cross-attention starts with, so
            that text has a gradient from the first step (ours); 0 is the identity, as in DiT.
        guess: whether the network adds to the best linear guess from each dimension's deviation alone
            (ours), or predicts the whole velocity (the paper). No difference where all deviations are 1.
        drop: share of items without text and without reference, for classifier-free guidance.
        drop_reference: share of the others without a reference.
        spans: share of items that see a part of themselves instead of a reference, and fill in the rest.
        together: whether all of a training batch get a reference, or a part of themselves, or neither: fewer
            rows to compute (ours); else each item draws.
        noise_shift: see `diffusion.shifted` (1 is the cosine schedule itself, the paper's).
    """

    n_tokens: int = 0
    latents: LatentsConfig = field(default_factory=MelVAEConfig)
    encoder: TextEncoderConfig = field(default_factory=PlainEncoderConfig)
    dim: int = 384
    depth: int = 12
    heads: int = 6
    expand: int = 4
    dropout: float = 0.0
    long_skips: bool = True
    text_positions: Literal["none", "stretched"] = "none"
    text_widths: tuple[float, ...] = ()
    rotary: float = 10_000.0
    opening: float = 0.0
    guess: bool = False
    drop: float = 0.1
    drop_reference: float = 0.2
    spans: float = 0.3
    together: bool = False
    noise_shift: float = 1.0
    length: LengthConfig = field(default_factory=LengthConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, dim=1, depth=1, heads=1, expand=1)
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ValueError(f"dim {self.dim} must be an even multiple of heads {self.heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must lie in 0..1, without 1")
        if not self.noise_shift > 0 or not self.rotary > 1:
            raise ValueError("noise_shift must be above 0 and rotary above 1")
        if any(w < 0 for w in self.text_widths):
            raise ValueError("text_widths must not be below 0")
        for name in ("drop", "drop_reference", "spans", "opening"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1")
