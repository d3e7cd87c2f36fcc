"""Text and sound of the same phoneme drawn together: SigLIP's sigmoid loss, and CLIP's softmax.

Both losses run over the pairs of all ranks, and the losses of the ranks add up to that of one process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, normalize

from intona.data.pieces import Pieces
from intona.encoders.dual_stream import DualStreamConfig, DualStreamEncoder
from intona.encoders.ecapa import Ecapa, EcapaConfig
from intona.nn.losses import Part
from intona.nn.ranks import gather_over_ranks, rank, row_counts

Loss = Literal["sigmoid", "softmax"]
MAX_SCALE = 100.0  # CLIP's cap on the learned scale of the softmax


@dataclass(frozen=True, kw_only=True)
class ContrastiveConfig:
    """Both sides and their loss.

    `scale` is SigLIP's t (called temperature there; it multiplies) and `bias` its b at the start. SigLIP's
    -10 belongs to batches of 32,000; None takes -log(B - 1), where a random pair is as likely as it is
    frequent (ours). The softmax has no bias and starts at CLIP's 1 / 0.07 if `scale` is None.
    """

    text: DualStreamConfig = field(default_factory=DualStreamConfig)
    audio: EcapaConfig = field(default_factory=EcapaConfig)
    loss: Loss = "sigmoid"
    scale: float | None = None
    bias: float | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and self.scale <= 0:
            raise ValueError("scale must be above 0")


def sigmoid_loss(
    text: Float[Tensor, "pairs width"],
    audio: Float[Tensor, "pairs width"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
    *,
    over_ranks: bool = True,
) -> Float[Tensor, ""]:
    """SigLIP (Zhai et al. 2023, arXiv 2303.15343, algorithm 1): the sum over this rank's texts.

    sum_ij -log sigmoid(z_ij (scale x_i · y_j + bias)), z = 1 on the diagonal and -1 elsewhere; i runs over
    the texts of this rank, j over the sounds of all. Divided by the number of all texts it is the
    published mean.

    Args:
        text, audio: vectors of norm 1, pairs in the same row.
    """
    others = gather_over_ranks(audio) if over_ranks else audio
    logits = scale * text @ others.T + bias
    sign = torch.full_like(logits, -1.0)
    sign[torch.arange(len(text)), _columns(text, over_ranks)] = 1.0
    return -logsigmoid(sign * logits).sum()


def balanced_bias(similarities: Sequence[Float[Tensor, "_ _"]], scale: float, *, pairs: int) -> float:
    """The bias at which the sigmoid loss of batches of `pairs` pairs is least: its slope there is 0.

    There each text expects one right sound: mean sigmoid of the right pairs + (pairs - 1) x that of the wrong
    ones = 1. Between orthogonal vectors that is -log(pairs - 1), where stage 2 starts. (Ours.)

    Args:
        similarities: cosines of some batches (square), right pairs on the diagonal.
    """
    right = torch.cat([s.diagonal() for s in similarities]).double() * scale
    wrong = torch.cat([s[~torch.eye(len(s), dtype=torch.bool)] for s in similarities]).double() * scale

    def excess(bias: float) -> float:
        return float((right + bias).sigmoid().mean() + (pairs - 1) * (wrong + bias).sigmoid().mean()) - 1

    bound = scale + math.log(max(pairs, 2)) + 1
    low, high = -bound, bound
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return (low + high) / 2


def softmax_loss(
    text: Float[Tensor, "pairs width"],
    audio: Float[Tensor, "pairs width"],
    scale: Float[Tensor, ""],
    *,
    over_ranks: bool = True,
) -> Float[Tensor, ""]:
    """CLIP (Radford et al. 2021, figure 3): the mean of both directions, summed over this rank's rows."""
    target = _columns(text, over_ranks).to(text.device)
    texts = gather_over_ranks(text) if over_ranks else text
    sounds = gather_over_ranks(audio) if over_ranks else audio
    forth = cross_entropy(scale * text @ sounds.T, target, reduction="sum")
    back = cross_entropy(scale * audio @ texts.T, target, reduction="sum")
    return (forth + back) / 2


