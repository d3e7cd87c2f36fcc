"""Drawing the next code: top-k, top-p, and MELD's repetition penalty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """MELD's decoding (arXiv 2605.29859, section 5.2).

    `penalty` is taken off the logits of the codes that were candidates one step before; 0 = none.
    `temperature` 0 takes the likeliest code, and its candidates are those of temperature 1; `top_k` 0 and
    `top_p` 1 switch a filter off. In order: penalty, temperature, top k, top p of what is left.
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


def top_p_set(logits: Tensor, p: float) -> Tensor:
    """(V,) -> boolean (V,): the fewest likeliest entries whose probabilities reach p; at least one."""
    ordered, index = logits.softmax(-1).sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    return torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, index, before < p)


def choose(
    logits: Tensor,
    config: SamplingConfig,
    uniform: float,
    *,
    before: Tensor | None = None,
) -> tuple[int, Tensor]:
    """Draw one entry.

    Args:
        logits: (V,).
        uniform: in [0, 1): decides the draw.
        before: boolean (V,), the candidates of the step before, which are penalised.

    Returns:
        the index, and this step's candidates: the top-p set of what was penalised and cut to the top k.
    """
    logits = logits.float().cpu()  # a handful of numbers: one copy beats many small kernels
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
