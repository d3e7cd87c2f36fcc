"""The interface of an engine, and the one of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from intona.errors import UserError
from intona.pool import default_workers, pooled

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


def open_engine(
    cluster: str = LOCAL,
    *,
    workers: int | None = None,
    files: Sequence[Path | str | None] = (),
    device: str = "cpu",
) -> Engine:
    """The engine that `--cluster` names, as a context manager.

    Args:
        cluster: "local", "auto" (the Ray cluster that this machine belongs to), or the HOST:PORT of one.
        workers: how many; None = one per core, or on a cluster one per core or GPU.
        files: files and folders that the work reads or writes. All nodes of a cluster must see them; None is
            left out.
        device: where the workers compute: "cpu"; "cuda" = one GPU per worker; "auto" = a GPU where the
            cluster has any.

    Raises:
        UserError: not an address, Ray is not installed, no cluster there. If a node does not see the files
            of this one, `Engine.map` raises it.
    """
    if cluster == LOCAL:
        return LocalEngine(workers, device=device)
    if cluster != AUTO:
        _check_address(cluster)
    from intona.cluster.ray_engine import RayEngine

    return RayEngine(cluster, workers=workers, files=[Path(f) for f in files if f is not None], device=device)


def _check_address(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536) or "/" in address:
        raise UserError(
            f'"{address}" is neither local, auto, nor HOST:PORT',
            where="--cluster",
            hint="the address that `ray start --head` printed, such as 10.0.0.1:6379; run the command on a "
            "node of the cluster",
        )


_function: Callable[[Any, Any], Any]  # of a worker process
_state: Any


def _remember(function: Callable[[Any, Any], Any], state: Any) -> None:
    global _function, _state
    _function, _state = function, state


def _call(item: Any) -> Any:
    return _function(_state, item)
