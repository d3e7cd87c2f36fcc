"""The pitch axis of a frozen voice: which way its noise must go for all of a sentence to sound higher.

log F0 of a frame is nearly linear in z, so ridge regression on the voice's own speech reads it; the gradient
of that reading with respect to noise that all frames have in common is a direction in the prior. A push along
it moves the pitch of a sentence and leaves its noise, its durations and its words. Nothing is trained but the
regression. Ours: the paper has no such thing.
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
FAR = 0.4  # log Hz from the median, beyond which a frame is a slip of the tracker
FEWEST = 500  # voiced frames


@dataclass(frozen=True, kw_only=True)
class PitchAxis:
    """`weights` (C,): log Hz a unit of z; `fit` is R² over the frames it was fitted on."""

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
        """(1, 1, C) to add to `noise` (1, T, C): log F0 rises by `rise`, to first order; at most √C long."""
        with torch.enable_grad():
            common = torch.zeros(1, 1, noise.shape[2], requires_grad=True)
            z, _ = space.latents(prior, noise + common, durations=durations, scale=scale, speakers=speakers)
            (slope,) = torch.autograd.grad((z[0] @ self.weights).mean(), common)
        push = rise * slope / slope.square().sum().clamp(min=1e-12)
        # A voice that hardly answers is pushed no farther than the noise itself reaches.
        return push * min(1.0, float(noise.shape[2] ** 0.5 / push.norm().clamp(min=1e-12)))


@torch.no_grad()
def fit_axis(
    space: VitsSpace, texts: Sequence[tuple[str, str]], *, seed: int = 0, speakers: Tensor | None = None
) -> PitchAxis:
    """From the first SENTENCES of `texts` (id, text) that the voice can say.

    Not to be called in inference mode: nor is `push`, which takes a gradient.

    Raises:
        UserError: too little of it is voiced.
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
        heard = f0 > 0
        states.append(z.numpy()[: len(f0)][heard])
        pitches.append(np.log(f0[heard]))
    x, y = (np.concatenate(a) if a else np.zeros(0) for a in (states, pitches))
    near = np.abs(y - np.median(y)) < FAR if len(y) else np.zeros(0, bool)
    if near.sum() < FEWEST:
        raise UserError(f"{int(near.sum())} voiced frames in what the voice said; {FEWEST} are the least")
    x, y = x[near], y[near]
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-6)
    a, b = (x - centre) / spread, y - y.mean()
    weights = np.linalg.solve(a.T @ a + RIDGE * np.eye(a.shape[1]), a.T @ b)
    fit = 1 - float(np.square(b - a @ weights).sum() / np.square(b).sum())
    return PitchAxis(weights=torch.from_numpy((weights / spread).astype(np.float32)), fit=fit)
