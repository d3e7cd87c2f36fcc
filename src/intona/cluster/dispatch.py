"""Hands items to workers on a cluster and gives their results in order, also when workers are lost."""

from __future__ import annotations

import contextlib
import heapq
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from intona.errors import UserError
from intona.pool import DeadWorker

WAITING_SECONDS = 60.0  # without any worker, until a message says so
QUEUE = 2  # items at a worker: one that it works on, one that waits there
HINT = "the same command goes on where it stopped"
logger = logging.getLogger(__name__)


@dataclass(order=True)
class _Task:
    number: int
    item: Any = field(compare=False)
    losses: int = field(default=0, compare=False)


@dataclass(eq=False)
class _Member:
    """A worker: not ready until its first method has returned."""

    handle: Any
    node: str = ""
    ready: bool = False
    tasks: deque[_Task] = field(default_factory=deque)


class Dispatch:
    """One `map` on a cluster.

    Args:
        ray: the module, connected to a cluster.
        begin: starts a worker; returns its handle, and the reference to the result of its first method, the
            name of its node.
        workers: how many may run at once; fewer start for fewer items.
        in_flight: items per worker that are handed out or whose results wait for those of earlier ones.
        losses: an item that was lost with its worker so often is given up. The whole is given up when that
            many workers for each place are lost one after the other without a result between.
    """

    def __init__(
        self,
        ray: Any,
        begin: Callable[[], tuple[Any, Any]],
        items: Iterable[Any],
        *,
        workers: int,
        in_flight: int,
        losses: int,
    ) -> None:
        self._ray, self._begin = ray, begin
        self._source = enumerate(items)
        self._workers, self._limit, self._losses = workers, workers * in_flight, losses
        self._waiting: list[_Task] = []  # a heap: the earliest item first
        self._members: list[_Member] = []
        self._running: dict[Any, tuple[_Member, _Task | None]] = {}  # by reference; None: the worker begins
        self._results: dict[int, Any] = {}
        self._next = 0  # the item whose result comes next
        self._last: int | None = None  # how many items there are, once that is known
        self._lost_in_a_row = 0
        self._warned = False

    def results(self) -> Generator[Any, None, None]:
        """What `call` of the workers returns, in the order of the items.

        Raises:
            DeadWorker: an item was lost too often. Exceptions of workers are raised as they are.
        """
        try:
            while True:
                self._fill()
                if self._next in self._results:
                    self._next += 1
                    yield self._results.pop(self._next - 1)
                elif self._next == self._last:
                    return
                else:
                    self._collect()
        finally:
            for member in self._members:
                with contextlib.suppress(Exception):  # the cluster itself may be gone
                    self._ray.kill(member.handle)

    def _fill(self) -> None:
        """Take items up to the limit, start workers for them, and hand them to workers that are ready."""
        outstanding = len(self._results) + len(self._waiting) + sum(len(m.tasks) for m in self._members)
        while self._last is None and outstanding < self._limit:
            task = next(self._source, None)
            if task is None:
                self._last = self._next + outstanding
                break
            heapq.heappush(self._waiting, _Task(*task))
            outstanding += 1
        while self._waiting:
            ready = [m for m in self._members if m.ready and len(m.tasks) < QUEUE]
            idle = [m for m in ready if not m.tasks]
            if not idle and len(self._members) < min(self._workers, outstanding):
                handle, reference = self._begin()
                self._members.append(_Member(handle))
                self._running[reference] = self._members[-1], None
            elif ready:
                member = min(ready, key=lambda m: len(m.tasks))
                task = heapq.heappop(self._waiting)
                member.tasks.append(task)
                self._running[member.handle.call.remote(task.item)] = member, task
            else:
                break

    def _collect(self) -> None:
        """Wait for something to end, and take what it returned."""
        done, _ = self._ray.wait(list(self._running), timeout=WAITING_SECONDS)
        if not done and not self._warned and not any(m.ready for m in self._members):
            self._warned = True
            logger.warning("no worker has begun yet: the cluster may have no free CPU or GPU")
        errors = self._ray.exceptions
        for reference in done:
            if reference not in self._running:  # of a worker that was just lost
                continue
            member, task = self._running.pop(reference)
            try:
                value = self._ray.get(reference)
            except errors.RayTaskError as e:
                cause = cause_of(e)
                # An error of Ray itself: the node lacks a module that function, state or item needs.
                raise _not_started(cause) if isinstance(cause, errors.RayError) else cause from e
            except errors.RayActorError as e:
                if e.actor_init_failed:
                    raise _not_started(e) from e
                self._lose(member)
            except errors.RayError:
                if task is None:
                    self._lose(member)
                else:  # the result was lost with its node; that the worker is lost shows elsewhere
                    member.tasks.remove(task)
                    self._again(task)
            else:
                if task is None:
                    member.node, member.ready = str(value), True
                else:
                    member.tasks.remove(task)
                    self._results[task.number] = value
                    self._lost_in_a_row = 0

    def _lose(self, member: _Member) -> None:
        """Give the work of a lost worker to others."""
        self._members.remove(member)
        for reference in [r for r, (m, _) in self._running.items() if m is member]:
            del self._running[reference]
        self._ray.kill(member.handle)
        self._lost_in_a_row += 1
        where = f" on {member.node}" if member.node else ""
        work = "; others do its work again" if member.tasks else ""
        logger.warning("a worker%s was lost%s", where, work)
        for place, task in enumerate(member.tasks):
            # The first one is what it worked on: the others have not been touched.
            self._again(task, lost=place == 0)
        if self._lost_in_a_row >= self._losses * self._workers:
            raise DeadWorker(
                f"{self._lost_in_a_row} workers were lost without a result (out of memory?)", hint=HINT
            )

    def _again(self, task: _Task, *, lost: bool = True) -> None:
        task.losses += lost
        if task.losses >= self._losses:
            raise DeadWorker(f"{task.losses} workers died of the same item (out of memory?)", hint=HINT)
        heapq.heappush(self._waiting, task)


def cause_of(error: Any) -> Exception:
    """What a worker raised, without the wrapping of Ray."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, Exception) else RuntimeError(str(error).strip().rpartition("\n")[2])


def _not_started(error: Exception) -> UserError:
    reason = str(error).strip().rpartition("\n")[2]
    return UserError(
        f"a worker cannot start ({reason})",
        where="--cluster",
        hint="install the same version of intona, with its extras, on all nodes",
    )
