"""What the aligner computes once from its corpus: statistics of the speakers, and the prior of each size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from intona.data.prepared import Item, Prepared
from intona.nn.align import beta_binomial_prior

_PRIORS: dict[tuple[int, int], Tensor] = {}


def prior_of(n: int, t: int) -> Tensor:
    """The beta-binomial prior of `n` tokens in `t` frames, (n, t)."""
    key = (n, t)
    if key not in _PRIORS:
        if len(_PRIORS) > 2000:
            _PRIORS.clear()
        _PRIORS[key] = beta_binomial_prior(n, t)
    return _PRIORS[key]


def speaker_statistics(prepared: Prepared, items: Sequence[Item]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Speaker -> (mean, 1 / std) per mel bin over at most 100 of their utterances."""
    by: dict[int, list[Item]] = {}
    for i in items:
        by.setdefault(i.speaker, []).append(i)
    out = {}
    for speaker, spoken in by.items():
        mels = np.concatenate([prepared.mel(i) for i in spoken[:: max(1, len(spoken) // 100)]])
        out[speaker] = (mels.mean(0), 1.0 / np.maximum(mels.std(0), 0.1))
    return out