def _columns(text: Float[Tensor, "pairs width"], over_ranks: bool) -> Int[Tensor, " pairs"]:
    """Columns of this rank's pairs among those of all."""
    before = sum(row_counts(text)[: rank()]) if over_ranks else 0
    return torch.arange(len(text)) + before


def start_bias(config: ContrastiveConfig, pairs: int) -> float:
    """SigLIP's bias before the first step, for batches of so many pairs."""
    return -math.log(max(pairs - 1, 1)) if config.bias is None else config.bias


class ContrastiveModel(nn.Module):
    """Text encoder, audio encoder, and the learned scale and bias.

    Args:
        config: sizes and loss.
        pairs: pairs of a batch over all ranks, for the bias at the start.
    """

    mel_mean: Float[Tensor, " mels"]
    mel_std: Float[Tensor, " mels"]

    def __init__(self, config: ContrastiveConfig, *, pairs: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = DualStreamEncoder(config.text)
        self.audio = Ecapa(config.audio)
        self.audio_head = nn.Linear(config.audio.dim, config.text.out)
        scale = config.scale or (10.0 if config.loss == "sigmoid" else 1 / 0.07)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.bias = None
        if config.loss == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(start_bias(config, pairs)))
        self.register_buffer("mel_mean", torch.zeros(config.audio.n_mels))
        self.register_buffer("mel_std", torch.ones(config.audio.n_mels))

    def set_statistics(self, mean: Float[Tensor, " mels"], std: Float[Tensor, " mels"]) -> None:
        """Corpus mean and deviation of each mel bin."""
        self.mel_mean.copy_(mean)
        self.mel_std.copy_(std)

    def embed_text(
        self,
        tokens: Int[Tensor, "texts tokens"],
        lengths: Int[Tensor, " texts"],
        pieces: Pieces,
        speaker: Float[Tensor, "texts speaker_width"] | None,
        rows: Int[Tensor, " batch"],
        positions: Int[Tensor, " batch"],
        known: Bool[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "batch width"]:
        """Vectors of norm 1: the states at `positions` of the texts `rows`."""
        states, _ = self.encoder(tokens, lengths, speaker, pieces, known)
        return normalize(states[rows, positions].float(), dim=-1)

    def embed_audio(
        self, mels: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Log mels of spans to vectors of norm 1."""
        vectors = self.audio((mels - self.mel_mean) / self.mel_std, lengths)
        return normalize(self.audio_head(vectors).float(), dim=-1)

    def parts(
        self,
        text: Float[Tensor, "pairs width"],
        audio: Float[Tensor, "pairs width"],
        bias: Float[Tensor, ""] | None = None,
    ) -> dict[str, Part]:
        """The loss of a batch, and what is good to know of it with weight 0.

        In evaluation each rank has batches of its own, whole ones: there the pairs are this process's alone.

        Args:
            bias: of SigLIP, for these pairs; by default that of the model.
        """
        bias = self.bias if bias is None else bias
        count = torch.tensor(float(len(text)), device=text.device)
        scale = self.log_scale.float().exp()
        # Never in bf16: at scale 10 its steps between logits are as large as the margins that are learned.
        with torch.autocast(text.device.type, enabled=False):
            if bias is not None:
                total = sigmoid_loss(text, audio, scale, bias.float(), over_ranks=self.training)
            else:
                total = softmax_loss(text, audio, scale.clamp(max=MAX_SCALE), over_ranks=self.training)
        losses = {"contrastive": Part(total=total, count=count)}
        with torch.no_grad():
            best = (text @ audio.T).argmax(dim=1).cpu() == torch.arange(len(text))
            shown = {"r1": best.sum().to(count), "scale": scale * count}
            if bias is not None:
                shown["bias"] = bias * count
        return losses | {k: Part(total=v.detach(), count=count, weight=0.0) for k, v in shown.items()}
