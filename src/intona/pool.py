"""Work in several processes. Results come in order and do not depend on the number of processes."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from intona.errors import UserError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Item = TypeVar("Item")
Result = TypeVar("Result")


class ReloadsInWorker:
    """Travels to a worker process without its cached properties: networks are loaded anew there."""

    def __getstate__(self) -> dict[str, Any]:
        cached = {
            name
            for cls in type(self).__mro__
            for name, value in vars(cls).items()
            if isinstance(value, functools.cached_property)
        }
        return {name: value for name, value in vars(self).items() if name not in cached}


class DeadWorker(UserError):
    """A worker process was killed, or crashed inside a library."""


def default_workers() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pooled(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    in_flight: int = 2,
    begin: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """`function` of each item, in order, in `workers` processes with one maths thread each.

    Args:
        in_flight: number of items per worker that are running or waiting; a kill loses no more than these.
        begin: called once in each process with `arguments`.

    Raises:
        DeadWorker: a worker died. Exceptions of `function` are raised here.
    """
    context = multiprocessing.get_context("spawn")
    with _one_thread_each():
        pool = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_begin, initargs=(begin, arguments)
        )
        pending: deque = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                while len(pending) >= workers * in_flight:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
            pool.shutdown()  # waits: the processor time of a child counts only after it has ended
        except BrokenProcessPool:
            raise DeadWorker(
                "a worker process died (out of memory?)",
                hint="the same command goes on where it stopped; --workers 1 needs the least memory",
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """In each worker: ignore Ctrl-C, which the parent handles, and end with the parent."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    process = multiprocessing.parent_process()
    if process is not None:
        threading.Thread(target=_follow, args=(process,), daemon=True).start()
    if begin is not None:
        begin(*arguments)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers started inside use one thread for maths; more would compete for the same cores."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _follow(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
