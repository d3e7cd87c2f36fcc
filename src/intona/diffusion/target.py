"""What the network predicts, and how a prediction becomes (data, noise).

All in the centred variable z = x - mu: z_t = alpha z_0 + sigma eps.
"""

from __future__ import annotations

from typing import Literal

from intona.arrays import expand
from intona.diffusion.process import Batch, Schedule, Times

Target = Literal["noise", "data", "velocity"]


def make(target: Target, process: Schedule, z0: Batch, noise: Batch, t: Times) -> Batch:
    """The regression target: eps, z_0, or v = alpha eps - sigma z_0 (Salimans & Ho 2022, eq. 10)."""
    if target == "noise":
        return noise
    if target == "data":
        return z0
    return expand(process.alpha(t), z0) * noise - expand(process.sigma(t), z0) * z0


def split(target: Target, process: Schedule, prediction: Batch, z: Batch, t: Times) -> tuple[Batch, Batch]:
    """The data z_0 and the noise eps that a prediction at z_t stands for."""
    a, s = expand(process.alpha(t), z), expand(process.sigma(t), z)
    if target == "noise":
        return (z - s * prediction) / a, prediction
    if target == "data":
        return prediction, (z - a * prediction) / s
    return a * z - s * prediction, s * z + a * prediction
