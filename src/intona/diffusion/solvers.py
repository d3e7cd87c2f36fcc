"""Probability-flow solvers from t = 1 to 0 in the centred variable z = x - mu.

A solver calls `denoise(z, t) -> (z_0, eps)` once per step, so that equal numbers of steps cost the same. z is
a tensor or a NumPy array, and so is t.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from intona.arrays import expand, namespace, times_of
from intona.diffusion.process import MeanReverting, OptimalTransport, Schedule
from intona.errors import UserError, nearest

Latents = Float[Any, "batch frames width"]
Denoise = Callable[[Latents, Float[Any, " batch"]], tuple[Latents, Latents]]
Noise = Callable[[], Latents]
T_END = 1e-3


Flow = MeanReverting | OptimalTransport  # processes whose flow has a known velocity


def _slope(process: Flow, denoise: Denoise, z: Latents, t: Float[Any, " batch"]) -> Latents:
    """dz/dt = -beta/2 (z + score), score = -eps / sigma (Song et al. 2021, eq. 13).

    Of optimal transport it is the velocity that the network has learnt, against the time.
    """
    data, eps = denoise(z, t)
    if isinstance(process, OptimalTransport):
        return -process.flow(data, eps)
    return -0.5 * expand(process.beta(t), z) * (z - eps / expand(process.sigma(t), z))


def euler(process: Flow, denoise: Denoise, z: Latents, steps: int) -> Latents:
    """Euler with steps of 1/steps.

    Of `MeanReverting` it is the sampler of Grad-TTS, which takes the slope at the middle of each step with
    the old z; of optimal transport that of Matcha-TTS, which takes it at the beginning.
    """
    h = 1.0 / steps
    place = 0.0 if isinstance(process, OptimalTransport) else 0.5
    for i in range(steps):
        t = times_of(1.0 - (i + place) * h, z)
        z = z - h * _slope(process, denoise, z, t)
    return z


def midpoint(process: Flow, denoise: Denoise, z: Latents, steps: int) -> Latents:
    """The explicit midpoint method, of second order. Two calls of `denoise` are one step of it.

    So steps of 2/steps are made; if the number is odd, the last one is a step of Euler of 1/steps.
    """
    h = 1.0 / steps
    for i in range(0, steps - 1, 2):
        middle = z - h * _slope(process, denoise, z, times_of(1.0 - i * h, z))
        z = z - 2 * h * _slope(process, denoise, middle, times_of(1.0 - (i + 1) * h, z))
    if steps % 2:
        z = z - h * _slope(process, denoise, z, times_of(h, z))
    return z


def dpm2m(process: MeanReverting, denoise: Denoise, z: Latents, steps: int) -> Latents:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2).

    Exact in the linear part, multistep in the data prediction, one call per step. Times are evenly spaced in
    lambda = log(alpha/sigma) from t = 1 to T_END; the last step returns the predicted data.
    """
    first, last = process.log_snr_half(np.array([1.0, T_END]))
    lambdas = np.linspace(float(first), float(last), steps)
    times = time_of_lambda(process, lambdas)
    alpha, sigma = process.alpha(times), process.sigma(times)
    previous: Any = None
    for i in range(steps):
        data, _ = denoise(z, times_of(times[i], z))
        if i == steps - 1:
            return data
        h = lambdas[i + 1] - lambdas[i]
        estimate = data if previous is None else data + 0.5 * (data - previous)  # even steps: 1 / (2 r) = 1/2
        z = float(sigma[i + 1] / sigma[i]) * z - float(alpha[i + 1] * np.expm1(-h)) * estimate
        previous = data
    return z


