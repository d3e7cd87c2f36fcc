"""The normal random numbers of torch's CPU generator, without torch.

A voice then speaks the same for a seed on both backends. The generator is the Mersenne Twister, which NumPy
has, too. torch makes floats of 24 of its bits, and normal ones by the transform of Box & Muller 1958 in
blocks of 16: eight radii and eight angles (ATen, `normal_fill`). Both backends agree up to the rounding of
logarithms and cosines, some 1e-6.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intona.seeds import derive_seed

BLOCK = 16


class NormalGenerator:
    """`torch.Generator().manual_seed(seed)`, for normal numbers alone."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.RandomState(seed & 0xFFFFFFFF)

    def normal(self, n: int, dim: int = 1) -> np.ndarray:
        """`torch.randn(n, dim, generator=…)`: (n, dim) float32.

        Raises:
            ValueError: fewer than 16 numbers, which torch draws in another way.
        """
        size = n * dim
        if size < BLOCK:
            raise ValueError(f"{size} normal numbers: at least {BLOCK} are drawn at once")
        uniform = self._uniform(size)
        out = np.empty(size, np.float32)
        whole = size // BLOCK * BLOCK
        out[:whole] = _box_muller(uniform[:whole])
        if whole < size:  # the last block overlaps the one before, with numbers of its own
            out[-BLOCK:] = _box_muller(self._uniform(BLOCK))
        return out.reshape(n, dim)

    def _uniform(self, size: int) -> np.ndarray:
        bits = self._bits.randint(0, 1 << 32, size, np.uint32)
        return (bits & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)


def _box_muller(uniform: np.ndarray) -> np.ndarray:
    first, second = np.moveaxis(uniform.reshape(-1, 2, BLOCK // 2), 1, 0)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - first))
    angle = np.float32(2 * np.pi) * second
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


class SentenceRandom:
    """The noise of one sentence: what `nn.random.ItemRandom(seed, 0, [str(place)])` draws."""

    def __init__(self, seed: int, place: int) -> None:
        self._generator = NormalGenerator(derive_seed(seed, 0, str(place)))

    def normal(self, lengths: Sequence[int], dim: int) -> np.ndarray:
        """Standard normal numbers (1, length, dim) float32."""
        (length,) = lengths
        return self._generator.normal(length, dim)[None]
