"""intona: prosody-aware speech synthesis.

>>> import intona
>>> intona.load("ru").say("Привет, мир!").write("hello.wav")   # doctest: +SKIP
>>> intona.read("Привет, мир!")[0].normalized
'Привет, мир!'

Importing the package costs nothing: torch and the rest are imported when `load` or `Audio` is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intona import lazy

if TYPE_CHECKING:
    from intona.audio import Audio as Audio
    from intona.synth import load as load
    from intona.synth.options import SpeakOptions as SpeakOptions
    from intona.text import read as read

__version__ = "0.1.0"
__all__ = ["Audio", "SpeakOptions", "__version__", "load", "read"]

_MODULES = {
    "Audio": "intona.audio",
    "SpeakOptions": "intona.synth.options",
    "load": "intona.synth",
    "read": "intona.text",
}
__getattr__, __dir__ = lazy.names(__name__, _MODULES)
