"""Work in several processes, results in order; which process does what never shows in them."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from intona.data.workers import one_thread_each, start_worker
from intona.errors import UserError

IN_FLIGHT = 2  # items a worker: a kill loses no more than these
Item = TypeVar("Item")
Result = TypeVar("Result")


def pooled(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    begin: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """`function` of each item, in order, in `workers` processes with one maths thread each.

    Args:
        begin: called once in each process with `arguments`.

    Raises:
        UserError: a worker died. What a worker raises is raised here.
    """
    context = multiprocessing.get_context("spawn")
    with one_thread_each():
        pool = ProcessPoolExecutor(
            min(workers, len(items)), mp_context=context, initializer=_begin, initargs=(begin, arguments)
        )
        pending: deque = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                while len(pending) >= workers * IN_FLIGHT:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process died (out of memory?)",
                mend="the same command goes on where it stopped; --workers 1 needs the least memory",
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    start_worker()
    if begin is not None:
        begin(*arguments)
