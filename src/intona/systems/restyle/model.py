"""The restyling model: Z_text and a style to Z_audio; its loss and guided sampling.

Palette (Saharia et al. 2022) predicts v of the noisy Z_audio given Z_text; the bridge (I2SB) goes from Z_text
to Z_audio. Both are trained with the style dropped from a tenth of the items and sampled with classifier-free
guidance. Processes, targets and solvers are those of `diffusion/`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from intona.diffusion import solvers, target
from intona.diffusion.bridge import Bridge
from intona.diffusion.guidance import check_scale, guide, keep_condition
from intona.diffusion.process import Cosine
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.nn.masks import length_mask
from intona.nn.random import ItemRandom
from intona.systems.restyle import network
from intona.systems.restyle.config import RestyleConfig


class Restyle(nn.Module):
    """See the module. All latents are (B, T, C) in the units of the voice and are standardized inside."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: RestyleConfig) -> None:
        super().__init__()
        self.config = config
        self.network = network.build(config)
        self.cosine = Cosine()
        self.bridge = Bridge(interval=config.interval, beta_max=config.beta_max, ot_ode=config.ot_ode)
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set the mean and standard deviation (C,) of Z_audio, which are used with `normalize` alone.

        Z_text is standardized by the same statistics, because the bridge needs both ends in one space.
        """
        if self.config.normalize:
            self.mean.copy_(mean)
            self.std.copy_(std.clamp(min=1e-3))

    def _inside(self, z: Tensor, mask: Tensor) -> Tensor:
        return (z - self.mean) / self.std * mask[..., None]

    def losses(
        self, z_text: Tensor, z_audio: Tensor, frames: Tensor, style: Tensor, random: ItemRandom
    ) -> Losses:
        """One term, "latent": the squared error over the real frames, or the whole canvas if unmasked.

        Args:
            z_text, z_audio: (B, T, C) of equal length per item; values after `frames` (B,) are ignored.
            style: (B, S).
        """
        config = self.config
        z_text, z_audio, frames = _window(z_text, z_audio, frames, random, config.segment)
        if (
            not config.masked
        ):  # the paper's canvas: zero-padded to its full width, padding included in the loss
            z_text, z_audio = (_canvas(z, config.segment) for z in (z_text, z_audio))
        valid = length_mask(frames, z_text.shape[1]).to(z_text.device)
        x1, x0 = self._inside(z_text, valid), self._inside(z_audio, valid)
        mask = valid if config.masked else torch.ones_like(valid)
        lengths = frames.tolist() if config.masked else [config.segment] * len(frames)
        noise = random.normal(lengths, config.channels).to(x0)
        u, keep = random.uniform(), keep_condition(random.uniform(), config.drop).to(x0.device)
        style = self._partial(style, random)
        if config.process == "palette":
            t = u.to(x0.device)
            if config.noise == "uniform":
                noise = torch.special.ndtr(noise)  # the normal CDF: uniform in (0, 1)
            x = self.cosine.perturb(x0, t, noise)
            goal = target.make(config.target, self.cosine, x0, noise, t)
            out = self.network(x, x1, t, style, keep, mask, valid)
        else:
            start = x1 + random.normal(lengths, config.channels).to(x1) if config.x1_noise else x1
            index = (u * config.interval).long().clamp(0, config.interval - 1)
            x = self.bridge.sample(x0, start, index, noise)
            goal = self.bridge.target(x0, x, index)
            out = self._bridge_network(x, x1, index, style, keep, mask, valid)
        error = (out.float() - goal.float()).square() * mask[..., None]
        count = mask.sum() * config.channels
        return Losses(parts={"latent": Part(total=error.sum(), count=count)})

    def _partial(self, style: Tensor, random: ItemRandom) -> Tensor:
        """Drop some attributes: their values and flags become zero, as in a partial description."""
        if not self.config.partial:
            return style
        half = style.shape[1] // 2
        drops = torch.stack([random.uniform() for _ in range(half)], dim=1) < self.config.partial
        return style * (~torch.cat([drops, drops], dim=1)).to(style)

    def _bridge_network(
        self,
        x: Tensor,
        x1: Tensor,
        index: Tensor,
        style: Tensor,
        keep: Tensor,
        mask: Tensor,
        valid: Tensor,
    ) -> Tensor:
        text = x1 if self.config.see_text else None
        return self.network(x, text, self.bridge.time(index).to(x.device), style, keep, mask, valid)

    @torch.inference_mode()
    def sample(
        self,
        z_text: Tensor,
        frames: Tensor,
        style: Tensor,
        *,
        guidance: float = 1.0,
        steps: int = 10,
        noise: ItemRandom,
    ) -> Tensor:
        """Z_audio for a text and a style.

        Unmasked, the whole canvas is sampled as in training: `segment` frames, or the longest text if longer.

        Args:
            z_text: (B, T, C); style (B, S).
            guidance: 0 ignores the style, 1 follows it as trained, more exaggerates it.
            steps: evaluations of the network (twice as many with guidance other than 0 and 1).
            noise: random numbers of the items.

        Returns:
            (B, T, C), zero after the end of each item.

        Raises:
            UserError: guidance or steps out of range.
        """
        check_scale(guidance)
        if not 1 <= steps <= 1000:
            raise UserError(f"{steps} is not between 1 and 1000", where="steps")
        size, whole = len(z_text), z_text.shape[1]
        if not self.config.masked:
            z_text = _canvas(z_text, max(self.config.segment, whole))
        valid = length_mask(frames, z_text.shape[1])
        x1 = self._inside(z_text, valid)
        mask = valid if self.config.masked else torch.ones_like(valid)
        lengths = mask.sum(1).tolist()

        def draw() -> Tensor:
            drawn = noise.normal(lengths, self.config.channels).to(x1)
            return nn.functional.pad(drawn, (0, 0, 0, x1.shape[1] - drawn.shape[1]))

        if self.config.process == "palette":

            def denoise(z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
                t = t.to(z.device)

                def guess(keep: Tensor) -> Tensor:
                    return self.network(z, x1, t, style, keep.to(z.device), mask, valid)

                out = guide(guess, guidance, size)
                return target.split(self.config.target, self.cosine, out, z, t)

            x = solvers.solve("ddim", self.cosine, denoise, draw(), steps)
        else:

            def predict(z: Tensor, index: Tensor) -> Tensor:
                def guess(keep: Tensor) -> Tensor:
                    return self._bridge_network(z, x1, index, style, keep.to(z.device), mask, valid)

                return guide(guess, guidance, size)

            start = x1 + draw() if self.config.x1_noise else x1
            x = self.bridge.solve(predict, start, steps, draw)
        return ((x * self.std + self.mean) * valid[..., None])[:, :whole]


def _window(
    z_text: Tensor, z_audio: Tensor, frames: Tensor, random: ItemRandom, segment: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The same random window of at most `segment` frames of both."""
    place = random.uniform()
    if int(frames.max()) <= segment:
        return z_text, z_audio, frames
    first = (place * (frames - segment + 1).clamp(min=1)).long()
    index = (first[:, None] + torch.arange(segment)[None]).clamp(max=z_text.shape[1] - 1)
    index = index.to(z_text.device)[..., None].expand(-1, -1, z_text.shape[2])
    return z_text.gather(1, index), z_audio.gather(1, index), frames.clamp(max=segment)


def _canvas(z: Tensor, size: int) -> Tensor:
    return nn.functional.pad(z, (0, 0, 0, size - z.shape[1]))
