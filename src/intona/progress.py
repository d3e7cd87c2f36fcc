"""Progress of long work: a bar on a terminal, elsewhere a message every half minute.

Both appear only where messages of level INFO do (`intona.logs`).
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")
Show = Callable[[int, int, str], None]  # (done, total, current item)
EVERY_SECONDS = 30.0  # between two messages
logger = logging.getLogger(__name__)


class ProgressMessages:
    """Call it with (done, total, current item) as often as you like; it logs a message every `every` seconds.

    Args:
        what: the work, such as "speaking". every: seconds between messages; shorter work logs none.
        clock: returns seconds that never decrease.
    """

    def __init__(
        self, what: str, *, every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._every, self._clock = what, every, clock
        self._start = self._last = clock()
        self._first: int | None = None

    def __call__(self, done: int, total: int, now: str = "") -> None:
        time_now = self._clock()
        if self._first is None:
            self._first = done  # what was done before the start took none of this time
        if time_now - self._last < self._every or done >= total:
            return
        self._last = time_now
        left = ""
        if done > self._first:
            seconds = (time_now - self._start) * (total - done) / (done - self._first)
            left = f", about {seconds / 60:.1f} min left"
        logger.info("%s: %d of %d%s", self._what, done, total, left)


def bar_is_shown() -> bool:
    """Whether progress is a bar: stderr is a terminal, and messages of level INFO are shown."""
    return sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)


@contextlib.contextmanager
def bar(what: str) -> Iterator[Show]:
    """Yields a function to call with (done, total, current item)."""
    if not bar_is_shown():
        yield ProgressMessages(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[now]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, now="")

        def show(done: int, total: int, now: str) -> None:
            progress.update(task, completed=done, total=total, now=now)

        yield show


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """The items, with progress.

    Args:
        total: their number, for an iterable without a length.
    """
    if total is None:
        assert isinstance(items, Sized), "an iterable without a length needs a total"
        total = len(items)
    with bar(what) as show:
        show(0, total, "")
        for done, item in enumerate(items, 1):
            yield item
            show(done, total, "")
