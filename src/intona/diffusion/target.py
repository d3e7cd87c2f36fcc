"""What the network predicts, and how a prediction becomes (data, noise).

All in the centred variable z = x - mu: z_t = alpha z_0 + sigma eps.
"""

from __future__ import annotations

from typing import Literal

from intona.arrays import expand
from intona.diffusion.process import Batch, OptimalTransport, Schedule, Times

Target = Literal["noise", "data", "velocity", "flow"]


def make(target: Target, process: Schedule, z0: Batch, noise: Batch, t: Times) -> Batch:
    """The regression target.

    "noise" is eps, "data" z_0, "velocity" v = alpha eps - sigma z_0 of a process that preserves the variance
    (Salimans & Ho 2022, eq. 10), "flow" the velocity of `OptimalTransport`.
    """
    if target == "noise":
        return noise
    if target == "data":
        return z0
    if target == "flow":
        return _transport(process).flow(z0, noise)
    return expand(process.alpha(t), z0) * noise - expand(process.sigma(t), z0) * z0


def split(target: Target, process: Schedule, prediction: Batch, z: Batch, t: Times) -> tuple[Batch, Batch]:
    """The data z_0 and the noise eps that a prediction at z_t stands for."""
    a, s = expand(process.alpha(t), z), expand(process.sigma(t), z)
    if target == "noise":
        return (z - s * prediction) / a, prediction
    if target == "data":
        return prediction, (z - a * prediction) / s
    if target == "flow":
        noise = z - a * prediction  # since alpha (1 - sigma_min) + sigma = 1
        return prediction + (1 - _transport(process).sigma_min) * noise, noise
    return a * z - s * prediction, s * z + a * prediction


def _transport(process: Schedule) -> OptimalTransport:
    if not isinstance(process, OptimalTransport):
        raise ValueError(f'the target "flow" is one of optimal transport, not of {type(process).__name__}')
    return process
