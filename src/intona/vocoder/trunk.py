"""What the vocoders at frame rate share: a trunk of ConvNeXt blocks on mels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from intona import config as configs
from intona.audio import MelSpec
from intona.audio.features import mel_filters
from intona.errors import UserError
from intona.nn.conv import Conv
from intona.nn.convnext import ConvNeXtBlock
from intona.vocoder.load import NETWORK as NETWORK

LOG_RANGE = (-13.0, 7.0)  # of a log amplitude; full scale is log(512) = 6.2
_CENTRE, _SCALE = -5.0, 2.5  # of a log mel of speech, about


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Sizes.

    Args:
        expand: inner width of a block, a multiple of its width. kernel: frames a depthwise filter sees.
    """

    width: int = 384
    depth: int = 8
    expand: int = 3
    kernel: int = 7

    def __post_init__(self) -> None:
        configs.at_least(self, width=1, depth=1, expand=1)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")

    @property
    def reach(self) -> int:
        """Frames to either side of its own that a frame depends on."""
        return (1 + self.depth) * (self.kernel // 2)


class Trunk(nn.Module):
    """Convolution in, ConvNeXt blocks, layer norm; (B, T, n_mels) to (B, T, width) float32."""

    def __init__(self, n_mels: int, config: TrunkConfig) -> None:
        super().__init__()
        dim, depth = config.width, config.depth
        self.inlet = Conv(n_mels, dim, config.kernel)
        self.norm_in = nn.LayerNorm(dim, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(dim, 1, expand=config.expand, kernel=config.kernel, gelu="none")
            for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(dim, eps=1e-6)
        with torch.no_grad():
            for block in self.blocks:
                # Vocos scales each residual by 1 / depth at the start; behind a zero gate the inside of a
                # block would learn nothing in the first steps.
                block.modulation.bias[2 * dim :].fill_(1 / depth)  # type: ignore[union-attr, index]

    def forward(self, x: Tensor) -> Tensor:
        # The mel itself stays in float32 under autocast: rounded to bfloat16 a log of -11 is off by 3 %.
        with torch.autocast(x.device.type, enabled=False):
            x = self.norm_in(self.inlet(x.float()))
        one = x.new_ones(x.shape[0], 1)
        for block in self.blocks:
            x = block(x, one, None)
        with torch.autocast(x.device.type, enabled=False):
            return self.norm_out(x.float())


def normalised(mel: Tensor) -> Tensor:
    """A log mel of speech brought to mean 0 and deviation 1, about."""
    return (mel - _CENTRE) / _SCALE


def pseudo_inverse(spec: MelSpec) -> Tensor:
    """Of the mel filters, (n_mels, n_fft // 2 + 1): amplitudes to start from (FreeV)."""
    inverse = np.linalg.pinv(mel_filters(spec).astype(np.float64)).astype(np.float32)
    return torch.from_numpy(inverse.T.copy())


def require_fit(features: str, n_mels: int, spec: MelSpec, where: Path) -> None:
    """Refuse a folder whose features are not those that its weights were trained on.

    Raises:
        UserError: says both.
    """
    if features != spec.fingerprint():
        raise UserError(
            f"features.json has fingerprint {spec.fingerprint()}, "
            f"the weights were trained on {features or 'none that is named'}",
            where=where,
        )
    if n_mels != spec.n_mels:
        raise UserError(f"weights for {n_mels} mels, features with {spec.n_mels}", where=where)
