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
from typing import TypeVar

from intona.serve.errors import ApiError

RETRY_SECONDS = 2
Result = TypeVar("Result")


class Worker:
    """The thread that speaks.

    Args:
        queue: requests that may be in progress or wait at once.
    """

    def __init__(self, queue: int) -> None:
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
        return Job(self._pool, self._places.release)

    def close(self) -> None:
        """Stop after the piece in progress."""
        self._pool.shutdown(wait=True, cancel_futures=True)


class Job:
    """The work of one request. Its calls run one after another in the worker's thread."""

    def __init__(self, pool: ThreadPoolExecutor, release: Callable[[], None]) -> None:
        self._pool, self._release = pool, release
        self._pieces: Iterator[bytes] | None = None
        self._closed = False

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Call a function in the worker's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *args)

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
            self._pool.submit(self._finish)
        except RuntimeError:  # the worker is closed
            self._finish()

    def _finish(self) -> None:
        pieces, self._pieces = self._pieces, None
        try:
            if pieces is not None and hasattr(pieces, "close"):
                with contextlib.suppress(Exception):
                    pieces.close()  # type: ignore[attr-defined]
        finally:
            self._release()