def ddim(
    process: Schedule,
    denoise: Denoise,
    z: Latents,
    steps: int,
    *,
    start: float = 1.0,
    eta: float = 0.0,
    noise: Noise | None = None,
) -> Latents:
    """DDIM (Song et al. 2021, eq. 12 and 16) for any schedule. Times are evenly spaced from `start` to 0.

    z_s = alpha_s z_0 + sqrt(sigma_s^2 - n^2) eps + n noise with the data and the noise predicted at t and
    n^2 = eta^2 (sigma_s / sigma_t)^2 (1 - alpha_t^2 / alpha_s^2). With eta 0 nothing is drawn; with eta 1 the
    steps are those of the ancestral sampler (Ho et al. 2020).

    Args:
        start: the time of z.
        noise: returns a standard normal of the shape of z at each call; not called with eta 0.

    Raises:
        UserError: eta above 0 and no noise.
    """
    if eta and noise is None:
        raise UserError("the ancestral solver needs noise, which this model does not supply", hint="use ddim")
    times = np.linspace(start, 0.0, steps + 1)
    alpha, sigma = process.alpha(times), process.sigma(times)
    for i in range(steps):
        data, eps = denoise(z, times_of(times[i], z))
        fresh = eta * float(sigma[i + 1] / sigma[i]) * math.sqrt(1 - float(alpha[i] / alpha[i + 1]) ** 2)
        kept = math.sqrt(max(0.0, float(sigma[i + 1]) ** 2 - fresh**2))
        z = float(alpha[i + 1]) * data + kept * eps
        if fresh and noise is not None:
            z = z + fresh * noise()
    return z


def time_of_lambda(process: MeanReverting, lambdas: Float[Any, "*times"]) -> Float[Any, "*times"]:
    """The t at which log(alpha/sigma) = lambda: exp(-B) = sigmoid(2 lambda), then the quadratic B(t)."""
    xp = namespace(lambdas)
    b = xp.logaddexp(-2 * lambdas, xp.zeros_like(lambdas))  # B = -log sigmoid(2 lambda)
    k, b0 = process.beta_end - process.beta_start, process.beta_start
    return 2 * b / (b0 + xp.sqrt(b0 * b0 + 2 * k * b))


SOLVERS: dict[str, Callable[..., Any]] = {
    "euler": euler,
    "midpoint": midpoint,
    "dpm2m": dpm2m,
    "ddim": ddim,
    "ancestral": partial(ddim, eta=1.0),
}
FREE = ("ddim", "ancestral")  # these start at any time, and need only alpha and sigma of a process
STRAIGHT = ("euler", "midpoint", "ddim")  # the solvers of optimal transport


def names_for(process: Schedule) -> tuple[str, ...]:
    """The solvers of a process."""
    if isinstance(process, OptimalTransport):
        return STRAIGHT
    return tuple(SOLVERS) if isinstance(process, MeanReverting) else FREE


def solve(
    name: str,
    process: Schedule,
    denoise: Denoise,
    z: Latents,
    steps: int,
    *,
    start: float = 1.0,
    noise: Noise | None = None,
) -> Latents:
    """Run the named solver. `start` is the time of z; `noise` supplies the draws of "ancestral".

    Raises:
        UserError: unknown solver, fewer than one step, a solver that does not support this process, a start
            outside (0, 1].
    """
    if name not in SOLVERS:
        raise UserError(f'unknown solver "{name}"', hint=nearest(name, SOLVERS))
    if steps < 1:
        raise UserError(f"{steps} diffusion steps", hint="use 1 or more")
    if isinstance(process, OptimalTransport) and name not in STRAIGHT:
        raise UserError(
            f'solver "{name}" is not for models of flow matching', hint=f"use {', '.join(STRAIGHT)}"
        )
    if name not in FREE and not isinstance(process, Flow):
        raise UserError(f'solver "{name}" needs the drift of the Grad-TTS process', hint="use ddim")
    if not 0 < start <= 1 or (start < 1 and name not in FREE):
        raise UserError(
            f"{name} from t = {start:g}", hint="start ddim at a time in (0, 1], the other solvers at 1"
        )
    if name in FREE:
        return SOLVERS[name](process, denoise, z, steps, start=start, noise=noise)
    return SOLVERS[name](process, denoise, z, steps)
