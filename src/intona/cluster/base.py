"""The interface of an engine, and of a command that it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
LOCAL, AUTO = "local", "auto"


class CommandProcess(Protocol):
    """A command that runs beside this process, here or on another node."""

    def poll(self) -> int | None:
        """Its exit code, negative if a signal killed it; None while it runs."""
        ...

    def stop(self) -> None:
        """Request that it and its children save and end (SIGTERM)."""
        ...

    def end(self, seconds: float) -> None:
        """Wait for its end; kill it if that takes longer than `seconds`."""
        ...


class Engine(AbstractContextManager["Engine"], Protocol):
    """Where work is done.

    Attributes:
        workers: how many items are worked on at the same time.
        device: where a worker computes, "cpu" or "cuda".
    """

    @property
    def workers(self) -> int: ...

    @property
    def device(self) -> str: ...

    def in_process(self, items: int, *, least: int = 2) -> bool:
        """Whether `map` would do so many items in this process, with `state` itself and not a copy of it."""
        ...

    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        state: Any = None,
        in_flight: int = 2,
        least: int = 2,
    ) -> Iterator[Result]:
        """`function(state, item)` for each item, in order.

        Function, state and items are pickled. The state travels to each worker once and stays there, so what
        it loads on its first use (`pool.ReloadsInWorker`) is loaded once per worker.

        Args:
            in_flight: number of items per worker that are running, waiting, or not yet consumed.
            least: for fewer items, worker processes of this machine cost more than they save.

        Raises:
            DeadWorker: workers died and trying again did not help. Exceptions of `function` are raised here
                as they are, and nothing is tried again after one.
        """
        ...

    def start(
        self, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str], gpus: int = 0
    ) -> CommandProcess:
        """Run `python *arguments` as the first process of a new session.

        Args:
            log: the file to which its output is appended.
            environment: variables that are set for it, beside those of the machine.
            gpus: number of GPUs that it has for itself, on a cluster.
        """
        ...
