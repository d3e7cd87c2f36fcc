"""A schedule with more or less noise at each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float

from intona.arrays import expand, namespace
from intona.diffusion.process import Batch, Cosine, Times


@dataclass(frozen=True, kw_only=True)
class Shifted:
    """alpha / sigma of another schedule, times `scale` (Hoogeboom et al. 2023, "simple diffusion", eq. 4).

    A scale below 1 means more noise at each time, which suits long and redundant signals. Variance
    preserving.
    """

    scale: float = 1.0
    base: Cosine = field(default_factory=Cosine)

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise ValueError(f"scale {self.scale} must be above 0")

    def _norm(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return namespace(t).hypot(self.scale * self.base.alpha(t), self.base.sigma(t))

    def alpha(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return self.scale * self.base.alpha(t) / self._norm(t)

    def sigma(self, t: Float[Any, "*times"]) -> Float[Any, "*times"]:
        return self.base.sigma(t) / self._norm(t)

    def time(self, ratio: float) -> float:
        """t in [0, 1] at which alpha_t / sigma_t is `ratio`, 0 to infinity."""
        return self.base.time(ratio / self.scale)

    def perturb(self, x0: Batch, t: Times, noise: Batch) -> Batch:
        """x_t = alpha_t x0 + sigma_t noise."""
        return expand(self.alpha(t), x0) * x0 + expand(self.sigma(t), x0) * noise
