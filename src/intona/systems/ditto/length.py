"""How long a text will take: a distribution over lengths, learnt by cross-entropy.

DiTTo-TTS predicts the remaining length itself, one class each, with a transformer. Here the classes are
ratios to what so many symbols usually take (ours): little data suffices, and no length is out of reach.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from intona.nn.losses import Part
from intona.systems.ditto.config import LengthConfig

WEIGHT = 0.1  # beside the error of the velocity


class LengthPredictor(nn.Module):
    """Text states and, where there is one, a reference -> log ratio bins.

    A mean over symbols of a function of each state is an average symbol's duration.

    Args:
        states: width of the text states. latent: width of a latent.
    """

    pace: Tensor
    bins: Tensor

    def __init__(self, config: LengthConfig, *, states: int, latent: int) -> None:
        super().__init__()
        h, self.span = config.hidden, config.span
        self.symbol = nn.Sequential(
            nn.Linear(states, h), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(h, h), nn.GELU()
        )
        self.reference = nn.Linear(2 * latent, h)
        self.nobody = nn.Parameter(torch.zeros(h))
        self.out = nn.Sequential(nn.Linear(2 * h + 1, h), nn.GELU(), nn.Linear(h, config.bins))
        self.register_buffer("bins", torch.linspace(-config.span, config.span, config.bins))
        self.register_buffer("pace", torch.ones(()))

    def forward(self, states: Tensor, mask: Tensor, reference: Tensor, reference_mask: Tensor) -> Tensor:
        """states (B, N, E), reference (B, R, dim), masks -> logits (B, bins); all False = no reference."""
        n = mask.sum(1, keepdim=True)
        text = (self.symbol(states) * mask[..., None]).sum(1) / n
        kept = reference_mask[..., None]
        count = kept.sum(1).clamp(min=1)
        mean = (reference * kept).sum(1) / count
        std = (((reference - mean[:, None]) * kept).square().sum(1) / count + 1e-8).sqrt()
        voice = self.reference(torch.cat([mean, std], dim=-1))
        voice = torch.where(reference_mask.any(1, keepdim=True), voice, self.nobody)
        return self.out(torch.cat([text, voice, (n.float() / 100).log()], dim=-1)).float()

    def part(self, logits: Tensor, tokens: Tensor, latents: Tensor) -> Part:
        """Cross-entropy; a length between two bins belongs to both, so that the mean length is exact."""
        ratio = (latents / (tokens * self.pace)).float().log().clamp(-self.span, self.span)
        # Not from the bins: a published model's are rounded to half precision, the step between two by 3 %.
        place = (ratio + self.span) / (2 * self.span) * (len(self.bins) - 1)
        low = place.floor().long().clamp(max=len(self.bins) - 2)
        step = 2 * self.span / (len(self.bins) - 1)
        share = torch.expm1((place - low) * step) / math.expm1(step)
        log_p = logits.log_softmax(-1)
        below, above = (log_p.gather(1, (low + i)[:, None])[:, 0] for i in (0, 1))
        log_likelihood = (1 - share) * below + share * above
        count = torch.tensor(len(log_likelihood), device=log_likelihood.device)
        return Part(total=-log_likelihood.sum(), count=count, weight=WEIGHT)

    def lengths(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """The mean of the predicted distribution, (B,) latents, float.

        The mean of the ratios, not exp of the mean of their logarithms: that would be the geometric mean,
        which is shorter, and the more so the less certain the prediction.
        """
        return logits.softmax(-1) @ self.bins.exp() * tokens * self.pace
