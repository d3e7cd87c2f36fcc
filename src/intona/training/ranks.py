"""The processes ("ranks") of a run: what they agree on, in which order they work, how they end together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import distributed as dist

from intona.errors import UserError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

T = TypeVar("T")
# Ranks wait for rank 0 while it computes what a corpus needs once (latents, k-means), which may take hours.
PATIENCE = timedelta(days=7)
ORPHANED_WITHIN = 2.0  # seconds


class Ranks:
    """The ranks of a launched Fabric; without one, a single process.

    Messages between ranks go through gloo on the CPU, also where gradients go through NCCL: they may wait for
    as long as it takes, and a rank that has ended is noticed at once.
    """

    def __init__(self, fabric: Fabric | None = None) -> None:
        self.fabric = fabric
        self.rank = 0 if fabric is None else fabric.global_rank
        self.world = 1 if fabric is None else fabric.world_size
        self._parent = os.getppid()
        self._group: Any = None
        if self.world > 1:
            self._group = dist.new_group(backend="gloo", timeout=PATIENCE)

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, in order of rank, on every rank."""
        if self.world == 1:
            return [value]
        out: list[Any] = [None] * self.world
        dist.all_gather_object(out, value, group=self._group)
        return out

    def first(self, value: T) -> T:
        """The value of rank 0, on every rank."""
        if self.world == 1:
            return value
        out = [value]
        dist.broadcast_object_list(out, src=0, group=self._group)
        return out[0]

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on any rank."""
        if self.world == 1:
            return flag
        count = torch.tensor(int(flag))
        dist.all_reduce(count, group=self._group)
        return bool(count > 0)

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        if self.world > 1:
            dist.barrier(group=self._group)

    def together(self, work: Callable[[], T]) -> T:
        """The result of `work` on each rank. An error of one rank ends all of them, with one line.

        Raises:
            UserError: on rank 0; the other ranks exit with code 1.
        """
        if self.world == 1:
            return work()
        return self._settled(*self._attempt(work))

    def in_turn(self, work: Callable[[], T]) -> T:
        """`together`, first on rank 0 alone: what it computes and keeps on disk, the others only read."""
        if self.world == 1:
            return work()
        result, error = self._attempt(work) if self.rank == 0 else (None, None)
        first = self._settled(result, error)
        result, error = self._attempt(work) if self.rank else (first, None)
        return self._settled(result, error)

    def first_only(self, work: Callable[[], T]) -> T:
        """The result of `work` of rank 0, on every rank; the others wait."""
        if self.world == 1:
            return work()
        result, error = self._attempt(work) if self.rank == 0 else (None, None)
        return self.first(self._settled(result, error))

    @contextmanager
    def alike(self) -> Iterator[None]:
        """A `UserError` raised inside is raised by all ranks: rank 0 reports it, the others exit silently."""
        try:
            yield
        except UserError:
            if self.rank:
                raise SystemExit(1) from None
            raise

    @contextmanager
    def ending_together(self, run: Path, progress: Callable[[], str] = str) -> Iterator[None]:
        """What fails inside because another rank has ended becomes one line, which one rank reports.

        Args:
            progress: how far the run is, for that line; called when it is needed.

        Raises:
            UserError: another rank has ended.
        """
        try:
            yield
        except RuntimeError as e:
            if self.world == 1 or not _is_a_lost_rank(e):
                raise
            if not self._reports():
                raise SystemExit(1) from None
            raise UserError(
                f"another of the {self.world} processes of this run has ended{progress()}",
                where=run,
                hint="see its messages, then start the same command again: it resumes",
            ) from None
        except KeyboardInterrupt:
            if self.rank:
                raise SystemExit(130) from None
            raise

    def _reports(self) -> bool:
        """Rank 0 reports what concerns all ranks; if it started the others and has ended, rank 1 does."""
        if self.rank > 1:
            return False
        # The connections of a process that ends are closed before its children get another parent.
        end = time.monotonic() + ORPHANED_WITHIN
        while self.rank == 1 and os.getppid() == self._parent:
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def _attempt(self, work: Callable[[], T]) -> tuple[T | None, Exception | None]:
        try:
            return work(), None
        except Exception as e:
            if self.world > 1 and isinstance(e, RuntimeError) and _is_a_lost_rank(e):
                raise
            return None, e

    def _settled(self, result: T | None, error: Exception | None) -> T:
        """`result`, if no rank has an error."""
        errors = self.gather(None if error is None else _line(error))
        bad = [r for r, line in enumerate(errors) if line]
        if not bad:
            return result  # type: ignore[return-value]
        if self.rank == 0:
            if error is not None:
                raise error
            raise UserError(f"process {bad[0]} of {self.world}: {errors[bad[0]]}")
        if error is not None and not isinstance(error, UserError) and 0 not in bad:
            raise error  # a bug: its traceback is that of this rank
        raise SystemExit(1)


def _line(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"


def _is_a_lost_rank(error: RuntimeError) -> bool:
    """Whether a collective failed because a peer is gone; gloo reports it only in the message."""
    kinds = (dist.DistBackendError, dist.DistNetworkError)
    message = str(error).lower()
    return isinstance(error, kinds) or "gloo" in message or "connection closed by peer" in message
