"""One discrete code a frame: a k-means codebook that stays frozen, and the soft posterior over it.

MELD (arXiv 2605.29859, section 3.1, eq. 6) takes q(z|x) as the softmax of negative distances to centroids
found by k-means on training frames and never moved again. q has no parameters, so its entropy is a constant
of the data: the KL term of the bound is a cross-entropy with soft labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from intona.errors import UserError
from intona.nn.random import derive_seed

FRAMES_PER_CODE = 50


class Codebook(nn.Module):
    """K frozen centroids in R^D and a temperature; 0 = hard (the nearest code).

    The temperature is ours: on unit-variance mels the paper's plain softmax is nearly one-hot, and `tau`
    chosen for a mean perplexity of 3 to 10 keeps the posterior soft.
    """

    centroids: Tensor
    tau: Tensor

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(codes, dim))
        self.register_buffer("tau", torch.ones(()))

    def distances(self, x: Tensor) -> Tensor:
        """(..., D) -> squared Euclidean distances (..., K), not below 0."""
        c = self.centroids
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            d = x.square().sum(-1, keepdim=True) - 2 * (x @ c.T) + c.square().sum(-1)
        return d.clamp(min=0)

    def posterior(self, x: Tensor) -> Tensor:
        """log q(z|x), (..., D) -> (..., K): log softmax(-d^2 / tau), one-hot (0 and -inf) where tau is 0."""
        d = self.distances(x)
        if float(self.tau) == 0.0:
            hard = torch.full_like(d, -torch.inf)
            return hard.scatter_(-1, d.argmin(-1, keepdim=True), 0.0)
        return torch.log_softmax(-d / self.tau, dim=-1)

    def nearest(self, x: Tensor) -> Tensor:
        """(..., D) -> index of the nearest centroid (...)."""
        return self.distances(x).argmin(-1)


def probabilities(log_q: Tensor) -> Tensor:
    """exp of log probabilities, any shape; 0 below e^-87, where MKL's exp is 50 times slower."""
    return torch.threshold(log_q.clamp(min=-87.0).exp(), 1e-37, 0.0)


def entropy(log_q: Tensor) -> Tensor:
    """Entropy in nats, (..., K) -> (...); 0 log 0 = 0. exp of it is the perplexity."""
    return -(probabilities(log_q) * log_q.clamp(min=-1e9)).sum(-1)


def draw(log_q: Tensor, uniform: Tensor) -> Tensor:
    """One index per row by the inverse of the distribution function.

    Args:
        log_q: (..., K). uniform: (...) in [0, 1).
    """
    ends = probabilities(log_q.float()).cumsum(-1)
    # The last end is 1 up to rounding; scaled by it no draw can fall behind the last code.
    target = uniform[..., None].clamp(max=1 - 1e-7) * ends[..., -1:]
    return torch.searchsorted(ends, target, right=True)[..., 0].clamp(max=log_q.shape[-1] - 1)


def temperature_for(codebook: Codebook, x: Tensor, perplexity: float) -> float:
    """The tau at which the mean over `x` (n, D) of exp H(q) is `perplexity`; 0 where that is at most 1.

    Raises:
        ValueError: as many codes are not there.
    """
    if perplexity <= 1:
        return 0.0
    if perplexity >= len(codebook.centroids):
        raise ValueError(f"a perplexity of {perplexity:g} needs more than {len(codebook.centroids)} codes")
    d = codebook.distances(x)
    low, high = -12.0, 12.0  # of log tau: the perplexity grows with it
    for _ in range(40):
        middle = 0.5 * (low + high)
        found = entropy(torch.log_softmax(-d * math.exp(-middle), dim=-1)).exp().mean()
        low, high = (middle, high) if float(found) < perplexity else (low, middle)
    return math.exp(0.5 * (low + high))


def require_frames(n: int, codes: int, *, where: object = None) -> None:
    """Refuse a codebook with fewer than 50 of what it is learnt from a centroid.

    Raises:
        UserError: says how many codes the data carry.
    """
    if n < FRAMES_PER_CODE * codes:
        raise UserError(
            f"{codes} codes need {FRAMES_PER_CODE * codes} steps ({FRAMES_PER_CODE} each); there are {n}",
            where=where,
            hint=f"take at most {n // FRAMES_PER_CODE} codes, or more data",
        )


