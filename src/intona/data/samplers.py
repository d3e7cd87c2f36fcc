"""Batches of similar duration: deterministic, exactly resumable, divided over ranks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from intona.errors import UserError

Batches = list[list[int]]


class DurationBatchSampler:
    """An endless iterator over lists of item indices, each with at most `max_frames` frames with padding.

    Each epoch has each item once over all ranks. Items are sorted by length with a little noise and packed
    into batches. `world_size` neighbouring batches form one step, so that the ranks have similar loads; the
    steps are shuffled. The order depends only on (seed, epoch).

    All ranks make the same number of steps, so the number of batches must be a multiple of `world_size`. The
    largest batches are halved until it is, which keeps each item exactly once. Only if there are too few
    items (each batch already holds one item) some batches, fewer than `world_size`, come twice.

    `shuffle=False` packs the items in order of length, without noise, and keeps that order.

    Args:
        lengths: frames of each item (n,).
        max_frames: upper limit of items × longest item in a batch.
        max_items: upper limit of items in a batch; None = no limit.

    Raises:
        UserError: no items, fewer than ranks, or an item longer than `max_frames`.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        *,
        max_frames: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        shuffle: bool = True,
        max_items: int | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        if self.lengths.ndim != 1 or not len(self.lengths):
            raise UserError("no items to make batches of", hint="look at report.json of the corpus")
        if (longest := int(self.lengths.max())) > max_frames:
            count = int((self.lengths > max_frames).sum())
            what = f"{count} utterances are longer than max_frames = {max_frames} (longest {longest})"
            raise UserError(what, hint=f"raise max_frames to {longest}, or prepare with a lower max_seconds")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        if len(self.lengths) < world_size:
            what = f"{len(self.lengths)} utterances for {world_size} processes, each of which needs one"
            raise UserError(what, hint=f"start at most {len(self.lengths)} processes")
        if max_items is not None and max_items < 1:
            raise ValueError("max_items must be at least 1")
        self.max_frames, self.max_items = max_frames, max_items
        self.seed, self.rank, self.world_size, self.shuffle = seed, rank, world_size, shuffle
        self.epoch = 0
        self.position = 0  # steps of this epoch already drawn
        self._plan: tuple[int, Batches] | None = None

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        batches = self._batches()
        if self.position >= len(batches) // self.world_size:
            self.epoch, self.position = self.epoch + 1, 0
            batches = self._batches()
        batch = batches[self.position * self.world_size + self.rank]
        self.position += 1
        return list(batch)

    def steps_in_epoch(self, epoch: int | None = None) -> int:
        """Number of batches per rank in an epoch (by default the current one)."""
        plan = self._batches() if epoch is None or epoch == self.epoch else self.plan(epoch)
        return len(plan) // self.world_size

    def one_epoch(self) -> Batches:
        """The batches of this rank in the current epoch, for validation; does not advance the sampler."""
        return [list(b) for b in self._batches()[self.rank :: self.world_size]]

    def longest_batch(self) -> list[int]:
        """The batch that needs the most memory: the longest items, as many as fit."""
        order = np.argsort(-self.lengths, kind="stable")
        best: list[int] = []
        cost = (-1, -1)
        # The largest rectangle may start after the longest item; of equal ones the longer one is used.
        for start in range(min(len(order), 4096)):
            longest = int(self.lengths[order[start]])
            batch = order[start : start + self._fit(longest)]
            if (c := (longest * len(batch), longest)) > cost:
                best, cost = [int(i) for i in batch], c
        return best

    def plan(self, epoch: int) -> Batches:
        """The batches of all ranks in an epoch; rank r uses r, r + world_size, …"""
        rng = np.random.default_rng([self.seed, epoch])
        n = len(self.lengths)
        keys = self.lengths.astype(np.float64)
        if self.shuffle:
            # 5 % noise mixes the batches differently in each epoch and costs little padding.
            keys = keys * rng.uniform(0.95, 1.05, n)
        order = np.lexsort((rng.permutation(n) if self.shuffle else np.arange(n), keys))
        batches: Batches = []
        current: list[int] = []
        longest = 0
        for i, length in zip(order.tolist(), self.lengths[order].tolist(), strict=True):
            wider = max(longest, length)
            if current and len(current) + 1 > self._fit(wider):
                batches.append(current)
                current, wider = [], length
            current.append(i)
            longest = wider
        batches.append(current)
        self._even_out(batches)
        if not self.shuffle:
            return batches
        w = self.world_size
        steps = rng.permutation(len(batches) // w)
        return [batches[s * w + r] for s in steps for r in range(w)]

    def state_dict(self) -> dict[str, Any]:
        """The position of the sampler, the same on every rank."""
        return {"epoch": self.epoch, "position": self.position, "identity": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        On another number of ranks the epoch is divided otherwise. It continues after the same share of its
        steps: in the rest of this epoch some items come a second time and others not at all.

        Raises:
            UserError: the state belongs to other data, limits or seed.
        """
        was, now = state.get("identity") or {}, self._identity()
        if differs := [k for k in now if k != "world_size" and was.get(k) != now[k]]:
            raise UserError(
                f"the order of the data cannot be continued: {', '.join(differs)} changed",
                hint="resume with the same data, limits and seed",
            )
        self.epoch = int(state["epoch"])
        self.position = int(state["position"]) * int(was.get("world_size", 1)) // self.world_size

    def _identity(self) -> dict[str, Any]:
        return {
            "lengths": self._lengths_digest,
            "max_frames": self.max_frames,
            "max_items": self.max_items,
            "seed": self.seed,
            "world_size": self.world_size,
            "shuffle": self.shuffle,
        }

    @cached_property
    def _lengths_digest(self) -> str:
        return hashlib.sha256(self.lengths.tobytes()).hexdigest()[:16]

    def _fit(self, longest: int) -> int:
        count = max(1, self.max_frames // max(1, longest))
        return min(count, self.max_items) if self.max_items else count

    def _even_out(self, batches: Batches) -> None:
        while short := -len(batches) % self.world_size:
            largest = max(range(len(batches)), key=lambda i: (len(batches[i]), i))
            if len(batches[largest]) == 1:
                batches.extend([list(b) for b in (batches * self.world_size)[:short]])
                return
            half = len(batches[largest]) // 2
            batches[largest : largest + 1] = [batches[largest][:half], batches[largest][half:]]

    def _batches(self) -> Batches:
        if self._plan is None or self._plan[0] != self.epoch:
            self._plan = (self.epoch, self.plan(self.epoch))
        return self._plan[1]
