"""Synthesis off the event loop: one thread, and a bounded number of requests.

The thread computes one piece of one request at a time. Requests therefore take turns, the pieces of a slow
client are not computed before it has accepted the earlier ones, and nothing more is computed for a client
that left.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from intona.serve.errors import ApiError
from intona.serve.memory import release_free

RETRY_SECONDS = 2
Result = TypeVar("Result")


class Gauge(Protocol):
    """A figure that rises and falls."""

    def set(self, value: float) -> None: ...


class Worker:
    """The thread that computes.

    Args:
        queue: requests that may be in progress or wait at once.
        length: shows how many do.
    """

    def __init__(self, queue: int, length: Gauge | None = None) -> None:
        self._length, self._in_progress = length, 0
        self._calls = 0  # in the thread, now
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="synthesis")
        self._places = threading.BoundedSemaphore(queue)

    def job(self) -> Job:
        """A place for a request; `Job.close` frees it.

        Raises:
            ApiError: 429 when every place is taken.
        """
        if not self._places.acquire(blocking=False):
            raise ApiError(
                429,
                "too many requests are in progress; try again shortly",
                code="queue_full",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._count(1)
        return Job(self)

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Call a function in the thread."""

        def call() -> Result:
            self._calls += 1
            try:
                return function(*args)
            finally:
                self._calls -= 1

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def submit(self, function: Callable[[], object]) -> None:
        """Call a function in the thread, without waiting for it.

        Raises:
            RuntimeError: the worker is closed.
        """
        self._pool.submit(function)

    def release(self) -> None:
        """Free the place of a request. After the last one free memory goes back to the system."""
        if self._count(-1) == 0:
            release_free()
        self._places.release()

    @property
    def busy(self) -> bool:
        """Whether the thread computes something now."""
        return self._calls > 0

    def _count(self, change: int) -> int:
        with self._lock:
            self._in_progress += change
            if self._length is not None:
                self._length.set(self._in_progress)
            return self._in_progress

    def close(self) -> None:
        """Stop after the piece in progress, without waiting for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Job:
    """The work of one request. Its calls run one after another in the worker's thread."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._pieces: Iterator[bytes] | None = None
        self._closed = False

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Call a function in the worker's thread."""
        return await self._worker.run(function, *args)

    async def pieces(self, start: Callable[[], Iterator[bytes]]) -> AsyncIterator[bytes]:
        """The pieces of an iterator that is created and advanced in the worker's thread.

        Empty pieces are passed on too: each is a chance to stop.
        """

        def step() -> bytes | None:
            if self._closed:
                return None
            if self._pieces is None:
                self._pieces = start()
            return next(self._pieces, None)

        while (piece := await self.run(step)) is not None:
            yield piece

    def close(self) -> None:
        """Stop and free the place, after the piece in progress. May be called again."""
        if self._closed:
            return
        self._closed = True
        try:
            self._worker.submit(self._finish)
        except RuntimeError:  # the worker is closed
            self._finish()

    def _finish(self) -> None:
        pieces, self._pieces = self._pieces, None
        try:
            if pieces is not None and hasattr(pieces, "close"):
                with contextlib.suppress(Exception):
                    pieces.close()  # type: ignore[attr-defined]
        finally:
            self._worker.release()
