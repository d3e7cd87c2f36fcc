"""I2SB: a Schrödinger bridge between paired data (Liu et al. 2023, arXiv 2302.05872).

x_0 is the data, x_1 its degraded pair. Both ends are known in training, so the bridge has closed forms. Times
are indices 0 .. interval - 1. With f = std_fwd and b = std_bwd:

    q(x_t | x_0, x_1) = N( (b^2 x_0 + f^2 x_1) / (f^2 + b^2), f^2 b^2 / (f^2 + b^2) )          eq. 11
    target (x_t - x_0) / f                                                                       eq. 12
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from intona.arrays import expand
from intona.diffusion.process import Batch
from intona.errors import UserError

Steps = Int[Tensor, " batch"]
Predict = Callable[[Batch, Steps], Batch]


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """The symmetric bridge of I2SB.

    Attributes:
        interval: number of discrete times.
        beta_max: the largest beta of the noise schedule; 0.3 in I2SB, 1.0 in the restyling paper's code.
        ot_ode: the deterministic limit: the mean of the bridge, without noise.
    """

    interval: int = 1000
    beta_max: float = 0.3
    ot_ode: bool = False

    def __post_init__(self) -> None:
        if self.interval < 2 or self.interval % 2:
            raise ValueError("interval must be even and at least 2: the schedule is mirrored at its middle")
        if self.beta_max <= 0:
            raise ValueError("beta_max must be above 0")

    @functools.cached_property
    def betas(self) -> Float64[Tensor, " interval"]:
        """Quadratic from 1e-4 towards beta_max / interval, mirrored at the middle."""
        ends = 1e-4**0.5, (self.beta_max / self.interval) ** 0.5
        rising = torch.linspace(*ends, self.interval, dtype=torch.float64).square()[: self.interval // 2]
        return torch.cat([rising, rising.flip(0)])

    @functools.cached_property
    def std_fwd(self) -> Float64[Tensor, " interval"]:
        return self.betas.cumsum(0).sqrt()

    @functools.cached_property
    def std_bwd(self) -> Float64[Tensor, " interval"]:
        return self.betas.flip(0).cumsum(0).flip(0).sqrt()

    def marginal(
        self, t: Int[Tensor, "*times"]
    ) -> tuple[Float64[Tensor, "*times"], Float64[Tensor, "*times"], Float64[Tensor, "*times"]]:
        """Weights of x_0 and x_1, and the variance, at indices t."""
        return product(self.std_fwd[t], self.std_bwd[t])

    def sample(self, x0: Batch, x1: Batch, t: Steps, noise: Batch) -> Batch:
        """x_t of the bridge. `noise` is not used with ot_ode."""
        w0, w1, var = self.marginal(t.cpu())
        mean = expand(w0, x0) * x0 + expand(w1, x1) * x1
        return mean if self.ot_ode else mean + expand(var.sqrt(), noise) * noise

    def target(self, x0: Batch, xt: Batch, t: Steps) -> Batch:
        """What the network learns: (x_t - x_0) / std_fwd."""
        return (xt - x0) / expand(self.std_fwd[t.cpu()], xt)

    def data(self, prediction: Batch, xt: Batch, t: Steps) -> Batch:
        """The x_0 that a prediction stands for."""
        return xt - expand(self.std_fwd[t.cpu()], xt) * prediction

    def posterior(self, previous: int, t: int, x0: Batch, xt: Batch, noise: Batch | None) -> Batch:
        """x at index `previous` < t from x_t and an estimate of x_0 (eq. 4, DDPM's posterior).

        The last step (previous = 0) adds no noise, as in the authors' code.
        """
        fwd = self.std_fwd
        delta = (fwd[t].square() - fwd[previous].square()).sqrt()
        w0, wt, var = product(fwd[previous], delta)
        x = float(w0) * x0 + float(wt) * xt
        if noise is None or self.ot_ode or previous == 0:
            return x
        return x + float(var.sqrt()) * noise

    def time(self, t: Int[Tensor, "*times"]) -> Float[Tensor, "*times"]:
        """Indices as times in [0, 1] for the network's embedding."""
        return t.float() / (self.interval - 1)

    def solve(
        self, predict: Predict, x1: Batch, steps: int, noise: Callable[[], Batch] | None = None
    ) -> Batch:
        """From x_1 to data in `steps` evaluations of the network.

        Args:
            predict: x_t and indices t to the target.
            noise: returns a draw of the shape of x1, once per step; None adds no noise.
        """
        if not 1 <= steps < self.interval:
            raise UserError(f"{steps} bridge steps", hint=f"use 1 to {self.interval - 1}")
        places = torch.linspace(0, self.interval - 1, steps + 1, dtype=torch.float64).round().long().tolist()
        x = x1
        for t, previous in zip(places[:0:-1], places[-2::-1], strict=True):
            index = torch.full((x.shape[0],), t)
            x0 = self.data(predict(x, index), x, index)
            drawn = None if noise is None or self.ot_ode or previous == 0 else noise()
            x = self.posterior(previous, t, x0, x, drawn)
        return x


def product(
    a: Float[Tensor, "*times"], b: Float[Tensor, "*times"]
) -> tuple[Float[Tensor, "*times"], Float[Tensor, "*times"], Float[Tensor, "*times"]]:
    """Product of two Gaussians with means p, q and deviations a, b: weights of p and q, and the variance."""
    total = a.square() + b.square()
    return b.square() / total, a.square() / total, a.square() * b.square() / total
