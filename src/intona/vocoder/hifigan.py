"""HiFi-GAN's generator (Kong, Kim & Bae 2020, arXiv 2010.05646, V1), for inference: no weight norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.nn.precision import bf16_wins
from intona.vocoder.base import BF16, Vocoder, require_directory

_SLOPE = 0.1
_POST_KERNEL = 7


@dataclass(frozen=True, kw_only=True)
class HifiGanConfig:
    """Sizes of the generator; the defaults are V1, 13.9 M parameters.

    Args:
        features: fingerprint of the `MelSpec` that it was trained on.
    """

    kind: Literal["hifigan"] = "hifigan"
    n_mels: int = 80
    channels: int = 512
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 16, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    block_dilations: tuple[int, ...] = (1, 3, 5)
    features: str = ""

    def __post_init__(self) -> None:
        if len(self.upsample_rates) != len(self.upsample_kernels) or not self.upsample_rates:
            raise ValueError("upsample_rates and upsample_kernels must be lists of one length")
        pairs = zip(self.upsample_rates, self.upsample_kernels, strict=True)
        if any((k - u) % 2 or k < u or u < 1 for u, k in pairs):
            raise ValueError("each upsample kernel must exceed its rate by an even number")
        if any(k % 2 == 0 for k in self.block_kernels):
            raise ValueError("block kernels must be odd")

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.upsample_rates)

    @property
    def reach(self) -> int:
        """Frames to either side of its own that a sample depends on (an upper bound, tested to hold)."""
        kernel = max(self.block_kernels)
        block = sum((kernel - 1) // 2 * (d + 1) for d in self.block_dilations)
        radius = (_POST_KERNEL - 1) // 2
        for rate, k in reversed(list(zip(self.upsample_rates, self.upsample_kernels, strict=True))):
            radius = math.ceil((radius + block + (k + rate) // 2) / rate)
        return radius + 3


class _Block(nn.Module):
    """Residual pairs of convolutions, the first of each pair dilated. (B, C, L) to (B, C, L)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        half = (kernel - 1) // 2
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * half) for d in dilations
        )
        self.convs2 = nn.ModuleList(nn.Conv1d(channels, channels, kernel, padding=half) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu_(first(F.leaky_relu(x, _SLOPE)), _SLOPE))
        return x


class Generator(nn.Module):
    """Log mels (B, n_mels, T) to samples (B, T * hop). Names of the parameters are the published ones."""

    def __init__(self, config: HifiGanConfig) -> None:
        super().__init__()
        c = config.channels
        self.conv_pre = nn.Conv1d(config.n_mels, c, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for rate, kernel in zip(config.upsample_rates, config.upsample_kernels, strict=True):
            self.ups.append(nn.ConvTranspose1d(c, c // 2, kernel, rate, padding=(kernel - rate) // 2))
            c //= 2
            self.resblocks.extend(_Block(c, k, config.block_dilations) for k in config.block_kernels)
        self.conv_post = nn.Conv1d(c, 1, _POST_KERNEL, padding=(_POST_KERNEL - 1) // 2)

    def forward(self, mel: Tensor) -> Tensor:
        # The first and the last layer stay in float32 under autocast: a log mel of -11 rounded to bfloat16 is
        # off by 3 %, which alone makes most of the error of the whole network, and they cost nearly nothing.
        with torch.autocast(mel.device.type, enabled=False):
            x = self.conv_pre(mel.float())
        n = len(self.resblocks) // len(self.ups)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, _SLOPE))
            total = self.resblocks[i * n](x)
            for block in self.resblocks[i * n + 1 : (i + 1) * n]:
                total = total + block(x)
            x = total / n
        # The published code leaves this one slope at PyTorch's default; so were the weights trained.
        with torch.autocast(mel.device.type, enabled=False):
            return torch.tanh(self.conv_post(F.leaky_relu(x.float(), 0.01)))[:, 0]


class HifiGan(Vocoder):
    """A trained generator.

    Args:
        bf16: run in bfloat16 under autocast; "auto" does where that is measured faster.
        chunk_frames: frames decoded at once. Chunks overlap by the reach of the network, so that the
            result is that of decoding at once, in memory that does not grow with the length.
    """

    def __init__(
        self,
        generator: Generator,
        config: HifiGanConfig,
        spec: MelSpec,
        *,
        bf16: BF16 = "auto",
        chunk_frames=512,
    ) -> None:
        self.generator, self.config, self.spec = generator.eval().requires_grad_(False), config, spec
        self.chunk_frames = chunk_frames
        self.device = next(generator.parameters()).device
        self.bf16 = bf16_wins(self.device.type) if bf16 == "auto" else bf16

    @classmethod
    def load(
        cls,
        directory: Path | None,
        *,
        device: str | torch.device = "cpu",
        bf16: BF16 = "auto",
        chunk_frames: int = 512,
    ) -> HifiGan:
        """Read `config.json`, `features.json` and `model.safetensors`.

        Raises:
            UserError: missing or damaged files, tensors that do not fit, features of another kind.
        """
        directory = require_directory(directory, "hifigan")
        config = configs.load(HifiGanConfig, directory / "config.json")
        spec = MelSpec.load(directory / "features.json")
        if config.features and config.features != spec.fingerprint():
            raise UserError(
                f"features.json has fingerprint {spec.fingerprint()}, "
                f"the weights were trained on {config.features}",
                where=directory,
            )
        if (config.n_mels, config.hop_length) != (spec.n_mels, spec.hop_length):
            raise UserError(
                f"weights for {config.n_mels} mels and hop {config.hop_length}, "
                f"features with {spec.n_mels} and {spec.hop_length}",
                where=directory,
            )
        with torch.device("meta"):
            generator = Generator(config)
        generator.load_state_dict(_weights(directory / "model.safetensors", generator), assign=True)
        return cls(generator.to(device), config, spec, bf16=bf16, chunk_frames=chunk_frames)

    @property
    def reach(self) -> int:
        return self.config.reach

    @torch.inference_mode()
    def decode(self, mel: Tensor) -> Tensor:
        self.check(mel)
        mel = mel.to(self.device, torch.float32).transpose(1, 2)
        frames, hop, reach = mel.shape[2], self.config.hop_length, self.config.reach
        pieces = []
        for start in range(0, frames, self.chunk_frames):
            end = min(start + self.chunk_frames, frames)
            left, right = max(0, start - reach), min(frames, end + reach)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                wave = self.generator(mel[:, :, left:right])
            pieces.append(wave[:, (start - left) * hop : (end - left) * hop])
        return torch.cat(pieces, dim=1) if pieces else mel.new_zeros(len(mel), 0)


def _weights(path: Path, generator: Generator) -> dict[str, Tensor]:
    """The tensors of a file in float32, checked one by one against the generator's."""
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise UserError("the weights are missing", where=path) from None
    except (SafetensorError, OSError) as e:
        raise UserError(f"the weights cannot be read ({e})", where=path) from None
    shapes = {k: tuple(v.shape) for k, v in generator.state_dict().items()}
    wrong = [k for k in shapes if k not in tensors or tuple(tensors[k].shape) != shapes[k]]
    wrong += [k for k in tensors if k not in shapes]
    if wrong:
        raise UserError(f"{len(wrong)} tensors do not fit config.json, the first is {wrong[0]}", where=path)
    return {k: v.float() for k, v in tensors.items()}
