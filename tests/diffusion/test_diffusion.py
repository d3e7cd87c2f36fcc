"""Process, targets and solvers against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp
from torch import Tensor

from intona.diffusion import solvers, target
from intona.diffusion.process import MeanReverting
from intona.errors import UserError

PROCESS = MeanReverting()


@pytest.mark.parametrize("t", [1e-4, 0.1, 0.5, 1.0])
def test_marginal_solves_the_sde(t: float) -> None:
    beta = lambda s: 0.05 + 19.95 * s  # noqa: E731
    x0, mu = 2.0, -1.0
    # Moments of dX = (mu - X) beta/2 dt + sqrt(beta) dW: m' = (mu - m) beta/2, v' = -beta v + beta.
    moments = solve_ivp(
        lambda s, y: [(mu - y[0]) * beta(s) / 2, -beta(s) * y[1] + beta(s)],
        (0, t),
        [x0, 0.0],
        rtol=1e-10,
        atol=1e-12,
    ).y[:, -1]
    time = torch.tensor([t], dtype=torch.float64)
    mean = PROCESS.perturb(torch.tensor([[[x0]]]), torch.tensor([[[mu]]]), time.float(), torch.zeros(1, 1, 1))
    assert float(mean) == pytest.approx(moments[0], abs=2e-6)
    assert float(PROCESS.sigma(time)) ** 2 == pytest.approx(moments[1], abs=1e-9)
    assert float(PROCESS.integral(time)) == pytest.approx(quad(beta, 0, t)[0], rel=1e-12)


def test_time_of_lambda_inverts() -> None:
    t = torch.linspace(1e-3, 1, 50, dtype=torch.float64)
    torch.testing.assert_close(
        solvers.time_of_lambda(PROCESS, PROCESS.log_snr_half(t)), t, atol=1e-9, rtol=1e-7
    )


@given(st.sampled_from(["noise", "data", "velocity"]), st.floats(0.02, 0.98))
def test_targets_give_back_data_and_noise(name: target.Target, time: float) -> None:
    g = torch.Generator().manual_seed(0)
    z0, noise = (torch.randn(2, 5, 3, generator=g, dtype=torch.float64) for _ in range(2))
    t = torch.full((2,), time, dtype=torch.float64)
    z = PROCESS.perturb(z0, torch.zeros_like(z0), t, noise)
    data, eps = target.split(name, PROCESS, target.make(name, PROCESS, z0, noise, t), z, t)
    torch.testing.assert_close(data, z0, atol=1e-7, rtol=1e-7)
    torch.testing.assert_close(eps, noise, atol=1e-7, rtol=1e-7)


def test_velocity_is_the_rotation_of_salimans_and_ho() -> None:
    # At the time where alpha = sigma = 1/sqrt(2): v = (eps - z0) / sqrt(2).
    t = solvers.time_of_lambda(PROCESS, torch.zeros(1, dtype=torch.float64))
    v = target.make("velocity", PROCESS, torch.full((1, 1, 1), 3.0), torch.full((1, 1, 1), 5.0), t)
    assert float(v) == pytest.approx(2 / math.sqrt(2), rel=1e-6)


M, S = 1.5, 0.3  # data N(M, S^2)


def _gaussian(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The exact denoiser of Gaussian data."""
    a, s = PROCESS.alpha(t).view(-1, 1, 1), PROCESS.sigma(t).view(-1, 1, 1)
    data = M + a * S**2 / (a**2 * S**2 + s**2) * (z - a * M)
    return data, (z - a * data) / s


def _error(name: str, steps: int) -> float:
    """Against the closed form: the ODE keeps (z_t - alpha_t M) / sqrt(alpha_t^2 S^2 + sigma_t^2) constant."""
    g = torch.Generator().manual_seed(1)
    z = torch.randn(1, 200, 1, generator=g)
    one = torch.ones(1)
    a, s = float(PROCESS.alpha(one)), float(PROCESS.sigma(one))
    want = M + S * (z - a * M) / math.sqrt(a * a * S * S + s * s)
    return float((solvers.solve(name, PROCESS, _gaussian, z, steps) - want).abs().mean())


@pytest.mark.parametrize("name", ["euler", "dpm2m"])
def test_solvers_converge_to_the_closed_form(name: str) -> None:
    errors = [_error(name, n) for n in (10, 40, 160)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


def test_high_order_reaches_fifty_euler_steps_in_ten() -> None:
    assert _error("dpm2m", 10) < _error("euler", 50)


def test_dpm2m_is_second_order() -> None:
    e = [_error("dpm2m", n) for n in (40, 80)]
    assert np.log2(e[0] / e[1]) > 1.5


def test_solver_errors() -> None:
    with pytest.raises(UserError, match="did you mean"):
        solvers.solve("eulr", PROCESS, _gaussian, torch.zeros(1, 1, 1), 5)
    with pytest.raises(UserError, match="0 diffusion steps"):
        solvers.solve("euler", PROCESS, _gaussian, torch.zeros(1, 1, 1), 0)
