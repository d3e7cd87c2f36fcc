"""What the loop knows of a model: `forward(batch, step) -> Losses`, and where its batches come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from intona.nn.losses import Losses


class Task(nn.Module):
    """A model with its objective. Everything random in `forward` comes from (seed, step, utterance id)."""

    def forward(self, batch: Any, step: int) -> Losses:
        raise NotImplementedError

    def demonstrate(self, out: Path, step: int) -> None:
        """Write fixed demo sentences (audio, spectrogram) into `out`; by default nothing."""

    def rates(self) -> dict[str, float]:
        """Prefix of a parameter's name -> factor on the learning rate; 1 for all that is not named."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Name -> value of facts about the model, printed when a run begins."""
        return {}

    def extra_files(self) -> dict[str, Any]:
        """JSON files that make the checkpoint whole (name -> value): tokenizer.json, features.json …"""
        return {}


class Feed(Protocol):
    """Batches with state. `next` never ends; `validation` is the same fixed pass each time."""

    def next(self) -> Any: ...

    def longest(self) -> Any: ...

    def validation(self) -> Iterator[Any]: ...

    def seconds(self, batch: Any) -> float: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
