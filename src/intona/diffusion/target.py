"""What the network predicts, and how a prediction becomes (data, noise).

All in the centred variable z = x - mu: z_t = alpha z_0 + sigma eps.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from intona.diffusion.process import Schedule, _expand

Target = Literal["noise", "data", "velocity"]


def make(target: Target, process: Schedule, z0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """The regression target: eps, z_0, or v = alpha eps - sigma z_0 (Salimans & Ho 2022, eq. 10)."""
    if target == "noise":
        return noise
    if target == "data":
        return z0
    return _expand(process.alpha(t), z0) * noise - _expand(process.sigma(t), z0) * z0


def split(
    target: Target, process: Schedule, prediction: Tensor, z: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Network output at z_t -> (z_0, eps)."""
    a, s = _expand(process.alpha(t), z), _expand(process.sigma(t), z)
    if target == "noise":
        return (z - s * prediction) / a, prediction
    if target == "data":
        return prediction, (z - a * prediction) / s
    return a * z - s * prediction, s * z + a * prediction