@dataclass(frozen=True, kw_only=True)
class KMeansConfig:
    """Mini-batch k-means (Sculley 2010). `iterations` batches of `batch` frames."""

    batch: int = 8192
    iterations: int = 300
    seed: int = 0


class KMeans:
    """Mini-batch k-means with k-means++ seeding; every draw is a function of (seed, iteration).

    `pick(n, generator)` gives n random frames (n, D): the data may be larger than memory. A centroid that
    took less than a tenth of its share in the last window is moved onto a frame far from all others.
    """

    WINDOW = 20

    def __init__(
        self, codes: int, config: KMeansConfig, pick: Callable[[int, torch.Generator], Tensor]
    ) -> None:
        self.codes, self.config, self.pick = codes, config, pick
        self.iteration = 0
        self.centroids = torch.empty(0)
        self.counts = torch.zeros(codes, dtype=torch.float64)  # frames seen by each centroid
        self.recent = torch.zeros(codes, dtype=torch.float64)  # of them in this window
        self.error = math.nan  # mean squared distance of the last batch

    def state_dict(self) -> dict[str, Tensor]:
        return {
            "centroids": self.centroids,
            "counts": self.counts,
            "recent": self.recent,
            "iteration": torch.tensor(self.iteration),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.centroids, self.counts, self.recent = (
            state[k].clone() for k in ("centroids", "counts", "recent")
        )
        self.iteration = int(state["iteration"])

    def run(self, until: int | None = None) -> None:
        """Iterate up to `until` (the config's number if None)."""
        while self.iteration < (self.config.iterations if until is None else until):
            self.step()

    def step(self) -> None:
        """One mini-batch: assign, then move each centroid by the mean of its frames over all it has seen."""
        if not len(self.centroids):
            self.centroids = self._seeding()
        x = self.pick(self.config.batch, self._generator("batch"))
        d, nearest = self._assign(x)
        self.error = float(d.mean())
        n = torch.bincount(nearest, minlength=self.codes).double()
        self.counts += n
        self.recent += n
        sums = torch.zeros_like(self.centroids).index_add_(0, nearest, x)
        moved = (sums - n[:, None].float() * self.centroids) / self.counts.clamp(min=1)[:, None].float()
        self.centroids = self.centroids + moved
        self.iteration += 1
        # The last third settles: nothing is thrown any more.
        if self.iteration % self.WINDOW == 0:
            if self.iteration <= 2 * self.config.iterations // 3:
                self._rescue(x, d)
            self.recent.zero_()

    def _rescue(self, x: Tensor, d: Tensor) -> None:
        starved = torch.nonzero(self.recent < 0.1 * self.recent.sum() / self.codes)[:, 0]
        if not len(starved):
            return
        chosen = torch.multinomial(
            d.clamp(min=1e-12), min(len(starved), len(x)), generator=self._generator("rescue")
        )
        starved = starved[: len(chosen)]
        self.centroids[starved] = x[chosen]
        self.counts[starved] = 0

    def _assign(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c = self.centroids
        d = x.square().sum(-1, keepdim=True) - 2 * (x @ c.T) + c.square().sum(-1)
        best, index = d.min(-1)
        return best.clamp(min=0), index

    def _seeding(self) -> Tensor:
        """k-means++ (Arthur & Vassilvitskii 2007) on a sample: far frames are likelier to be chosen."""
        g = self._generator("seeding")
        x = self.pick(max(self.config.batch, 8 * self.codes), g)
        chosen = [int(torch.randint(len(x), (), generator=g))]
        d = (x - x[chosen[0]]).square().sum(-1)
        while len(chosen) < self.codes:
            # multinomial takes at most 2^24 weights; a sample never has more.
            i = int(torch.multinomial(d, 1, generator=g)) if float(d.sum()) > 0 else len(chosen) % len(x)
            chosen.append(i)
            d = torch.minimum(d, (x - x[i]).square().sum(-1))
        return x[chosen].clone()

    def _generator(self, what: str) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, "kmeans", what, self.iteration))
