"""What the loop knows about a model: `forward(batch, step) -> Losses`, and the source of its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, overload

from torch import nn

from intona.nn.losses import Losses
from intona.training.recompute import blocks_of

B = TypeVar("B")


class Task(nn.Module):
    """A model with its objective. All randomness in `forward` is a function of (seed, step, utterance id)."""

    def forward(self, batch: Any, step: int) -> Losses:
        raise NotImplementedError

    def demonstrate(self, out: Path, step: int) -> None:
        """Write fixed demo sentences (audio, spectrogram) to `out`; by default nothing."""

    def rates(self) -> dict[str, float]:
        """Prefix of a parameter's name -> factor of its learning rate; 1 for all other parameters."""
        return {}

    def blocks(self) -> list[nn.Module]:
        """The layers that are recomputed (`LoopConfig.recompute`), and whose weights fsdp gathers one by one.

        Modules that are called, without noise from elsewhere than torch's global generators; weights outside
        of them are gathered for the whole step.
        """
        return blocks_of(self)

    def summary(self) -> dict[str, Any]:
        """Name -> value of facts about the model, printed when a run begins."""
        return {}

    def extra_files(self) -> dict[str, Any]:
        """Further JSON files of the checkpoint (name -> value): tokenizer.json, features.json …

        They do not depend on weights, which may be divided among processes.
        """
        return {}


class Feed(Protocol):
    """Batches with a state.

    `next` never ends, so every rank can call it equally often. `validation` is the same pass over the whole
    dev set each time, on every rank: the loop divides the batches. A sequence such as `Batches` is better
    than an iterator, since each rank then makes only its batches. `load_state_dict` also takes the state of
    a run on another number of ranks.
    """

    def next(self) -> Any: ...

    def longest(self) -> Any: ...

    def validation(self) -> Iterable[Any]: ...

    def seconds(self, batch: Any) -> float: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Batches(Sequence[B]):
    """Batches that are made when they are read.

    Args:
        plan: what each batch is made of. make: makes one. groups: the group of each batch, whose losses are
            also reported apart ("" for none); by default no batch has one.
    """

    def __init__(
        self, plan: Iterable[Any], make: Callable[[Any], B], groups: Sequence[str] | None = None
    ) -> None:
        self._plan, self._make = list(plan), make
        self.groups = [""] * len(self._plan) if groups is None else list(groups)

    def __len__(self) -> int:
        return len(self._plan)

    @overload
    def __getitem__(self, index: int) -> B: ...

    @overload
    def __getitem__(self, index: slice) -> Batches[B]: ...

    def __getitem__(self, index: int | slice) -> B | Batches[B]:
        if isinstance(index, slice):
            return Batches(self._plan[index], self._make, self.groups[index])
        return self._make(self._plan[index])
