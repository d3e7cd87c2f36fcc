"""intona: prosody-aware speech synthesis.

>>> import intona
>>> intona.load("ru").say("Привет, мир!").write("hello.wav")   # doctest: +SKIP
>>> intona.read("Привет, мир!")[0].normalized
'Привет, мир!'

Importing the package costs nothing: torch and the rest are imported when `load` or `Audio` is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intona.audio import Audio as Audio
    from intona.synth import load as load
    from intona.synth.options import SpeakOptions as SpeakOptions
    from intona.text import read as read

__version__ = "0.1.0"
__all__ = ["Audio", "SpeakOptions", "__version__", "load", "read"]

_LAZY = {
    "Audio": "intona.audio",
    "SpeakOptions": "intona.synth.options",
    "load": "intona.synth",
    "read": "intona.text",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'intona' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
