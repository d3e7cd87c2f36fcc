"""Sizes and choices of the restyling models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes of a network: "unet2d" for latents as an image of time x channel (the paper), or "convnext1d" for
    a sequence (ours).

    Attributes:
        dim, mults: channels of the U-Net's first level, and multiples of them at each level; dim is also the
            width of the 1-D network.
        attend: how many of the last levels of the U-Net attend to the style.
        tokens: style tokens to attend to. With one, as in the paper, attention is only a bias, because a
            softmax over one entry is 1.
        depth, expand, kernel: of the 1-D network.
    """

    kind: Literal["unet2d", "convnext1d"] = "convnext1d"
    dim: int = 256
    mults: tuple[int, ...] = (1, 2, 4)
    attend: int = 2
    tokens: int = 1
    heads: int = 8
    depth: int = 8
    expand: int = 3
    kernel: int = 7

    def __post_init__(self) -> None:
        if not 0 <= self.attend <= len(self.mults):
            raise ValueError(f"attend must lie between 0 and the {len(self.mults)} levels")
        if self.dim % 8 or self.tokens < 1:
            raise ValueError("dim must be a multiple of 8, tokens at least 1")


@dataclass(frozen=True, kw_only=True)
class RestyleConfig:
    """Config of a whole restyling model (arXiv 2311.10804).

    Attributes:
        process: "palette" = v-diffusion conditioned on Z_text (Palette, Saharia et al. 2022); "bridge" = I2SB
            from Z_text to Z_audio.
        drop: share of items trained without their style, for guidance.
        partial: probability that a single attribute of measured prosody (encoders.style) is dropped.
        normalize: standardize latents with the statistics of the corpus; the paper does not.
        masked: network and loss see only real frames. False is the paper: the whole canvas of `segment`
            frames is computed, and padding is trained and sampled like any frame.
        segment: frames of the random training window; 384 in the paper.
        noise: training noise of Palette. "uniform" in [0, 1) is the authors' code since August 2023, while
            sampling starts from a Gaussian.
        see_text: the bridge also has Z_text as an input next to x_t (the init_image variants of the paper).
        x1_noise: add N(0, 1) to the start of the bridge. ot_ode: no noise within it (both in the paper).
    """

    channels: int = 192
    style_dim: int = 12
    process: Literal["palette", "bridge"] = "palette"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    target: Literal["velocity", "data"] = "velocity"
    drop: float = 0.1
    partial: float = 0.0
    normalize: bool = True
    masked: bool = True
    noise: Literal["gaussian", "uniform"] = "gaussian"
    segment: int = 384
    interval: int = 1000
    beta_max: float = 1.0
    ot_ode: bool = False
    x1_noise: bool = False
    see_text: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.drop < 1 or not 0 <= self.partial < 1:
            raise ValueError("drop and partial must lie in [0, 1)")
        if self.network.kind == "unet2d" and self.channels % 2 ** (len(self.network.mults) - 1):
            raise ValueError(f"{self.channels} channels cannot be halved {len(self.network.mults) - 1} times")
        if self.segment < 8:
            raise ValueError("segment must be 8 frames or more")
