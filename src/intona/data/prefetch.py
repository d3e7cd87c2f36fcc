"""Batches that a thread prepares while the last one is trained on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
DEPTH = 2  # batches ahead: one is ready while the next is read


class Resumable(Protocol[T]):  # type: ignore[misc]
    """An endless iterator with a state."""

    def __next__(self) -> T: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Prefetcher(Generic[T]):
    """The batches of a loader in the same order, read ahead by one thread.

    A thread is enough: reading a memory map and padding release the interpreter for most of the time, and
    worker processes would copy each batch. The state is that after the last batch that was returned, whatever
    was read ahead, so that a resumed run continues exactly. An error of the loader is raised where its batch
    would have been returned.

    Args:
        loader: used by the thread alone from the first batch on. depth: batches that are kept ready.
        prepare: called in the thread on each batch, such as `Batch.pin_memory`.
    """

    def __init__(
        self, loader: Resumable[T], *, depth: int = DEPTH, prepare: Callable[[T], T] | None = None
    ) -> None:
        if depth < 1:
            raise ValueError("depth must be at least 1")
        self._loader, self._depth, self._prepare = loader, depth, prepare
        self._state = loader.state_dict()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ready: queue.Queue[tuple[T | BaseException, dict[str, Any]]] = queue.Queue(depth)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._thread is None:
            self._start()
        batch, state = self._ready.get()
        if isinstance(batch, BaseException):
            self.close()
            self._loader.load_state_dict(self._state)
            raise batch
        self._state = state
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The state after the last batch that was returned."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`; what was read ahead is discarded."""
        self.close()
        self._loader.load_state_dict(state)
        self._state = self._loader.state_dict()

    def close(self) -> None:
        """End the thread. The next batch starts another one."""
        if self._thread is None:
            return
        self._stop.set()
        while self._thread.is_alive():
            try:  # a full queue holds the thread up
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread = None

    def __del__(self) -> None:
        self._stop.set()

    def _start(self) -> None:
        self._stop = threading.Event()
        self._ready = queue.Queue(self._depth)
        arguments = (self._loader, self._prepare, self._ready, self._stop)
        self._thread = threading.Thread(target=_read_ahead, args=arguments, name="prefetch", daemon=True)
        self._thread.start()


def _read_ahead(
    loader: Resumable[Any], prepare: Callable[[Any], Any] | None, ready: queue.Queue, stop: threading.Event
) -> None:
    """Runs in the thread, which keeps no reference to the prefetcher: dropping that ends it."""
    while not stop.is_set():
        try:
            batch = next(loader)
            entry = (batch if prepare is None else prepare(batch), loader.state_dict())
        except BaseException as error:
            entry = (error, {})
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.2)
                break
            except queue.Full:
                continue
        if isinstance(entry[0], BaseException):
            return
