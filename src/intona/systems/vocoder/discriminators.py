"""Discriminators of a vocoder, small enough for a CPU: one resolution and one period are drawn a step.

Multi-resolution (UnivNet, Jang et al. 2021, arXiv 2106.07889) at 16 channels, and multi-period (HiFi-GAN,
Kong et al. 2020, arXiv 2010.05646) at a quarter of its width. Least-squares objectives (Mao et al. 2017) and
feature matching, as in HiFi-GAN.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from intona import config as configs
from intona.vocoder.stft import hann

_SLOPE = 0.1
_QUIET = 1e-3  # least RMS of a segment: quieter ones are not amplified to full level
# Log power of speech at RMS 1, about standardized: the mean and the deviation of recordings' bins.
_LOG_MEAN, _LOG_DEVIATION = -1.5, 1.5


@dataclass(frozen=True, kw_only=True)
class AdversaryConfig:
    """Sizes and weights.

    Attributes:
        adversarial: weight of the generator's objective, 0 = no discriminators at all. features: of feature
            matching. Both are relative to the mel's 1 (HiFi-GAN: 1/45 and 2/45).
        channels: of the multi-resolution discriminators.
        width: of the multi-period ones, as a part of HiFi-GAN's.
        crop: samples of a segment that they judge, 0 = all; where it begins is drawn.
        rate: factor on the learning rate of the discriminators.
        warmup: steps that the discriminators learn before the vocoder learns from them. Each is drawn in
            some of the steps only; before it can tell the two sounds apart, its gradient is noise.
    """

    adversarial: float = 0.0
    features: float = 0.05
    channels: int = 16
    width: float = 0.25
    resolutions: tuple[tuple[int, int], ...] = ((512, 128), (1024, 256), (2048, 512))
    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    crop: int = 8192
    rate: float = 1.0
    warmup: int = 0

    def __post_init__(self) -> None:
        configs.at_least(self, adversarial=0, features=0, channels=1, crop=0, rate=0, warmup=0)
        configs.within(self, width=(0.01, 1))
        if not self.resolutions or not self.periods or min(self.periods) < 1:
            raise ValueError("resolutions and periods must be lists of at least one")


class Resolution(nn.Module):
    """Judges the magnitudes of one STFT. Samples (B, S) to its feature maps, the verdict last."""

    window: Tensor

    def __init__(self, n_fft: int, hop: int, channels: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", hann(n_fft, n_fft), persistent=False)
        shapes = [(1, (3, 9), (1, 1)), *[(channels, (3, 9), (1, 2))] * 3, (channels, (3, 3), (1, 1))]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(c, channels, kernel, stride, padding=(kernel[0] // 2, kernel[1] // 2)))
            for c, kernel, stride in shapes
        )
        self.out = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, samples: Tensor) -> list[Tensor]:
        with torch.autocast(samples.device.type, enabled=False):
            spectrum = torch.fft.rfft(samples.float().unfold(1, self.n_fft, self.hop) * self.window)
            power = (spectrum.real.square() + spectrum.imag.square()) / self.window.square().sum()
            # The logarithm, so that quiet bins are seen at all, and standardized: from magnitudes as they
            # are, discriminators of this size learn nothing in hundreds of steps (ours).
            x = ((power + 1e-5).log10()[:, None] - _LOG_MEAN) / _LOG_DEVIATION
        return _through(self.layers, self.out, x)


class Period(nn.Module):
    """Judges every p-th sample beside its neighbours. Samples (B, S) to feature maps, the verdict last."""

    def __init__(self, period: int, width: float) -> None:
        super().__init__()
        self.period = period
        sizes = [1, *(max(4, round(width * c)) for c in (32, 128, 512, 1024, 1024))]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3 if i < 4 else 1, 1), padding=(2, 0)))
            for i, (a, b) in enumerate(itertools.pairwise(sizes))
        )
        self.out = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, samples: Tensor) -> list[Tensor]:
        x = F.pad(samples[:, None], (0, -samples.shape[1] % self.period), mode="reflect")
        return _through(self.layers, self.out, x.reshape(len(x), 1, -1, self.period))


def _through(layers: nn.ModuleList, out: nn.Module, x: Tensor) -> list[Tensor]:
    maps = []
    for layer in layers:
        x = F.leaky_relu(layer(x), _SLOPE)
        maps.append(x)
    return [*maps, out(x)]


class Discriminators(nn.Module):
    """All of them, of which a step uses two."""

    def __init__(self, config: AdversaryConfig) -> None:
        super().__init__()
        self.config = config
        self.resolutions = nn.ModuleList(Resolution(n, h, config.channels) for n, h in config.resolutions)
        self.periods = nn.ModuleList(Period(p, config.width) for p in config.periods)

    def drawn(self, number: float) -> list[nn.Module]:
        """One resolution and one period, by a uniform number in [0, 1); each pair is as likely as another."""
        r, p = divmod(int(number * len(self.resolutions) * len(self.periods)), len(self.periods))
        return [self.resolutions[r], self.periods[p]]

    def cropped(self, samples: Tensor, number: float) -> Tensor:
        """The part (B, crop) of this step; where it begins does not depend on which pair is drawn."""
        crop = min(self.config.crop or samples.shape[1], samples.shape[1])
        share = number * len(self.resolutions) * len(self.periods) % 1
        start = int(share * (samples.shape[1] - crop + 1))
        return samples[:, start : start + crop]

    def losses(self, fake: Tensor, real: Tensor, number: float) -> dict[str, Tensor]:
        """Means for one step, samples (B, S) both; both are scaled to the level of the real ones.

        `discriminator` trains the discriminators alone and the other two the generator alone, so that one
        backward pass and one optimizer serve both.
        """
        level = real.square().mean(1, keepdim=True).sqrt().clamp_min(_QUIET)
        fake, real = self.cropped(fake / level, number), self.cropped(real / level, number)
        terms: dict[str, list[Tensor]] = {"discriminator": [], "adversarial": [], "features": []}
        for judge in self.drawn(number):
            of_real, of_fake = judge(real), judge(fake.detach())
            terms["discriminator"].append(
                (of_real[-1].float() - 1).square().mean() + of_fake[-1].float().square().mean()
            )
            fixed = {k: v.detach() for k, v in judge.named_parameters()}
            maps = torch.func.functional_call(judge, fixed, (fake,))
            terms["adversarial"].append((maps[-1].float() - 1).square().mean())
            matched = [
                (a.float() - b.detach().float()).abs().mean()
                for a, b in zip(maps[:-1], of_real[:-1], strict=True)
            ]
            terms["features"].append(torch.stack(matched).mean())
        return {k: torch.stack(v).mean() for k, v in terms.items()}
