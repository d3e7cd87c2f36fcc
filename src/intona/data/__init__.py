"""Corpora in: readers of published layouts, `prepare`, prepared directories, samplers and batches.

Batches need torch and are imported on first use; everything else here works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intona.data.prepared import Item, Prepared, write_durations
from intona.data.samplers import DurationBatchSampler

if TYPE_CHECKING:
    from intona.data.batch import Batch, Loader, collate

__all__ = ["Batch", "DurationBatchSampler", "Item", "Loader", "Prepared", "collate", "write_durations"]


def __getattr__(name: str) -> Any:
    if name in ("Batch", "Loader", "collate"):
        from intona.data import batch

        return getattr(batch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
