"""A GPU that computes on the CPU, so that a test notices a tensor that was left on the wrong device.

The values of a `FakeGpu` tensor are in a CPU tensor inside; its `device` is "fakegpu". As with a real GPU, an
operation that mixes it with a CPU tensor raises, and so does `.numpy()`; a CPU tensor without dimensions may
be mixed with it, and a CPU tensor may be copied into it or index it. The arithmetic is that of the CPU, so
results can be compared with those of the CPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

try:
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
except ImportError:
    pytest.skip("this version of torch has no devices written in Python", allow_module_level=True)

NAME = "fakegpu"
CPU = torch.device("cpu")
aten = torch.ops.aten
COPIES = {aten.copy_.default, aten._to_copy.default}
INDEXES = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
# Computed at once: below this class torch does not look whether a tensor is a lazy conjugate.
LAZY = {aten._conj.default: aten.conj_physical.default, aten._neg_view.default: aten.neg.default}
_module = SimpleNamespace(
    is_available=lambda: False,  # nothing may choose it by itself
    is_initialized=lambda: True,
    device_count=lambda: 0,
    current_device=lambda: 0,
    manual_seed_all=lambda seed: None,
    _is_in_bad_fork=lambda: False,
    get_amp_supported_dtype=lambda: [torch.bfloat16, torch.float16],
)
_setup_privateuseone_for_python_backend(NAME, backend_module=_module)
GPU = torch.device(NAME, 0)


class FakeGpu(Tensor):
    """A tensor on the fake GPU. `inner` holds its values on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> FakeGpu:
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=GPU,
            requires_grad=False,
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner.detach()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"FakeGpu({self.inner!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if device is not None:
            kwargs["device"] = CPU
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        on_cpu = [tuple(t.shape) for t in tensors if not isinstance(t, FakeGpu) and t.ndim]
        if on_cpu and func not in COPIES | INDEXES:
            raise RuntimeError(
                f"{func}: some tensors are on {NAME}, and those of the shapes {on_cpu} on the CPU"
            )
        if func in INDEXES and not isinstance(args[0], FakeGpu):
            raise RuntimeError(f"{func}: a CPU tensor is indexed by one on {NAME}")
        if func in LAZY:
            return FakeGpu(LAZY[func](_inner(args[0])))
        result = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if func is aten.copy_.default and not isinstance(args[0], FakeGpu):
            return args[0]
        if device is not None and torch.device(device).type == "cpu":
            return result
        result = tree_map(lambda t: FakeGpu(t) if isinstance(t, Tensor) else t, result)
        return return_and_correct_aliasing(func, args, kwargs, result)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, FakeGpu) else value


def _empty(size: Any, **kwargs: Any) -> Tensor:
    return FakeGpu(torch.empty(size, **kwargs | {"device": CPU, "pin_memory": False}))


def _empty_strided(size: Any, stride: Any, **kwargs: Any) -> Tensor:
    return FakeGpu(torch.empty_strided(size, stride, **kwargs | {"device": CPU, "pin_memory": False}))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _inner(target).copy_(_inner(source))
    return target


# All that creates a tensor on a device, and `.to`, is made of these.
_library = torch.library.Library("aten", "IMPL")
_library.impl("empty.memory_format", _empty, "PrivateUse1")
_library.impl("empty_strided", _empty_strided, "PrivateUse1")
_library.impl("_copy_from", _copy_from, "PrivateUse1")


class _Calls(TorchFunctionMode):
    """What a tensor with values of another kind cannot do by itself."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if args and isinstance(args[0], FakeGpu):
            if func is Tensor.numpy:
                raise TypeError(f"can't convert a {NAME} tensor to numpy: use .cpu() first")
            if func is Tensor.tolist:
                return args[0].inner.tolist()
        return func(*args, **kwargs or {})


def _enter_no_grad(self: torch.inference_mode) -> None:
    self.before = torch.is_grad_enabled()  # type: ignore[attr-defined]
    torch.set_grad_enabled(False)


def _exit_no_grad(self: torch.inference_mode, *_: object) -> None:
    torch.set_grad_enabled(self.before)  # type: ignore[attr-defined]


@contextlib.contextmanager
def fake_gpu() -> Iterator[torch.device]:
    """The fake GPU; inside, its tensors can do all that those of a real one can.

    Inference mode, which has no views of tensors with values of another kind, is `no_grad` inside.
    """
    with pytest.MonkeyPatch.context() as patch, _Calls():
        patch.setattr(torch.inference_mode, "__enter__", _enter_no_grad)
        patch.setattr(torch.inference_mode, "__exit__", _exit_no_grad)
        yield GPU
