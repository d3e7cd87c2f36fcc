"""The pitch axis of a frozen voice: the direction of the noise that raises the pitch of a whole sentence.

log F0 of a frame is nearly linear in z, so ridge regression on speech of the voice predicts it. The gradient
of that prediction with respect to an offset of the noise that all frames share is a direction in the prior.
A push along it changes the pitch of a sentence but not its noise, durations or words. Only the regression is
fitted. This is our addition; the paper has no such axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from intona.encoders.style import contour_of
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.restyle.vits import Prior, VitsSpace

SENTENCES = 40
RIDGE = 100.0  # frames; z is standardised
FAR = 0.4  # log Hz from the median; a frame farther away is an error of the pitch tracker
FEWEST = 500  # voiced frames


@dataclass(frozen=True, kw_only=True)
class PitchAxis:
    """`weights` (C,): log Hz per unit of z. `fit`: R² over the frames that it was fitted on."""

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
        """(1, 1, C), at most √C long: added to `noise` (1, T, C) it raises log F0 by about `rise`."""
        with torch.enable_grad():
            common = torch.zeros(1, 1, noise.shape[2], requires_grad=True)
            z, _ = space.latents(prior, noise + common, durations=durations, scale=scale, speakers=speakers)
            (slope,) = torch.autograd.grad((z[0] @ self.weights).mean(), common)
        push = rise * slope / slope.square().sum().clamp(min=1e-12)
        # The pitch of some voices hardly changes; the push stays as short as the noise itself.
        return push * min(1.0, float(noise.shape[2] ** 0.5 / push.norm().clamp(min=1e-12)))


@torch.no_grad()
def fit_axis(
    space: VitsSpace, texts: Sequence[tuple[str, str]], *, seed: int = 0, speakers: Tensor | None = None
) -> PitchAxis:
    """Fit the axis on speech of the first SENTENCES of `texts` (id, text) that the voice can speak.

    Not in inference mode, and neither is `push`, which needs a gradient.

    Raises:
        UserError: fewer than FEWEST voiced frames.
    """
    row = None if speakers is None else int(speakers[0])
    states, pitches = [], []
    for id, text in texts[:SENTENCES]:
        try:
            ids = space.tokens(text)
            random = ItemRandom(seed, -3, [id])
            prior = space.prior_of(ids, random, speakers=speakers)
            noise = random.normal([int(prior.durations.sum())], space.channels)
            z = space.latents(prior, noise, speakers=speakers)[0][0]
            f0 = contour_of(space.sound(z, speaker=row), 1 / space.frame_rate).f0[: len(z)]
        except UserError:
            continue
        voiced = f0 > 0
        states.append(z.numpy()[: len(f0)][voiced])
        pitches.append(np.log(f0[voiced]))
    x, y = (np.concatenate(a) if a else np.zeros(0) for a in (states, pitches))
    near = np.abs(y - np.median(y)) < FAR if len(y) else np.zeros(0, bool)
    if near.sum() < FEWEST:
        raise UserError(f"{int(near.sum())} voiced frames in the speech of the voice, fewer than {FEWEST}")
    x, y = x[near], y[near]
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-6)
    a, b = (x - centre) / spread, y - y.mean()
    weights = np.linalg.solve(a.T @ a + RIDGE * np.eye(a.shape[1]), a.T @ b)
    fit = 1 - float(np.square(b - a @ weights).sum() / np.square(b).sum())
    return PitchAxis(weights=torch.from_numpy((weights / spread).astype(np.float32)), fit=fit)
