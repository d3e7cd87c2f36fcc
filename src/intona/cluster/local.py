"""Work in processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

from intona.cluster.base import CommandProcess, Item, Result
from intona.pool import default_workers, pooled


class LocalEngine(AbstractContextManager["LocalEngine"]):
    """Processes of this machine. With fewer than two workers, `map` works in this process.

    Args:
        workers: number of processes; None = one per core.
        device: as `open_engine` got it.
    """

    def __init__(self, workers: int | None = 0, *, device: str = "cpu") -> None:
        self._workers = default_workers() if workers is None else workers
        self._device = device

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def device(self) -> str:
        return self._device

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def in_process(self, items: int, *, least: int = 2) -> bool:
        return self.workers < 2 or items < least

    def map(
        self,
        function: Callable[[Any, Item], Result],
        items: Iterable[Item],
        *,
        state: Any = None,
        in_flight: int = 2,
        least: int = 2,
    ) -> Iterator[Result]:
        iterator = iter(items)
        head = [] if self.workers < 2 else list(islice(iterator, least))
        if self.in_process(len(head), least=least):
            for item in chain(head, iterator):
                yield function(state, item)
            return
        yield from pooled(
            _call,
            chain(head, iterator),
            workers=self.workers,
            in_flight=in_flight,
            begin=_remember,
            arguments=(function, state),
        )

    def start(
        self, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str], gpus: int = 0
    ) -> CommandProcess:
        return LocalProcess(arguments, log, environment)


class LocalProcess:
    """A `CommandProcess` of this machine, in a new session: signals reach its children too."""

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        with open(log, "ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        return self._process.wait()

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def end(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


_function: Callable[[Any, Any], Any]  # of a worker process
_state: Any


def _remember(function: Callable[[Any, Any], Any], state: Any) -> None:
    global _function, _state
    _function, _state = function, state


def _call(item: Any) -> Any:
    return _function(_state, item)
