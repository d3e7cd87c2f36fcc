"""One discrete code per frame: a frozen k-means codebook, and the soft posterior over its codes.

MELD (arXiv 2605.29859, section 3.1, eq. 6) defines q(z|x) as the softmax of negative distances to centroids
that k-means placed on training frames and that stay fixed. q has no parameters, so its entropy is a constant
of the data, and the KL term of the bound is a cross-entropy with soft labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from intona.errors import UserError
from intona.nn.random import derive_seed

FRAMES_PER_CODE = 50


class Codebook(nn.Module):
    """Frozen centroids and a temperature `tau`; 0 = hard (the nearest code).

    The temperature is our addition: on mels of unit variance the paper's plain softmax is nearly one-hot, and
    a `tau` chosen for a mean perplexity of 3 to 10 keeps the posterior soft.
    """

    centroids: Float[Tensor, "codes width"]
    tau: Float[Tensor, ""]

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("centroids", torch.zeros(codes, dim))
        self.register_buffer("tau", torch.ones(()))

    def distances(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch codes"]:
        """Squared Euclidean distances to the centroids, not below 0."""
        c = self.centroids
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            d = x.square().sum(-1, keepdim=True) - 2 * (x @ c.T) + c.square().sum(-1)
        return d.clamp(min=0)

    def posterior(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch codes"]:
        """log q(z|x) = log softmax(-d^2 / tau); one-hot (0 and -inf) if tau is 0."""
        d = self.distances(x)
        if float(self.tau) == 0.0:
            hard = torch.full_like(d, -torch.inf)
            return hard.scatter_(-1, d.argmin(-1, keepdim=True), 0.0)
        return torch.log_softmax(-d / self.tau, dim=-1)

    def nearest(self, x: Float[Tensor, "*batch width"]) -> Int[Tensor, "*batch"]:
        """Index of the nearest centroid."""
        return self.distances(x).argmin(-1)


def probabilities(log_q: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """exp of log probabilities; 0 below e^-87, where MKL's exp is 50 times slower."""
    return torch.threshold(log_q.clamp(min=-87.0).exp(), 1e-37, 0.0)


def entropy(log_q: Float[Tensor, "*batch codes"]) -> Float[Tensor, "*batch"]:
    """Entropy in nats, with 0 log 0 = 0. Its exponential is the perplexity."""
    return -(probabilities(log_q) * log_q.clamp(min=-1e9)).sum(-1)


def draw(log_q: Float[Tensor, "*batch codes"], uniform: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """One index per row, by the inverse of the distribution function; `uniform` is in [0, 1)."""
    ends = probabilities(log_q.float()).cumsum(-1)
    # The last end is 1 up to rounding; scaled by it, no draw can fall beyond the last code.
    target = uniform[..., None].clamp(max=1 - 1e-7) * ends[..., -1:]
    return torch.searchsorted(ends, target, right=True)[..., 0].clamp(max=log_q.shape[-1] - 1)


def temperature_for(codebook: Codebook, x: Float[Tensor, "frames width"], perplexity: float) -> float:
    """The tau at which the mean over `x` of exp H(q) is `perplexity`; 0 if that is at most 1.

    Raises:
        ValueError: the codebook has too few codes.
    """
    if perplexity <= 1:
        return 0.0
    if perplexity >= len(codebook.centroids):
        raise ValueError(f"a perplexity of {perplexity:g} needs more than {len(codebook.centroids)} codes")
    d = codebook.distances(x)
    low, high = -12.0, 12.0  # of log tau: the perplexity grows with it
    for _ in range(40):
        middle = 0.5 * (low + high)
        mean = entropy(torch.log_softmax(-d * math.exp(-middle), dim=-1)).exp().mean()
        low, high = (middle, high) if float(mean) < perplexity else (low, middle)
    return math.exp(0.5 * (low + high))


def require_frames(n: int, codes: int, *, where: object = None) -> None:
    """Refuse a codebook with fewer than 50 training frames per centroid.

    Raises:
        UserError: the message says how many codes are possible.
    """
    if n < FRAMES_PER_CODE * codes:
        raise UserError(
            f"{codes} codes need {FRAMES_PER_CODE * codes} steps ({FRAMES_PER_CODE} each); there are {n}",
            where=where,
            hint=f"use at most {n // FRAMES_PER_CODE} codes, or more data",
        )


@dataclass(frozen=True, kw_only=True)
class KMeansConfig:
    """Mini-batch k-means (Sculley 2010). `iterations` batches of `batch` frames."""

    batch: int = 8192
    iterations: int = 300
    seed: int = 0


class KMeans:
    """Mini-batch k-means with k-means++ seeding; every random draw is a function of (seed, iteration).

    `pick(n, generator)` returns n random frames (n, width): the data may be larger than memory. A centroid
    with less than a tenth of its share of the frames of the last window is moved to a distant frame.
    """

    WINDOW = 20

    def __init__(
        self, codes: int, config: KMeansConfig, pick: Callable[[int, torch.Generator], Tensor]
    ) -> None:
        self.codes, self.config, self.pick = codes, config, pick
        self.iteration = 0
        self.centroids = torch.empty(0)
        self.counts = torch.zeros(codes, dtype=torch.float64)  # frames assigned to each centroid
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
        """Iterate up to iteration `until` (`config.iterations` if None)."""
        while self.iteration < (self.config.iterations if until is None else until):
            self.step()

    def step(self) -> None:
        """One mini-batch: assign the frames, then update each centroid's running mean."""
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
        # In the last third no centroid is moved any more, so that all settle.
        if self.iteration % self.WINDOW == 0:
            if self.iteration <= 2 * self.config.iterations // 3:
                self._rescue(x, d)
            self.recent.zero_()

    def _rescue(self, x: Float[Tensor, "frames width"], d: Float[Tensor, " frames"]) -> None:
        starved = torch.nonzero(self.recent < 0.1 * self.recent.sum() / self.codes)[:, 0]
        if not len(starved):
            return
        chosen = torch.multinomial(
            d.clamp(min=1e-12), min(len(starved), len(x)), generator=self._generator("rescue")
        )
        starved = starved[: len(chosen)]
        self.centroids[starved] = x[chosen]
        self.counts[starved] = 0

    def _assign(
        self, x: Float[Tensor, "frames width"]
    ) -> tuple[Float[Tensor, " frames"], Int[Tensor, " frames"]]:
        c = self.centroids
        d = x.square().sum(-1, keepdim=True) - 2 * (x @ c.T) + c.square().sum(-1)
        best, index = d.min(-1)
        return best.clamp(min=0), index

    def _seeding(self) -> Float[Tensor, "codes width"]:
        """k-means++ (Arthur & Vassilvitskii 2007) on a sample: distant frames are likelier to be chosen."""
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
