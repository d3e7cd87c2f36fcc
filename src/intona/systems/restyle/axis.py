"""Prosody axes of a frozen voice: the direction of the noise that raises the pitch or level of a sentence.

log F0 of a frame is nearly linear in z, so ridge regression on speech of the voice predicts it. The gradient
of that prediction with respect to an offset of the noise that all frames share is a direction in the prior.
A push along it changes the pitch of a sentence but not its noise, durations or words; pushes that follow the
predicted contour change its range. The level of a frame has an axis of the same kind. Only the regression is
fitted. This is our addition; the paper has no such axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intona.audio import Audio
from intona.audio.pitch import energy
from intona.encoders.style import LOUD_DB, contour_of
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.restyle.vits import Prior, VitsSpace

SENTENCES = 40
RIDGE = 100.0  # frames; z is standardised
FAR = 0.4  # log Hz from the median; a frame farther away is an error of the pitch tracker
FEWEST = 500  # frames
Attribute = Literal["pitch", "level"]


@dataclass(frozen=True, kw_only=True)
class ProsodyAxis:
    """`weights` (C,): log Hz or dB per unit of z. `fit`: R² over the frames that it was fitted on."""

    weights: Tensor
    fit: float

    def push(
        self,
        space: VitsSpace,
        prior: Prior,
        noise: Tensor,
        rise: float,
        *,
        durations: Tensor | None = None,
        scale: float | None = None,
        speakers: Tensor | None = None,
    ) -> Tensor:
        """(1, 1, C), at most √C long: added to `noise` (1, T, C) it raises the attribute by about `rise`."""
        slope, _ = self._slope(space, prior, noise, durations=durations, scale=scale, speakers=speakers)
        return _shortened(rise * slope / slope.square().sum().clamp(min=1e-12))

    def widen(
        self,
        space: VitsSpace,
        prior: Prior,
        noise: Tensor,
        factor: float,
        *,
        durations: Tensor | None = None,
        scale: float | None = None,
        speakers: Tensor | None = None,
    ) -> Tensor:
        """(1, T, C), each frame at most √C long: added to `noise` it stretches the contour around its mean.

        The deviation of the predicted attribute from its mean over the frames grows by about `factor`; 0
        flattens the contour. Deviations of more than FAR count as FAR: where nothing is voiced, the
        prediction of log F0 extrapolates.
        """
        slope, predicted = self._slope(
            space, prior, noise, durations=durations, scale=scale, speakers=speakers
        )
        deviation = (predicted - predicted.mean()).clamp(-FAR, FAR)
        unit = slope / slope.square().sum().clamp(min=1e-12)
        return _shortened((factor - 1) * deviation[None, :, None] * unit)

    def _slope(
        self, space: VitsSpace, prior: Prior, noise: Tensor, **options: Tensor | float | None
    ) -> tuple[Tensor, Tensor]:
        """The gradient (1, 1, C) of the mean with respect to a shared offset; the prediction (T,)."""
        with torch.enable_grad():
            common = torch.zeros(1, 1, noise.shape[2], requires_grad=True)
            z, _ = space.latents(prior, noise + common, **options)  # type: ignore[arg-type]
            predicted = z[0] @ self.weights
            (slope,) = torch.autograd.grad(predicted.mean(), common)
        return slope, predicted.detach()


def _shortened(push: Tensor) -> Tensor:
    """Where the voice hardly changes the attribute, the push stays as short as the noise itself."""
    longest = float(push.shape[2] ** 0.5)
    return push * (longest / push.norm(dim=2, keepdim=True).clamp(min=1e-12)).clamp(max=1.0)


@torch.no_grad()
def fit_axis(
    space: VitsSpace,
    texts: Sequence[tuple[str, str]],
    *,
    seed: int = 0,
    speakers: Tensor | None = None,
    attribute: Attribute = "pitch",
) -> ProsodyAxis:
    """Fit the axis on speech of the first SENTENCES of `texts` (id, text) that the voice can speak.

    Not in inference mode, and neither is `push`, which needs a gradient.

    Args:
        attribute: log F0 of the voiced frames, or the level in dB of the loud ones.

    Raises:
        UserError: fewer than FEWEST such frames.
    """
    row = None if speakers is None else int(speakers[0])
    states, values = [], []
    for id, text in texts[:SENTENCES]:
        try:
            ids = space.tokens(text)
            random = ItemRandom(seed, -3, [id])
            prior = space.prior_of(ids, random, speakers=speakers)
            noise = random.normal([int(prior.durations.sum())], space.channels)
            z = space.latents(prior, noise, speakers=speakers)[0][0]
            used, value = _measured(space.sound(z, speaker=row), 1 / space.frame_rate, attribute, len(z))
        except UserError:
            continue
        states.append(z.numpy()[: len(used)][used])
        values.append(value)
    x, y = (np.concatenate(a) if a else np.zeros(0) for a in (states, values))
    near = (
        np.abs(y - np.median(y)) < (FAR if attribute == "pitch" else LOUD_DB) if len(y) else np.zeros(0, bool)
    )
    if near.sum() < FEWEST:
        kind = "voiced" if attribute == "pitch" else "loud"
        raise UserError(f"{int(near.sum())} {kind} frames in the speech of the voice, fewer than {FEWEST}")
    x, y = x[near], y[near]
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-6)
    a, b = (x - centre) / spread, y - y.mean()
    weights = np.linalg.solve(a.T @ a + RIDGE * np.eye(a.shape[1]), a.T @ b)
    fit = 1 - float(np.square(b - a @ weights).sum() / np.square(b).sum())
    return ProsodyAxis(weights=torch.from_numpy((weights / spread).astype(np.float32)), fit=fit)


def _measured(audio: Audio, hop: float, attribute: Attribute, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the first `most` frames count (bool), and the attribute of those."""
    if attribute == "pitch":
        f0 = contour_of(audio, hop).f0[:most]
        return f0 > 0, np.log(f0[f0 > 0])
    level = energy(audio, hop)[:most]
    loud = level > level.max() - LOUD_DB
    return loud, level[loud].astype(np.float64)
