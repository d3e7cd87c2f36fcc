"""What the loop knows about a model: `forward(batch, step) -> Losses`, and the source of its batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from intona.nn.losses import Losses


class Task(nn.Module):
    """A model with its objective. All randomness in `forward` is a function of (seed, step, utterance id)."""

    def forward(self, batch: Any, step: int) -> Losses:
        raise NotImplementedError

    def demonstrate(self, out: Path, step: int) -> None:
        """Write fixed demo sentences (audio, spectrogram) to `out`; by default nothing."""

    def rates(self) -> dict[str, float]:
        """Prefix of a parameter's name -> factor of its learning rate; 1 for all other parameters."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Name -> value of facts about the model, printed when a run begins."""
        return {}

    def extra_files(self) -> dict[str, Any]:
        """Further JSON files of the checkpoint (name -> value): tokenizer.json, features.json …"""
        return {}


class Feed(Protocol):
    """Batches with a state. `next` never ends; `validation` is the same pass over the dev set each time."""

    def next(self) -> Any: ...

    def longest(self) -> Any: ...

    def validation(self) -> Iterator[Any]: ...

    def seconds(self, batch: Any) -> float: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...
