"""What stands around the transformer: the mel prenet before it, the reconstruction network behind it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from intona.nn.conv import Conv
from intona.nn.random import ItemRandom
from intona.systems.meld.config import SpeechLMConfig


def uniforms(random: ItemRandom, lengths: Sequence[int], dim: int) -> Tensor:
    """(B, max(lengths), dim) in [0, 1), each row from its own item's generator; 1/2 after each length."""
    return torch.special.ndtr(random.normal(lengths, dim))


class MelPrenet(nn.Module):
    """g_Mel: three linears with GELU between them (MELD, section 3.2).

    Dropout 0.5 after the first two, at inference as well: it hides the past enough that the model must read
    the text, and makes its own imperfect frames look like the training's. The masks come from the caller's
    generator, so that an utterance has the same ones in any batch.
    """

    def __init__(self, c_in: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.hidden, self.p = hidden, dropout
        self.layers = nn.ModuleList(
            [nn.Linear(c_in, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, dim)]
        )

    @property
    def noise_dim(self) -> int:
        """Random numbers that a frame needs."""
        return 2 * self.hidden if self.p else 0

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """(B, S, c_in) and uniform noise (B, S, noise_dim) -> (B, S, dim)."""
        masks = (None, None)
        if self.p and noise is not None:
            masks = ((noise >= self.p) / (1 - self.p)).to(x.device).chunk(2, dim=-1)
        for linear, mask in zip(self.layers, masks, strict=False):
            x = F.gelu(linear(x))
            if mask is not None:
                x = x * mask.to(x.dtype)
        return self.layers[2](x)


class ResidualMLP(nn.Module):
    """x + W2 GELU(W1 LN(x))."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class PostNet(nn.Module):
    """Convolutions with tanh between them, added to what they read (Shen et al. 2018, Tacotron 2).

    Without batch normalization: its statistics would depend on the padding and on who shares the batch. The
    last layer starts at zero, so that at first the PostNet is silent.
    """

    def __init__(self, n_mels: int, channels: int, layers: int, kernel: int) -> None:
        super().__init__()
        widths = [n_mels, *[channels] * (layers - 1), n_mels]
        pairs = list(pairwise(widths)) if layers else []
        self.layers = nn.ModuleList(Conv(a, b, kernel) for a, b in pairs)
        self.reach = layers * (kernel // 2)
        if layers:
            last = self.layers[-1]
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, n_mels), (B, T) -> (B, T, n_mels). A frame depends on `reach` frames on each side."""
        y = x
        for i, layer in enumerate(self.layers):
            y = layer(y, mask)
            if i < len(self.layers) - 1:
                y = torch.tanh(y)
        return x + y if len(self.layers) else x


class Reconstruction(nn.Module):
    """The mean of p(x_t | z_t, x_<t, y) from code embedding and state (MELD, eq. 7, 8)."""

    def __init__(self, config: SpeechLMConfig) -> None:
        super().__init__()
        c = config
        self.kind = c.code_embedding
        if self.kind == "table":
            self.codes = nn.Embedding(c.codes, c.dim)
        elif self.kind == "centroid":
            self.codes = nn.Linear(c.step_dim, c.dim)
        self.inlet = nn.Linear(c.dim, c.dim)
        self.blocks = nn.ModuleList(
            ResidualMLP(c.dim, c.reconstruction_hidden) for _ in range(c.reconstruction_blocks)
        )
        self.outlet = nn.Linear(c.dim, c.step_dim)

    def forward(self, z: Tensor, states: Tensor, centroids: Tensor) -> Tensor:
        """Codes (B, S), states (B, S, D), centroids (K, step_dim) -> (B, S, step_dim)."""
        x = states
        if self.kind == "table":
            x = x + self.codes(z)
        elif self.kind == "centroid":
            x = x + self.codes(centroids[z])
        x = self.inlet(x)
        for block in self.blocks:
            x = block(x)
        return self.outlet(x)


def gaussian_nats(x: Tensor, mean: Tensor) -> Tensor:
    """-log N(x; mean, 1) without its constant (D/2) log 2 pi, summed over the last axis."""
    return 0.5 * (x.float() - mean.float()).square().sum(-1)
