"""The pitch axis: what is fitted, and what a push does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from intona.audio import Audio
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.restyle import vits
from intona.systems.restyle.axis import ProsodyAxis, fit_axis

RATE, HOP, CHANNELS = 22050, 256, 6


class Singer:
    """A voice whose log F0 is log 140 + 0.1 of the first channel of z, and z its noise."""

    channels, frame_rate = CHANNELS, RATE / HOP

    def __init__(self, loud: float = 0.2) -> None:
        self.loud = loud

    def tokens(self, text: str) -> torch.Tensor:
        return torch.arange(len(text))

    def prior_of(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(durations=torch.tensor([[120]]))

    def latents(self, _: Any, noise: torch.Tensor, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        # Slow in time, so that a pitch tracker can follow.
        smooth = torch.nn.functional.avg_pool1d(noise.transpose(1, 2), 41, 1, 20).transpose(1, 2)
        return 4 * smooth, torch.tensor([noise.shape[1]])

    def sound(self, z: torch.Tensor, **_: Any) -> Audio:
        f0 = 140 * np.exp(0.1 * np.repeat(z[:, 0].numpy(), HOP).astype(np.float64))
        phase = 2 * np.pi * np.cumsum(f0) / RATE
        return Audio(self.loud * sum(np.sin(k * phase) / k for k in range(1, 9)), RATE)


def test_the_axis_of_a_voice_that_is_known() -> None:
    axis = fit_axis(Singer(), [(str(k), "abc") for k in range(12)])  # type: ignore[arg-type]
    assert axis.fit > 0.9
    assert axis.weights[0].item() == pytest.approx(0.1, abs=0.01)
    assert axis.weights[1:].abs().max() < 0.01


def test_a_mute_voice_has_none() -> None:
    with pytest.raises(UserError, match="0 voiced frames"):
        fit_axis(Singer(loud=0.0), [("a", "abc")])  # type: ignore[arg-type]


def test_a_push_moves_the_reading_by_the_requested_amount(voice: Path) -> None:
    """To first order, through prior and flow of a real architecture; in one direction for all frames."""
    space = vits.load(str(voice))
    ids = space.tokens("добрый день")
    random = ItemRandom(0, 0, ["a"])
    prior = space.prior(ids[None], torch.tensor([len(ids)]), random.normal([len(ids)], 2).transpose(1, 2))
    noise = random.normal([int(prior.durations.sum())], space.channels)
    generator = torch.Generator().manual_seed(1)
    axis = ProsodyAxis(weights=torch.randn(space.channels, generator=generator), fit=1.0)

    def read(drawn: torch.Tensor) -> float:
        return float((space.latents(prior, drawn)[0][0] @ axis.weights).mean())

    push = axis.push(space, prior, noise, 0.01)
    assert push.shape == (1, 1, space.channels) and not push.requires_grad
    assert read(noise + push) - read(noise) == pytest.approx(0.01, rel=0.05)
    assert torch.allclose(axis.push(space, prior, noise, -0.01), -push)
    # The shortest way: no other direction of that length moves it as far.
    other = torch.randn(1, 1, space.channels, generator=generator)
    assert abs(read(noise + other * push.norm() / other.norm()) - read(noise)) < 0.01


class Line:
    """A voice whose z is a linear map of its noise, frame by frame."""

    def __init__(self) -> None:
        self.map = torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(3))

    def latents(self, _: Any, noise: torch.Tensor, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return noise @ self.map, torch.tensor([noise.shape[1]])


def test_a_contour_is_stretched_around_its_mean() -> None:
    space: Any = Line()
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(1, 50, CHANNELS, generator=generator)
    axis = ProsodyAxis(weights=0.01 * torch.randn(CHANNELS, generator=generator), fit=1.0)

    def contour(drawn: torch.Tensor) -> torch.Tensor:
        return space.latents(None, drawn)[0][0] @ axis.weights

    before = contour(noise)
    for factor in (0.0, 0.5, 1.0, 1.5):
        after = contour(noise + axis.widen(space, None, noise, factor))  # type: ignore[arg-type]
        assert torch.allclose(after, before.mean() + factor * (before - before.mean()), atol=1e-4)
    # A frame is moved by no more than the length of the noise, and counts for no more than FAR.
    far = axis.widen(space, None, noise * 1e4, 100.0)  # type: ignore[arg-type]
    assert far.norm(dim=2).max() <= CHANNELS**0.5 * (1 + 1e-5)


class Crier(Singer):
    """The same voice at a level that follows the second channel of z: 1 dB per unit."""

    def sound(self, z: torch.Tensor, **more: Any) -> Audio:
        gain = 10 ** (np.repeat(z[:, 1].numpy(), HOP).astype(np.float64) / 20)
        flat = z.clone()
        flat[:, 0] = 0
        return Audio((gain * super().sound(flat, **more).samples).astype(np.float32), RATE)


def test_the_axis_of_the_level() -> None:
    texts = [(str(k), "abc") for k in range(12)]
    axis = fit_axis(Crier(0.05), texts, attribute="level")  # type: ignore[arg-type]
    assert axis.fit > 0.8  # the level is of a window of four frames
    assert axis.weights[1].item() == pytest.approx(1, abs=0.15)
    assert axis.weights[[0, 2, 3, 4, 5]].abs().max() < 0.1
