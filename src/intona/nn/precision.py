"""Which arithmetic is fast on this processor: measured once, not inferred from its name."""

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
    """True if a bf16 matrix product is faster than a float32 one on this kind of device ("cpu", "cuda").

    A CPU without AVX512-BF16 or AMX emulates bf16 at a third to half of the speed of float32
    (docs/notebook/speed.md), and no flag of torch shows this reliably. float16 is never an option.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    a, b = torch.ones(512, 512), torch.ones(512, 512)  # ones: does not touch the global random state
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
    """Whether to use bf16; "auto" uses it where it is faster."""
    return bf16_wins(device) if precision == "auto" else precision == "bf16"


@functools.cache
def set_fast_matmul() -> bool:
    """Let float32 products use oneDNN's faster kernels where these keep float32 accuracy; True if they do.

    "medium" selects other kernels on some CPUs without loss of precision, but with AMX it rounds to bf16. One
    product is compared with float64 to find out. `make bench` measures the speed.
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
    """Autocast to bf16 where it is faster or requested; otherwise a context without effect."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=wants_bf16(precision, device))
