"""The device that models run on, by the name that a user gives it (auto, cpu, cuda, cuda:1), and its memory.

torch is imported only where another name than "cpu" is looked up: the runtime without torch has devices too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from intona import extras
from intona.errors import UserError

if TYPE_CHECKING:
    import torch

AUTO, CPU, CUDA = "auto", "cpu", "cuda"
FLAG = "--device"


def device_name(device: str | torch.device) -> str:
    """A name that torch understands: "auto" becomes "cuda" where a GPU is usable, else "cpu".

    Raises:
        UserError: no such kind of device, or no such device here.
    """
    name = str(device)
    if name == CPU:
        return name
    if name == AUTO:
        return CUDA if extras.installed("torch") and _n_gpus() else CPU
    extras.require("torch", f"the device {name}", where=FLAG)
    return str(device_of(device))


def device_of(device: str | torch.device) -> torch.device:
    """A device that can be used here.

    Args:
        device: "auto", or as torch names it: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UserError: as `device_name`.
    """
    import torch

    name = device_name(device) if device == AUTO else device
    try:
        result = torch.device(name)
    except RuntimeError:
        raise UserError(f'"{name}" is no device', where=FLAG, hint="auto, cpu, cuda, cuda:1") from None
    if result.type == CUDA:
        _check_cuda(result)
        return result
    try:
        torch.empty(0, device=result)
    except (RuntimeError, AssertionError, ImportError) as e:
        reason = str(e).split("\n")[0].rstrip(".")
        raise UserError(
            f'"{name}" cannot be used ({reason})', where=FLAG, hint="auto, cpu, cuda, cuda:1"
        ) from None
    return result


def _n_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _check_cuda(device: torch.device) -> None:
    """Refuse a GPU that torch does not see, and say what it sees."""
    import torch

    count = _n_gpus()
    if not count:
        build = "was built without CUDA" if torch.version.cuda is None else "sees no GPU"
        raise UserError(
            f'"{device}" cannot be used: torch {torch.__version__} {build}',
            where=FLAG,
            hint="auto takes a GPU where there is one, else the CPU; nvidia-smi lists the GPUs of a driver",
        )
    if (device.index or 0) >= count:
        names = ", ".join(f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(min(count, 16)))
        raise UserError(f'there is no "{device}"', where=FLAG, hint=f"torch sees {names}")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that the memory of a device, or of the machine, was too small."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch on a CPU


def free_bytes(device: str | torch.device) -> int | None:
    """Memory in bytes that can still be used: of a GPU, or of the machine; None where it is unknown."""
    if not _is_cuda(device):
        return _available_ram()
    import torch

    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # in torch's cache
    return torch.cuda.mem_get_info(device)[0] + unused


def peak_bytes(device: str | torch.device) -> int:
    """Most memory in bytes that was in use at a time: torch's on a GPU, else that of the process."""
    if not _is_cuda(device):
        return _peak_rss()
    import torch

    return torch.cuda.max_memory_allocated(device)


class PeakMemory:
    """Measures how much memory a computation needs above what is in use when it begins.

    On a GPU it is torch's peak. On a CPU it is the growth of the largest resident size of the process so far,
    which is an underestimate where the process has needed more before.
    """

    def __init__(self, device: str | torch.device) -> None:
        self.device, self.bytes = device, 0

    def __enter__(self) -> PeakMemory:
        if _is_cuda(self.device):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        self._before = self._now(peak=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.bytes = max(0, self._now(peak=True) - self._before)

    def _now(self, *, peak: bool) -> int:
        if peak or not _is_cuda(self.device):
            return peak_bytes(self.device)
        import torch

        return torch.cuda.memory_allocated(self.device)


def release_cache(device: str | torch.device) -> None:
    """Give the memory that torch keeps for later back to the GPU; nothing on a CPU."""
    if _is_cuda(device):
        import torch

        torch.cuda.empty_cache()


def _is_cuda(device: str | torch.device) -> bool:
    return str(device).partition(":")[0] == CUDA


def _available_ram() -> int | None:
    """MemAvailable of Linux: what a program can take without swapping."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _peak_rss() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
