"""The shifted schedule against what defines it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from intona.diffusion import solvers, target
from intona.diffusion.process import Cosine
from intona.diffusion.shifted import Shifted

T = torch.linspace(0.01, 0.99, 25, dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.3, 1.0, 2.0])
def test_the_signal_to_noise_ratio_is_multiplied_and_the_variance_kept(scale: float) -> None:
    process, base = Shifted(scale=scale), Cosine()
    ratio = process.alpha(T) / process.sigma(T)
    assert torch.allclose(ratio, scale * base.alpha(T) / base.sigma(T), rtol=1e-12)
    assert torch.allclose(process.alpha(T).square() + process.sigma(T).square(), torch.ones_like(T))
    times = [process.time(float(r)) for r in ratio]
    assert torch.allclose(torch.tensor(times, dtype=torch.float64), T, rtol=1e-12)
    assert process.time(0.0) == 1 and process.time(float("inf")) == 0
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert torch.equal(process.alpha(ends), torch.tensor([1.0, 0.0], dtype=torch.float64))


def test_scale_one_is_the_cosine_itself_and_zero_is_refused() -> None:
    assert torch.allclose(Shifted(scale=1.0).alpha(T), Cosine().alpha(T), rtol=1e-14)
    with pytest.raises(ValueError, match="above 0"):
        Shifted(scale=0.0)


def test_ddim_follows_the_exact_flow_of_gaussian_data() -> None:
    """Data N(m, s^2): from t = 1 the probability flow leads to m + s x_1, whatever the schedule."""
    m, s, process = -0.7, 0.5, Shifted(scale=0.4)

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, b = float(process.alpha(t[:1])), float(process.sigma(t[:1]))
        data = m + a * s**2 / ((a * s) ** 2 + b**2) * (z - a * m)
        v = (a * z - data) / b  # of v-prediction: the solver must see through it
        assert torch.allclose(target.split("velocity", process, v, z, t)[0], data, atol=1e-5)
        return target.split("velocity", process, v, z, t)

    z = torch.linspace(-2, 2, 9)[None, :, None]
    coarse, fine = (
        float((solvers.solve("ddim", process, denoise, z, n) - (m + s * z)).abs().max()) for n in (200, 400)
    )
    assert fine < 0.01 and fine / coarse == pytest.approx(0.5, abs=0.05)  # of the first order
