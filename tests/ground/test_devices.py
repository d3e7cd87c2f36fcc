"""Names of devices, and their memory."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from intona import devices
from intona.errors import UserError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: "H200")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def test_auto_is_a_gpu_where_there_is_one(two_gpus: None) -> None:
    assert devices.device_name("auto") == "cuda"
    assert devices.device_of("auto") == torch.device("cuda")


def test_auto_is_the_cpu_elsewhere(no_gpu: None) -> None:
    assert devices.device_name("auto") == "cpu"
    assert devices.device_of("auto") == torch.device("cpu")


def test_a_gpu_is_named_with_its_number(two_gpus: None) -> None:
    assert devices.device_of("cuda:1") == torch.device("cuda", 1)
    assert devices.device_of(torch.device("cuda:0")) == torch.device("cuda:0")


def test_a_number_beyond_the_last_gpu_lists_those_that_are_there(two_gpus: None) -> None:
    with pytest.raises(UserError) as e:
        devices.device_name("cuda:7")
    assert 'there is no "cuda:7"; torch sees cuda:0 (H200), cuda:1 (H200)' in str(e.value)


@pytest.mark.parametrize(("build", "reason"), [(None, "was built without CUDA"), ("13.0", "sees no GPU")])
def test_cuda_without_a_gpu_says_what_torch_sees(
    no_gpu: None, monkeypatch: pytest.MonkeyPatch, build: str | None, reason: str
) -> None:
    monkeypatch.setattr(torch.version, "cuda", build)
    with pytest.raises(UserError, match=reason) as e:
        devices.device_of("cuda")
    assert "\n" not in str(e.value) and torch.__version__ in str(e.value)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "tpu:1", "tape", "cuda:-1"])
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="--device"):
        devices.device_of(name)


def test_the_cpu_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert devices.device_name("cpu") == "cpu"
    monkeypatch.setattr(devices.extras, "installed", lambda package: False)
    assert devices.device_name("auto") == "cpu"
    with pytest.raises(UserError, match="needs torch"):
        devices.device_name("cuda")


def test_errors_of_memory_are_recognized() -> None:
    for error in (torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("x: can't allocate memory: y")):
        assert devices.is_out_of_memory(error)
    for error in (RuntimeError("CUDA error: an illegal access"), ValueError("can't allocate memory")):
        assert not devices.is_out_of_memory(error)


def test_the_free_memory_of_a_gpu_counts_what_torch_keeps_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(
        memory_reserved=lambda d: 70, memory_allocated=lambda d: 20, mem_get_info=lambda d: (100, 1000)
    )
    monkeypatch.setattr(torch, "cuda", cuda)
    assert devices.free_bytes("cuda:0") == 150


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_of_this_machine() -> None:
    free = devices.free_bytes("cpu")
    assert free is not None and 2**20 < free < 2**50
    with devices.PeakMemory("cpu") as peak:
        block = torch.zeros(2**24)  # 64 MiB, touched
    assert block.sum() == 0 and 0 <= peak.bytes < 2**40
