"""Forward processes. Time runs from 0 (data) to 1 (noise). All take tensors or NumPy arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Float

from intona.arrays import expand, namespace

Batch = Float[Any, " batch *shape"]
Times = Float[Any, " batch"]


@runtime_checkable
class Schedule(Protocol):
    """z_t = alpha_t z_0 + sigma_t eps: all that targets and DDIM need to know of a process."""

    def alpha(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]: ...

    def sigma(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]: ...


@dataclass(frozen=True)
class Cosine:
    """v-diffusion: alpha_t = cos(pi t / 2), sigma_t = sin(pi t / 2) (Salimans & Ho 2022, section 4).

    Variance preserving, without a drift towards a mean. alpha_1 is 0, so predict the velocity or the data: at
    t = 1 the data cannot be computed from the noise.
    """

    def alpha(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        # As a sine: exactly 0 at t = 1, where cos(pi / 2) is 6e-17 and may be below 0 in float32.
        return namespace(t).sin(0.5 * math.pi * (1 - t))

    def sigma(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return namespace(t).sin(0.5 * math.pi * t)

    def time(self, ratio: float) -> float:
        """t in [0, 1] at which alpha_t / sigma_t is `ratio`, 0 to infinity."""
        return 2 / math.pi * math.atan2(1.0, ratio)

    def perturb(self, x0: Batch, t: Times, noise: Batch) -> Batch:
        """x_t = alpha_t x0 + sigma_t noise."""
        return expand(self.alpha(t), x0) * x0 + expand(self.sigma(t), x0) * noise


@dataclass(frozen=True, kw_only=True)
class MeanReverting:
    """dX = 1/2 (mu - X) beta_t dt + sqrt(beta_t) dW, beta_t = beta_0 + (beta_1 - beta_0) t.

    Grad-TTS (Popov et al. 2021, eq. 5-8). In z = X - mu it is the variance-preserving process of Song et
    al. 2021: z_t = alpha_t z_0 + sigma_t eps, alpha_t = exp(-B_t / 2), sigma_t^2 = 1 - exp(-B_t) with
    B_t = beta_0 t + 1/2 (beta_1 - beta_0) t^2.
    """

    beta_start: float = 0.05
    beta_end: float = 20.0

    def beta(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return self.beta_start + (self.beta_end - self.beta_start) * t

    def integral(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        """B_t, the integral of beta from 0 to t."""
        return self.beta_start * t + 0.5 * (self.beta_end - self.beta_start) * (t * t)

    def alpha(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return namespace(t).exp(-0.5 * self.integral(t))

    def sigma(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        # expm1: near t = 0, 1 - exp(-B) in float32 is mostly rounding error.
        xp = namespace(t)
        return xp.sqrt(-xp.expm1(-self.integral(t)))

    def log_snr_half(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        """lambda_t = log(alpha_t / sigma_t), the time of DPM-Solver."""
        return -0.5 * self.integral(t) - namespace(t).log(self.sigma(t))

    def perturb(self, x0: Batch, mu: Batch, t: Times, noise: Batch) -> Batch:
        """x_t = mu + (x0 - mu) alpha_t + sigma_t noise."""
        return mu + (x0 - mu) * expand(self.alpha(t), x0) + expand(self.sigma(t), x0) * noise


@dataclass(frozen=True, kw_only=True)
class OptimalTransport:
    """Straight lines between data and noise: flow matching (Lipman et al. 2022, arXiv 2210.02747).

    With their time tau = 1 - t, x_0 for the noise and x_1 for the data, equation 22 reads
    x_tau = (1 - (1 - sigma_min) tau) x_0 + tau x_1. Here the data is centred, z = x - mu, so that the noise
    lies around the mean that Grad-TTS predicts; in Matcha-TTS (arXiv 2309.03199) it lies around 0. So

        z_t = alpha_t z_0 + sigma_t eps,    alpha_t = 1 - t,    sigma_t = sigma_min + (1 - sigma_min) t,

    and the velocity along a line, z_0 - (1 - sigma_min) eps, does not depend on the time (equation 23).
    """

    kind: Literal["optimal-transport"] = "optimal-transport"
    sigma_min: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 <= self.sigma_min < 1:
            raise ValueError(f"sigma_min {self.sigma_min} must lie in 0..1, without 1")

    def alpha(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return 1 - t

    def sigma(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return self.sigma_min + (1 - self.sigma_min) * t

    def flow(self, data: Batch, noise: Batch) -> Batch:
        """The velocity towards the data of the line that joins centred data and noise."""
        return data - (1 - self.sigma_min) * noise

    def perturb(self, x0: Batch, mu: Batch, t: Times, noise: Batch) -> Batch:
        """x_t = mu + (x0 - mu) alpha_t + sigma_t noise."""
        return mu + (x0 - mu) * expand(self.alpha(t), x0) + expand(self.sigma(t), x0) * noise
