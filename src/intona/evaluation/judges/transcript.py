"""A transcript, and what the judges expect of a recognizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from intona.audio import Audio


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """What a recognizer understood. `looped`: the decoder repeated itself and was run a second time."""

    text: str
    looped: bool = False


class Recognizer(Protocol):
    """Turns a recording into text."""

    def describe(self) -> dict[str, Any]:
        """Everything that changes a transcript, as JSON types."""
        ...

    def __call__(self, audio: Audio) -> Transcript: ...

    def speech_seconds(self, audio: Audio) -> float | None:
        """How much of a recording is speech; None where no detector of speech is installed."""
        ...
