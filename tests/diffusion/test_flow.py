"""Flow matching along straight lines: against the papers' formulas and the exact flow of Gaussian data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from intona.diffusion import solvers, target
from intona.diffusion.process import MeanReverting, OptimalTransport, Schedule
from intona.errors import UserError

SIGMA = 0.05
PROCESS = OptimalTransport(sigma_min=SIGMA)
M, S = 1.5, 0.3  # data N(M, S^2)


def _lines(n: int) -> tuple[Tensor, Tensor]:
    """Data and noise (n, 1, 1)."""
    g = torch.Generator().manual_seed(0)
    noise, data = torch.randn(2, n, 1, 1, generator=g, dtype=torch.float64)
    return M + S * data, noise


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_lines_are_those_of_the_paper(tau: float) -> None:
    data, noise = _lines(6)
    mu = torch.full_like(data, 4.0)
    t = torch.full((6,), 1 - tau, dtype=torch.float64)
    # Lipman et al. 2022, equation 22, with x_0 the noise, x_1 the data, both around mu; 23 is its derivative.
    x = (1 - (1 - SIGMA) * tau) * noise + tau * (data - mu) + mu
    torch.testing.assert_close(PROCESS.perturb(data, mu, t, noise), x)
    torch.testing.assert_close(
        target.make("flow", PROCESS, data - mu, noise, t), (data - mu) - (1 - SIGMA) * noise
    )


@pytest.mark.parametrize("time", [0.0, 0.4, 1.0])
def test_a_velocity_gives_back_data_and_noise(time: float) -> None:
    data, noise = _lines(6)
    t = torch.full((6,), time, dtype=torch.float64)
    z = PROCESS.perturb(data, torch.zeros_like(data), t, noise)
    both = target.split("flow", PROCESS, target.make("flow", PROCESS, data, noise, t), z, t)
    torch.testing.assert_close(both, (data, noise))


def _exact(z: Any, t: Any) -> Any:
    """The velocity towards the data at z_t, averaged over all lines through it, for data N(M, S^2).

    Data, noise and z are jointly normal: E[v | z] = E v + cov(v, z) / var(z) (z - E z).
    """
    tau = 1 - t
    a, s = tau, 1 - (1 - SIGMA) * tau
    covariance = a * S**2 - s * (1 - SIGMA)
    return M + covariance / (a**2 * S**2 + s**2) * (z - a * M)


@pytest.mark.parametrize("time", [0.1, 0.5, 0.95])
def test_what_the_target_teaches_is_the_exact_velocity(time: float) -> None:
    data, noise = _lines(200_000)
    t = torch.full((len(data),), time, dtype=torch.float64)
    z = PROCESS.perturb(data, torch.zeros_like(data), t, noise)
    truth = target.make("flow", PROCESS, data, noise, t)
    # The least squares of all lines; the best predictor of normal variables is linear.
    slope, intercept = np.polyfit(z.flatten().numpy(), truth.flatten().numpy(), 1)
    for place in (-1.0, 0.5, 2.0):
        spread = abs(place - (1 - time) * M) + 1
        assert slope * place + intercept == pytest.approx(_exact(place, time), abs=0.02 * spread)


def _denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    return target.split("flow", PROCESS, _exact(z, t.view(-1, 1, 1)), z, t)


def _error(name: str, steps: int) -> float:
    """Against the closed form: the flow moves N(0, 1) to N(M, S^2 + sigma_min^2), keeping the order."""
    z = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = solvers.solve(name, PROCESS, _denoise, z, steps)
    return float((result - (M + math.hypot(S, SIGMA) * z)).abs().mean())


def test_solvers_follow_the_flow_in_their_order() -> None:
    euler, midpoint = ([_error(name, n) for n in (20, 40)] for name in ("euler", "midpoint"))
    assert 0.8 < np.log2(euler[0] / euler[1]) < 1.2 and np.log2(midpoint[0] / midpoint[1]) > 1.7
    assert midpoint[1] < euler[1] / 5


def test_euler_is_ddim_on_straight_lines() -> None:
    assert _error("ddim", 7) == pytest.approx(_error("euler", 7), rel=1e-3)


@pytest.mark.parametrize("name", solvers.STRAIGHT)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_lines_of_one_point_are_followed_in_any_number_of_steps(name: str, steps: int) -> None:
    """All data in one point: every line is the flow itself, and each step costs one evaluation."""
    process, calls = OptimalTransport(sigma_min=0.0), []

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(float(t[0]))
        data = torch.full_like(z, M)
        return data, (z - (1 - t.view(-1, 1, 1)) * data) / t.view(-1, 1, 1)

    z = torch.randn(1, 9, 1, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        solvers.solve(name, process, denoise, z, steps), torch.full_like(z, M), atol=1e-6, rtol=1e-6
    )
    assert calls == pytest.approx([1 - i / steps for i in range(steps)], abs=1e-6)


@pytest.mark.parametrize("name", solvers.STRAIGHT)
def test_arrays_and_tensors_agree(name: str) -> None:
    weight = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32) / 3
    z = np.random.default_rng(2).normal(size=(2, 11, 6)).astype(np.float32)

    def run(convert: Any) -> Any:
        w = convert(weight)
        return solvers.solve(
            name, PROCESS, lambda z, t: target.split("flow", PROCESS, z @ w, z, t), convert(z), 5
        )

    array, tensor = run(np.asarray), run(torch.from_numpy).numpy()
    assert array.dtype == np.float32
    assert np.abs(array - tensor).max() < 1e-4 * np.abs(tensor).max()


def test_midpoint_of_the_diffusion_process_is_of_second_order() -> None:
    process = MeanReverting()

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, s = process.alpha(t).view(-1, 1, 1), process.sigma(t).view(-1, 1, 1)
        data = M + a * S**2 / (a**2 * S**2 + s**2) * (z - a * M)
        return data, (z - a * data) / s

    z = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    a, s = float(process.alpha(one)), float(process.sigma(one))
    expected = M + S * (z - a * M) / math.sqrt(a * a * S * S + s * s)
    errors = [
        float((solvers.solve("midpoint", process, denoise, z, n) - expected).abs().mean()) for n in (80, 160)
    ]
    assert np.log2(errors[0] / errors[1]) > 1.5


def test_what_does_not_fit_is_refused() -> None:
    process: Schedule = PROCESS
    z = torch.zeros(1, 1, 1)
    for name in ("dpm2m", "ancestral"):
        with pytest.raises(UserError, match=f'"{name}" is not for models of flow matching'):
            solvers.solve(name, process, _denoise, z, 4)
    with pytest.raises(ValueError, match="optimal transport"):
        target.make("flow", MeanReverting(), z, z, torch.ones(1))
    with pytest.raises(ValueError, match="sigma_min"):
        OptimalTransport(sigma_min=1.0)
