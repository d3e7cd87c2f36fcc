"""Drawing the next code: top-k, top-p, and MELD's repetition penalty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """MELD's decoding (arXiv 2605.29859, section 5.2).

    `penalty` is subtracted from the logits of the codes that were candidates one step before; 0 = none.
    `temperature` 0 selects the most likely code, and its candidates are those of temperature 1. `top_k` 0 and
    `top_p` 1 turn a filter off. The order is penalty, temperature, top k, then top p of the remaining codes.
    """

    top_p: float = 0.9
    top_k: int = 60
    penalty: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.top_p <= 1:
            raise ValueError("top_p must lie in (0, 1]")
        if self.top_k < 0 or self.penalty < 0 or self.temperature < 0:
            raise ValueError("top_k, penalty and temperature must not be below 0")


def top_p_set(logits: Float[Tensor, " codes"], p: float) -> Bool[Tensor, " codes"]:
    """The smallest set of most likely entries whose probabilities reach p; at least one."""
    ordered, index = logits.softmax(-1).sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, index, before < p)


def choose(
    logits: Float[Tensor, " codes"],
    config: SamplingConfig,
    uniform: float,
    *,
    before: Bool[Tensor, " codes"] | None = None,
) -> tuple[int, Bool[Tensor, " codes"]]:
    """Draw one entry.

    Args:
        uniform: in [0, 1), decides the draw.
        before: the candidates of the previous step, which are penalised.

    Returns:
        the index, and the candidates of this step: the top-p set after the penalty and the top-k filter.
    """
    logits = logits.float().cpu()  # few numbers: one copy is faster than many small kernels
    if before is not None and config.penalty:
        logits = logits - config.penalty * before
    if config.temperature not in (0, 1):
        logits = logits / config.temperature
    # Cut to the top k first: the sort below then runs over 60 entries, not over the vocabulary.
    k = config.top_k if 0 < config.top_k < len(logits) else len(logits)
    values, index = logits.topk(k)
    p = values.softmax(-1)
    ends = p.cumsum(-1)
    kept = (ends - p) < config.top_p
    place = 0
    if config.temperature:
        total = float((p * kept).sum())
        place = int(torch.searchsorted(ends, torch.tensor(min(uniform, 1 - 1e-7) * total), right=True))
        place = min(place, int(kept.sum()) - 1)
    candidates = torch.zeros_like(logits, dtype=torch.bool)
    candidates[index[kept]] = True
    return int(index[place]), candidates
