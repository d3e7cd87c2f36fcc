"""For all tests: threads that do not spin, no network, the same random examples, a mark on what trains, and
shapes of tensors that are checked."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Before anything imports torch: beside a busy process two-thread torch is several times slower when it spins.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTHONPATH" in os.environ:  # tests start processes in folders of their own
    os.environ["PYTHONPATH"] = os.pathsep.join(
        map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep))
    )
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Every call in these packages checks types and shapes against its annotations; set before they are imported.
# An int passes where a float is expected, as everywhere in Python (PEP 484).
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["intona.nn", "intona.diffusion", "intona.encoders"], _CHECKER)

settings.register_profile(
    "intona",
    deadline=None,  # a loaded machine is not a bug
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("intona")

ROOT = Path(__file__).resolve().parents[1]
_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test that trains, itself or by a fixture, without the mark fails: `make rounding` would miss it."""
    if "torch" not in sys.modules or item.get_closest_marker("trains"):
        return (yield)
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def refuse(*_: object) -> None:
        raise AssertionError(f"{item.nodeid} trains: mark it, or its file, with pytest.mark.trains")

    hook = register_optimizer_step_pre_hook(refuse)
    try:
        return (yield)
    finally:
        hook.remove()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """A test that reaches for the network fails and says so."""
    real = socket.socket.connect

    def connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOCAL):
            raise AssertionError(f"a test tried to reach {address[0]}")
        real(self, address)  # type: ignore[arg-type]

    socket.socket.connect = connect  # type: ignore[method-assign]
    yield
    socket.socket.connect = real  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def tiny_wavlm() -> Callable[..., Path]:
    """(directory, seed) -> a WavLM with an x-vector head of 12, random, in the published format."""

    def make(path: Path, seed: int = 0) -> Path:
        import torch
        from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

        torch.manual_seed(seed)
        config = WavLMConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=(8, 8),
            conv_kernel=(10, 8),
            conv_stride=(80, 4),
            num_feat_extract_layers=2,
            num_conv_pos_embeddings=4,
            num_conv_pos_embedding_groups=2,
            tdnn_dim=(16, 16, 16, 16, 24),
            xvector_output_dim=12,
        )
        WavLMForXVector(config).save_pretrained(path)
        Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(path)
        return path

    return make


@pytest.fixture
def at_once() -> Callable[[Sequence[Callable[[], Any]]], list[Any]]:
    """`at_once(calls)`: the results of calls that start together, each in a thread."""

    def run(calls: Sequence[Callable[[], Any]]) -> list[Any]:
        barrier = threading.Barrier(len(calls))

        def call(function: Callable[[], Any]) -> Any:
            barrier.wait(timeout=60)
            return function()

        with ThreadPoolExecutor(len(calls)) as pool:
            return [future.result() for future in [pool.submit(call, c) for c in calls]]

    return run


@pytest.fixture
def messages_on_stderr() -> Iterator[None]:
    """Messages of the library on stderr, as the command line shows them."""
    from intona import logs

    with logs.on_stderr():
        yield
