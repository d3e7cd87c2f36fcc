"""I2SB, v-diffusion, DDIM and guidance against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from intona.diffusion import solvers, target
from intona.diffusion.bridge import Bridge
from intona.diffusion.guidance import guide, keep_condition
from intona.diffusion.process import Cosine, MeanReverting
from intona.errors import UserError


def test_betas_are_the_published_schedule() -> None:
    bridge = Bridge(interval=1000, beta_max=0.3)
    rising = np.linspace(math.sqrt(1e-4), math.sqrt(0.3 / 1000), 1000) ** 2
    assert np.allclose(bridge.betas, np.concatenate([rising[:500], rising[:500][::-1]]), rtol=1e-12)
    assert torch.equal(bridge.betas, bridge.betas.flip(0))


@pytest.mark.parametrize("t", [1, 137, 500, 998])
def test_marginal_is_the_bayes_posterior_of_two_walks(t: int) -> None:
    """x_t given both ends of Brownian motion: by conditioning a joint Gaussian, not by the formula."""
    bridge = Bridge()
    f2, b2 = float(bridge.std_fwd[t]) ** 2, float(bridge.std_bwd[t]) ** 2
    # x_t = x_0 + N(0, f2), x_1 = x_t + N(0, b2): covariance of (x_t, x_1) given x_0.
    gain = f2 / (f2 + b2)
    x0, x1 = 0.7, -1.3
    w0, w1, var = (float(v) for v in bridge.marginal(torch.tensor(t)))
    assert w0 * x0 + w1 * x1 == pytest.approx(x0 + gain * (x1 - x0), abs=1e-12)
    assert var == pytest.approx(f2 - gain * f2, rel=1e-9)


def test_sampled_marginal_has_its_moments() -> None:
    bridge, n = Bridge(beta_max=1.0), 200_000
    g = torch.Generator().manual_seed(0)
    t = torch.full((n,), 400)
    x = bridge.sample(torch.ones(n, 1), -torch.ones(n, 1), t, torch.randn(n, 1, generator=g))
    w0, w1, var = (float(v) for v in bridge.marginal(torch.tensor(400)))
    assert float(x.mean()) == pytest.approx(w0 - w1, abs=5 * math.sqrt(var / n))
    assert float(x.var()) == pytest.approx(var, rel=0.02)


def test_posterior_steps_back_to_the_marginal() -> None:
    """q(x_s | x_0, x_1) = E_{x_t} q(x_s | x_t, x_0): stepping from the marginal at t gives that at s."""
    bridge, n = Bridge(beta_max=1.0), 200_000
    g = torch.Generator().manual_seed(1)
    x0, x1 = torch.full((n, 1), 0.5), torch.full((n, 1), 2.0)
    xt = bridge.sample(x0, x1, torch.full((n,), 700), torch.randn(n, 1, generator=g))
    xs = bridge.posterior(200, 700, x0, xt, torch.randn(n, 1, generator=g))
    w0, w1, var = (float(v) for v in bridge.marginal(torch.tensor(200)))
    assert float(xs.mean()) == pytest.approx(0.5 * w0 + 2 * w1, abs=0.01)
    assert float(xs.var()) == pytest.approx(var, rel=0.02)


@pytest.mark.parametrize("ode", [True, False])
@pytest.mark.parametrize("steps", [1, 7, 999])
def test_a_perfect_network_arrives_at_the_data(ode: bool, steps: int) -> None:
    bridge = Bridge(ot_ode=ode)
    g = torch.Generator().manual_seed(0)
    x0, x1 = torch.randn(2, 5, 3, generator=g), torch.randn(2, 5, 3, generator=g)
    calls = []

    def predict(x: Tensor, t: Tensor) -> Tensor:
        calls.append(int(t[0]))
        return bridge.target(x0, x, t)

    out = bridge.solve(predict, x1, steps, lambda: torch.randn(x1.shape, generator=g))
    assert len(calls) == steps and calls[0] == 999
    # The first index is not exactly the data: std_fwd[0] = 0.01 of the walk is left.
    assert torch.allclose(out, x0, atol=0.2 if steps == 999 else 0.05)


def test_ot_ode_path_stays_on_the_straight_line() -> None:
    bridge = Bridge(ot_ode=True)
    x0, x1 = torch.zeros(1, 4), torch.ones(1, 4)
    middle = bridge.posterior(300, 999, x0, x1, None)
    share = (bridge.std_fwd[300] / bridge.std_fwd[999]) ** 2
    assert torch.allclose(middle, torch.full((1, 4), float(share)))


def test_target_and_data_are_inverse() -> None:
    bridge = Bridge()
    x0, x1 = torch.randn(3, 6), torch.randn(3, 6)
    t = torch.tensor([5, 500, 999])
    xt = bridge.sample(x0, x1, t, torch.randn(3, 6))
    assert torch.allclose(bridge.data(bridge.target(x0, xt, t), xt, t), x0, atol=1e-5)


@pytest.mark.parametrize("interval", [1, 3])
def test_odd_intervals_are_refused(interval: int) -> None:
    with pytest.raises(ValueError, match="even"):
        Bridge(interval=interval)


def test_cosine_is_variance_preserving_and_ends_in_pure_noise() -> None:
    t = torch.linspace(0, 1, 101)
    process = Cosine()
    assert torch.allclose(process.alpha(t) ** 2 + process.sigma(t) ** 2, torch.ones(101), atol=1e-6)
    assert torch.allclose(process.alpha(t), torch.cos(math.pi * t / 2), atol=1e-6)
    assert process.alpha(t)[-1] == 0 and process.alpha(t)[0] == 1 and process.sigma(t)[0] == 0


def test_velocity_is_the_derivative_of_the_path() -> None:
    """v = a eps - b x_0 is dz/dphi with phi = pi t / 2."""
    process = Cosine()
    x0, eps = torch.randn(1, 8, dtype=torch.float64), torch.randn(1, 8, dtype=torch.float64)
    t, h = torch.tensor([0.37], dtype=torch.float64), 1e-6
    slope = (process.perturb(x0, t + h, eps) - process.perturb(x0, t - h, eps)) / (math.pi * h)
    assert torch.allclose(target.make("velocity", process, x0, eps, t), slope, atol=1e-8)


@pytest.mark.parametrize("steps", [1, 4, 50])
@pytest.mark.parametrize("process", [Cosine(), MeanReverting()])
def test_ddim_with_a_perfect_network_gives_the_data(process: Cosine | MeanReverting, steps: int) -> None:
    x0, eps = torch.randn(2, 5, 3), torch.randn(2, 5, 3)

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        v = target.make("velocity", process, x0, eps, t)
        return target.split("velocity", process, v, z, t)

    start = process.alpha(torch.ones(1)) * x0 + process.sigma(torch.ones(1)) * eps
    assert torch.allclose(solvers.solve("ddim", process, denoise, start, steps), x0, atol=1e-4)


@pytest.mark.parametrize("start", [1.0, 0.6, 0.1])
def test_ddim_follows_the_exact_flow_of_gaussian_data(start: float) -> None:
    """Data N(m, s^2): z_t is N(a m, a^2 s^2 + b^2), and the flow keeps its standard score."""
    m, s, process = 1.5, 0.4, Cosine()

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, b = float(process.alpha(t[:1])), float(process.sigma(t[:1]))
        var = (a * s) ** 2 + b**2
        data = m + a * s**2 / var * (z - a * m)
        return data, (z - a * data) / b

    z = torch.linspace(-2, 2, 9)[None, :, None]
    out = solvers.solve("ddim", process, denoise, z, 400, start=start)
    a, b = process.alpha(torch.tensor(start)), process.sigma(torch.tensor(start))
    assert torch.allclose(out, m + s * (z - a * m) / torch.hypot(a * s, b), atol=5e-3)


@pytest.mark.parametrize("process", [Cosine(), MeanReverting()])
def test_ancestral_steps_are_draws_from_the_posterior(process: Cosine | MeanReverting) -> None:
    """With the data known, z_s is drawn from q(z_s | z_t, x_0) (Kingma et al. 2021, eq. 25)."""
    x0, z1, noise = (torch.randn(3, 4, 2) for _ in range(3))

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x0, (z - process.alpha(t[:1]) * x0) / process.sigma(t[:1])

    drawn = iter([noise, torch.zeros_like(noise)])
    middle = []

    def watched(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        middle.append((z, t))
        return denoise(z, t)

    solvers.solve("ancestral", process, watched, z1, 2, start=0.8, noise=lambda: next(drawn))
    t, s = (torch.tensor(v) for v in (0.8, 0.4))
    between = process.alpha(t) / process.alpha(s)
    var = process.sigma(t) ** 2 - between**2 * process.sigma(s) ** 2  # of z_t given z_s
    ratio = process.sigma(s) ** 2 / process.sigma(t) ** 2
    mean = between * ratio * z1 + process.alpha(s) * var / process.sigma(t) ** 2 * x0
    assert torch.allclose(middle[1][1], torch.full((3,), 0.4))
    assert torch.allclose(middle[1][0], mean + (var * ratio).sqrt() * noise, atol=1e-5)


def test_ancestral_sampling_keeps_the_spread_of_gaussian_data_and_less_noise_narrows_it() -> None:
    m, s, process, g = 1.5, 0.4, Cosine(), torch.Generator().manual_seed(0)

    def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, b = float(process.alpha(t[:1])), float(process.sigma(t[:1]))
        data = m + a * s**2 / ((a * s) ** 2 + b**2) * (z - a * m)
        return data, (z - a * data) / b

    def spread(temperature: float) -> tuple[float, float]:
        def noise() -> Tensor:
            return temperature * torch.randn(1, 20_000, 1, generator=g)

        out = solvers.solve("ancestral", process, denoise, noise(), 100, noise=noise)
        return float(out.mean()), float(out.std())

    assert spread(1.0) == pytest.approx((m, s), abs=0.015)
    mean, narrow = spread(0.5)
    assert mean == pytest.approx(m, abs=0.015) and narrow == pytest.approx(s / 2, abs=0.015)


def test_ancestral_needs_noise() -> None:
    with pytest.raises(UserError, match="needs noise"):
        solvers.solve("ancestral", Cosine(), lambda z, t: (z, z), torch.zeros(1, 1, 1), 2)


def test_other_solvers_refuse_the_cosine_schedule() -> None:
    with pytest.raises(UserError, match="ddim"):
        solvers.solve("euler", Cosine(), lambda z, t: (z, z), torch.zeros(1, 1, 1), 2)


@pytest.mark.parametrize(("name", "start"), [("ddim", 0.0), ("ddim", 1.5), ("euler", 0.5)])
def test_a_start_that_a_solver_cannot_take_is_refused(name: str, start: float) -> None:
    with pytest.raises(UserError, match=f"{name} from t = {start:g}"):
        solvers.solve(name, MeanReverting(), lambda z, t: (z, z), torch.zeros(1, 1, 1), 2, start=start)


def test_guidance_at_one_is_the_condition_and_at_zero_is_none() -> None:
    seen = []

    def predict(keep: Tensor) -> Tensor:
        seen.append(keep.tolist())
        return torch.where(keep, 3.0, 1.0)[:, None]

    assert torch.equal(guide(predict, 1, 2), torch.full((2, 1), 3.0))
    assert torch.equal(guide(predict, 0, 2), torch.full((2, 1), 1.0))
    assert len(seen) == 2  # one evaluation each
    assert torch.equal(guide(predict, 2.5, 2), torch.full((2, 1), 1 + 2.5 * 2))


def test_condition_is_dropped_at_its_rate() -> None:
    u = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    assert float((~keep_condition(u, 0.1)).float().mean()) == pytest.approx(0.1, abs=0.004)
    assert bool(keep_condition(u, 0.0).all())
