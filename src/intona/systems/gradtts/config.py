"""Sizes and choices of Grad-TTS. The defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from intona import config as configs
from intona.diffusion.process import MeanReverting, OptimalTransport
from intona.diffusion.target import Target
from intona.encoders.base import TextEncoderConfig
from intona.encoders.plain import PlainEncoderConfig
from intona.nn.unet2d import Activation


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """The score network.

    `unet2d` is the paper's (dim, mults); `convnext1d` is ours: ConvNeXt blocks at frame rate (dim, depth,
    expand, kernel), some 12x fewer operations. `see_states` also gives the expanded text states to the
    1-D network, not only the 80-bin mean (ours). `time_activation` is of the U-Net's embedding of time: the
    paper's is Mish, which `GradTTSConfig` takes; configs that name none are of a version that had SiLU.
    """

    kind: Literal["unet2d", "convnext1d"] = "unet2d"
    dim: int = 64
    mults: tuple[int, ...] = (1, 2, 4)
    depth: int = 8
    expand: int = 3
    kernel: int = 7
    see_states: bool = False
    time_activation: Activation = "silu"


@dataclass(frozen=True, kw_only=True)
class DurationConfig:
    """Two convolutions over detached text states (Glow-TTS's predictor).

    Attributes:
        loss: "log" = squared error of the logarithm (the papers): exp of what it learns is the geometric
            mean, below the mean of what varies, so speech comes out too fast, pauses most. "gamma" = half the
            gamma distribution's deviance, y / m - log(y / m) - 1, least at the mean itself (ours).
    """

    hidden: int = 256
    kernel: int = 3
    dropout: float = 0.1
    loss: Literal["log", "gamma"] = "log"


@dataclass(frozen=True, kw_only=True)
class VarianceConfig:
    """The variance adaptor: pitch, voicing and energy of each symbol, predicted and added to the text states.

    FastSpeech 2 (Ren et al. 2021, arXiv 2006.04558) with the values per symbol of FastPitch (Lancucki 2021,
    arXiv 2006.06873); the type of the clause and the place of its nucleus are ours.

    Attributes:
        hidden, kernel, layers, dropout: of the predictor (the dropout of FastSpeech 2).
        weight: of its losses in the objective. It decides how much they shape the text encoder, since the
            predictor's own layers are trained by Adam, which ignores the scale (0.1 in FastPitch).
        question_contour: whether synthesis raises the predicted pitch of questions to the default contour of
            their language where it is lower (ours, `text.question`); a voice's card may say otherwise.
    """

    hidden: int = 256
    kernel: int = 5
    layers: int = 3
    dropout: float = 0.5
    weight: float = 0.2
    question_contour: bool = True

    def __post_init__(self) -> None:
        configs.at_least(self, hidden=1, layers=1, weight=0)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must lie in 0..1, without 1")


@dataclass(frozen=True, kw_only=True)
class GradTTSConfig:
    """A whole Grad-TTS.

    Attributes:
        encoder: the plain encoder of the paper, or the dual-stream one of the prosody system, which also
            reads BPE pieces and a pretrained speaker vector.
        n_tokens, n_speakers: sizes of the vocabulary and of the voice table (1 = no speaker input).
        durations: "mas" = monotonic alignment search inside training (the paper); "data" = the prepared
            corpus's own alignments (Festvox labels, MFA, `intona align`).
        add_blank: a blank between tokens (the paper); excludes durations="data".
        beta_start, beta_end: the paper's schedule of noise.
        target: what the network predicts; "noise" is the paper's loss. "flow" trains by flow matching instead
            of diffusion: straight lines from noise around the prior mean to the data, which take fewer steps
            to follow (`OptimalTransport`; without the schedule of noise, with `sigma_min`).
        sigma_min: deviation of the noise that "flow" leaves in the data.
        normalize: standardise mels with the corpus's statistics first (ours; the paper does not).
        segment: frames of the random window the diffusion loss is taken on (2 s in the paper), 0 = all.
        variance: the variance adaptor, None for a model without one; needs durations="data".
    """

    n_tokens: int = 0
    n_speakers: int = 1
    n_mels: int = 80
    speaker_dim: int = 64
    encoder: TextEncoderConfig = field(default_factory=PlainEncoderConfig)
    duration: DurationConfig = field(default_factory=DurationConfig)
    decoder: DecoderConfig = field(default_factory=lambda: DecoderConfig(time_activation="mish"))
    durations: Literal["mas", "data"] = "mas"
    add_blank: bool = True
    beta_start: float = 0.05
    beta_end: float = 20.0
    target: Target = "noise"
    sigma_min: float = 1e-4
    normalize: bool = False
    segment: int = 172
    variance: VarianceConfig | None = None

    def __post_init__(self) -> None:
        _ = self.process  # its limits
        if self.durations == "data" and self.add_blank:
            raise ValueError('durations "data" needs add_blank false: the corpus has no frames for blanks')
        if self.variance is not None and self.durations != "data":
            raise ValueError('variance needs durations "data": it learns from the contours of each symbol')
        if self.add_blank and not self.encoder.reads_blanks:
            raise ValueError("add_blank needs an encoder that reads blanks: a blank belongs to no word")
        if self.decoder.kind == "unet2d" and self.n_mels % 2 ** (len(self.decoder.mults) - 1):
            raise ValueError(f"{self.n_mels} mels cannot be halved {len(self.decoder.mults) - 1} times")

    @property
    def process(self) -> MeanReverting | OptimalTransport:
        """The way from data to noise, which the target decides."""
        if self.target == "flow":
            return OptimalTransport(sigma_min=self.sigma_min)
        return MeanReverting(beta_start=self.beta_start, beta_end=self.beta_end)
