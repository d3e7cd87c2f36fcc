"""Which arithmetic is fast on this processor: measured once, not guessed from its name."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]

_SWITCHING = threading.RLock()


@functools.cache
def bf16_wins(device: str = "cpu") -> bool:
    """True where a bf16 product beats a float32 one on this kind of device ("cpu", "cuda").

    A CPU without AVX512-BF16 or AMX emulates it at a third to half of float32's speed (docs/results.md),
    which no flag of torch tells reliably. float16 is never a choice.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    a, b = torch.ones(512, 512), torch.ones(512, 512)  # ones: the global random state stays as it was
    low_a, low_b = a.bfloat16(), b.bfloat16()

    def fastest(x: torch.Tensor, y: torch.Tensor) -> float:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            torch.mm(x, y)
            times.append(time.perf_counter() - start)
        return min(times)

    return fastest(low_a, low_b) < 0.8 * fastest(a, b)


def wants_bf16(precision: Precision, device: str = "cpu") -> bool:
    """Resolve "auto"."""
    return bf16_wins(device) if precision == "auto" else precision == "bf16"


@functools.cache
def set_fast_matmul() -> bool:
    """Let float32 products use oneDNN's faster kernels where they keep float32 error; True if so.

    "medium" picks other kernels on some CPUs at no loss of precision, but with AMX it really rounds to bf16:
    probed against float64 once. What it brings is measured by `make bench`.
    """
    if torch.cuda.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=generator) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    exact = a.double() @ b.double()
    error = ((a @ b).double() - exact).abs().max() / exact.abs().max()
    if error > 1e-5:
        torch.set_float32_matmul_precision(before)
        return False
    return True


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Held by a thread while it computes, and not over a `yield`.

    Where `set_fast_matmul` is on, `nn.causal.single_rows` switches the kernels of the whole process for a
    while: another thread would compute with kernels that round otherwise, or leave the wrong ones behind.
    There only one thread computes at a time. Elsewhere nothing is switched and nobody waits.
    """
    if not set_fast_matmul():
        yield
        return
    with _SWITCHING:
        yield


def autocast(precision: Precision = "auto", device: str = "cpu") -> torch.autocast:
    """bf16 autocast where it is faster (or requested), else nothing."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=wants_bf16(precision, device))
