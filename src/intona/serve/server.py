"""What the routes of one server share."""

from __future__ import annotations

from dataclasses import dataclass

from intona.serve.metrics import Metrics
from intona.serve.settings import Settings
from intona.serve.transcribers import Transcribers
from intona.serve.voices import Voices
from intona.serve.worker import Worker


@dataclass(frozen=True, kw_only=True)
class Server:
    """Models, limits and the thread that computes."""

    settings: Settings
    voices: Voices
    transcribers: Transcribers
    worker: Worker
    metrics: Metrics
