"""Text and audio encoders behind one interface (`base.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intona.encoders.pretrained import load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":  # needs torch: imported when asked for
        from intona.encoders.pretrained import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
