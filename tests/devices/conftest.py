"""The corpora and voices of other tests, on a GPU that computes on the CPU.

Such a device starts threads of autograd, after which a process can no longer be forked, as tests of ranks do.
So the tests on it run in a process of their own, which `test_apart.py` starts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from intona.nn import precision

from ..systems.conftest import spoken  # noqa: F401
from ..systems.meld.conftest import corpus  # noqa: F401
from ..systems.restyle.conftest import mute, voice  # noqa: F401
from ..systems.vocoder.conftest import fill, targets  # noqa: F401

APART = "INTONA_TESTS_APART"  # set in that process
collect_ignore = (
    ["test_apart.py"] if APART in os.environ else ["test_loop.py", "test_stages.py", "test_voices.py"]
)


@pytest.fixture
def gpu() -> Iterator[torch.device]:
    """A device on which a tensor of the CPU does not compute."""
    from .fake_gpu import fake_gpu

    with fake_gpu() as device:
        yield device


@pytest.fixture
def fp32() -> Iterator[None]:
    """No bf16: with a frozen clock it never measures as faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: 0.0))
        precision.bf16_wins.cache_clear()
        yield
    precision.bf16_wins.cache_clear()
