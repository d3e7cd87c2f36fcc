"""Progress of long work on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")
Show = Callable[[int, int, str], None]  # (done, of how many, what now)
EVERY_SECONDS = 30.0  # between two lines of a log


class Lines:
    """Called with (done, of how many, what now) as often as one likes; prints a line every so many seconds.

    Args:
        what: the work, as "speaking". every: seconds between lines; work that takes less prints none.
        clock: seconds that never go back.
    """

    def __init__(
        self, what: str, *, every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._every, self._clock = what, every, clock
        self._began = self._printed = clock()
        self._first: int | None = None

    def __call__(self, done: int, total: int, now: str = "") -> None:
        time_now = self._clock()
        if self._first is None:
            self._first = done  # what was there before took none of this time
        if time_now - self._printed < self._every or done >= total:
            return
        self._printed = time_now
        left = ""
        if done > self._first:
            seconds = (time_now - self._began) * (total - done) / (done - self._first)
            left = f", about {seconds / 60:.1f} min left"
        print(f"{self._what}: {done} of {total}{left}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def bar(what: str) -> Iterator[Show]:
    """Gives a function (done, of how many, what now) to call."""
    if not sys.stderr.isatty():
        yield Lines(what)
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
        total: how many there are, of an iterable without a length.
    """
    if total is None:
        assert isinstance(items, Sized), "an iterable without a length needs its total"
        total = len(items)
    with bar(what) as show:
        show(0, total, "")
        for done, item in enumerate(items, 1):
            yield item
            show(done, total, "")
