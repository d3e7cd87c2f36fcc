"""Memory of this process: how much it has, and giving back what is free."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def release_free() -> None:
    """Give freed memory back to the system; glibc keeps most of it. Without effect on other C libraries."""
    if (trim := _malloc_trim()) is not None:
        trim(0)


@cache
def _malloc_trim() -> Any:
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows
        return None
