"""A graph that onnxruntime runs, with errors for people."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from intona import extras
from intona.errors import UserError


def installed() -> bool:
    """Whether onnxruntime can be imported."""
    return importlib.util.find_spec("onnxruntime") is not None


def require() -> None:
    """Raise a UserError if onnxruntime is not installed."""
    if not installed():
        raise extras.missing("onnxruntime", "the ONNX backend", where="--backend")


def threads() -> int:
    """Processors that this process may use; OMP_NUM_THREADS, where it is set, limits them."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(available, int(limit)) if limit.isdigit() and int(limit) else available


class GraphSession:
    """Arrays in, arrays out; any thread may call it.

    Args:
        path: a graph of `intona export`, beside the file of its weights.

    Raises:
        UserError: onnxruntime is not installed; a graph or weights that are missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        require()
        if not path.is_file():
            raise UserError("the graph is missing", where=path, hint="export the model again")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # its errors are raised as well
        # The arena keeps what the longest sentence needed, and each new length makes another pattern.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        # Spinning threads make everything slower beside any busy process.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as e:  # onnxruntime has a kind of its own for each
            raise UserError(f"damaged, or of another model ({_reason(e)})", where=path) from None
        self.path = path
        self.inputs = tuple(i.name for i in self._session.get_inputs())

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs in order. Inputs that the graph does not have are left out.

        Raises:
            UserError: arrays that do not fit, not enough memory.
        """
        try:
            feed: dict[str, Any] = {name: inputs[name] for name in self.inputs}
            return list(self._session.run(None, feed))  # type: ignore[arg-type]
        except KeyError as e:
            raise UserError(f"needs an input that is not known: {e}", where=self.path) from None
        except Exception as e:
            raise UserError(f"the graph failed ({_reason(e)})", where=self.path) from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
