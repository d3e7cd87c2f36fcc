"""The network of DistillMOS; attribute names are those of its published state dict."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SEGMENT = 122_880
HOP = 16_000
WINDOW = 320
STEP = 160
FRAMES = 384
CHANNELS = (64, 64, 128, 256, 256, 256)
WIDTH = 200


class DistillMos(nn.Module):
    """Samples (S,) at 16 kHz -> predicted naturalness, a scalar in 1..5."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = _Convolutions()
        self.transformer_pool_attn = _Head(4 * CHANNELS[-1])

    def forward(self, samples: Tensor) -> Tensor:
        pieces = segments(samples)
        pieces = pieces / (pieces.abs().amax(dim=1, keepdim=True) + 1e-8)
        return 1 + 4 * self.transformer_pool_attn(self.cnn(pieces)).mean()


def segments(samples: Tensor) -> Tensor:
    """(S,) -> (K, 122880): padded with zeros, or evenly spaced windows at most 1 s apart, ends included."""
    extra = max(0, samples.shape[0] - SEGMENT)
    if samples.shape[0] < SEGMENT:
        samples = F.pad(samples, (0, SEGMENT - samples.shape[0]))
    count = -(-extra // HOP) + 1
    # Same rounding as the published code: int(c * extra) with c from 0 to 1 in float64.
    steps = torch.linspace(0, 1, count, dtype=torch.float64) if count > 1 else torch.zeros(1)
    return torch.stack([samples[int(c * extra) : int(c * extra) + SEGMENT] for c in steps.tolist()])


def compressed_spectrogram(x: Tensor) -> Tensor:
    """(K, S) -> (K, 2, 161, T): complex STFT with its magnitude raised to the power 0.3."""
    side = (WINDOW - STEP) // 2
    spectrum = torch.stft(
        F.pad(x[:, None], (side, side), mode="reflect")[:, 0],
        WINDOW,
        hop_length=STEP,
        window=torch.hann_window(WINDOW, device=x.device),
        center=False,
        return_complex=True,
    )
    parts = torch.view_as_real(spectrum)
    magnitude = parts.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-12)
    return (magnitude**0.3 * parts / magnitude).permute(0, 3, 1, 2)


class _Convolutions(nn.Module):
    """(K, S) -> (K, 384, 1024): frequency halves from the second layer on, time in the last."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 2
        for i, channels in enumerate(CHANNELS):
            stride = (2 if i else 1, 2 if i == len(CHANNELS) - 1 else 1)
            layers += [nn.Conv2d(before, channels, 3, stride=stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
            before = channels
        self.cnn = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.cnn(compressed_spectrogram(x)).flatten(1, 2).transpose(1, 2)


class _Head(nn.Module):
    """(K, 384, width) -> (K, 1) in 0..1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_input = nn.BatchNorm1d(width)
        self.transformer = _Transformer(width)
        self.norm_trans = nn.BatchNorm1d(WIDTH)
        self.pool = _AttentionPooling()

    def forward(self, x: Tensor) -> Tensor:
        x = self.transformer(_over_channels(self.norm_input, x))
        return torch.sigmoid(self.pool(_over_channels(self.norm_trans, x)))


class _Transformer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.position_encoding = _Positions()
        self.linear_proj = nn.Linear(width, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, 8, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, 7, enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear_proj(_over_channels(self.norm, x))
        return self.transformer_encoder(x + self.position_encoding.pe)


class _Positions(nn.Module):
    """The sinusoids come with the weights."""

    pe: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pe", torch.zeros(1, FRAMES, WIDTH))


class _AttentionPooling(nn.Module):
    """Attention pooling over time: (K, T, 200) -> (K, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(WIDTH, 2 * WIDTH)
        self.linear2 = nn.Linear(2 * WIDTH, 1)
        self.linear3 = nn.Linear(WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.linear2(F.relu(self.linear1(x))).softmax(dim=1)
        return self.linear3((weights * x).sum(dim=1))


def _over_channels(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    return norm(x.transpose(1, 2)).transpose(1, 2)
