"""Batches of like duration: deterministic, exactly resumable, divided over ranks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from intona.errors import UserError

Batches = list[list[int]]


class DurationBatchSampler:
    """An endless iterator over lists of item indices, each at most `max_frames` frames with padding.

    Every epoch holds each item once over all ranks. Items are sorted by length with a little noise,
    packed into batches, and `world_size` neighbouring batches make one step, so that ranks get like
    loads; the steps are shuffled. What is drawn depends on (seed, epoch) only.

    The uneven tail: all ranks make the same number of steps, so the number of batches must divide by
    `world_size`. The largest batches are halved until it does, which keeps every item exactly once.
    Only where items are too few for that (each batch already holds one item) some batches, fewer than
    `world_size`, are given twice.

    `shuffle=False` packs in order of length without noise and keeps that order.

    Args:
        lengths: frames of each item (n,).
        max_frames: items × longest item in a batch never exceeds it.
        max_items: most items in a batch, where wanted.

    Raises:
        UserError: no items, or an item longer than `max_frames`.
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
            raise UserError("nothing to make batches of", hint="look at the corpus's report.json")
        if (longest := int(self.lengths.max())) > max_frames:
            count = int((self.lengths > max_frames).sum())
            what = f"{count} utterances are longer than max_frames = {max_frames} (longest {longest})"
            raise UserError(what, hint=f"raise max_frames to {longest}, or prepare with a lower max_seconds")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
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
        """Batches that each rank draws in an epoch (the current one)."""
        plan = self._batches() if epoch is None or epoch == self.epoch else self.plan(epoch)
        return len(plan) // self.world_size

    def one_epoch(self) -> Batches:
        """This rank's batches of the current epoch, without moving: for validation."""
        return [list(b) for b in self._batches()[self.rank :: self.world_size]]

    def longest_batch(self) -> list[int]:
        """The batch that needs most memory: the longest items, as many as fit. A dry run starts with it."""
        order = np.argsort(-self.lengths, kind="stable")
        best: list[int] = []
        cost = (-1, -1)
        # The fullest rectangle may start below the longest item; ties go to the longer one.
        for start in range(min(len(order), 4096)):
            longest = int(self.lengths[order[start]])
            batch = order[start : start + self._fit(longest)]
            if (c := (longest * len(batch), longest)) > cost:
                best, cost = [int(i) for i in batch], c
        return best

    def plan(self, epoch: int) -> Batches:
        """All ranks' batches of an epoch; rank r takes r, r + world_size, …"""
        rng = np.random.default_rng([self.seed, epoch])
        n = len(self.lengths)
        keys = self.lengths.astype(np.float64)
        if self.shuffle:
            # 5 % noise changes who meets whom each epoch and costs little padding.
            keys = keys * rng.uniform(0.95, 1.05, n)
        order = np.lexsort((rng.permutation(n) if self.shuffle else np.arange(n), keys))
        batches: Batches = []
        current: list[int] = []
        longest = 0
        for i in order:
            wider = max(longest, int(self.lengths[i]))
            if current and len(current) + 1 > self._fit(wider):
                batches.append(current)
                current, wider = [], int(self.lengths[i])
            current.append(int(i))
            longest = wider
        batches.append(current)
        self._even_out(batches)
        if not self.shuffle:
            return batches
        w = self.world_size
        steps = rng.permutation(len(batches) // w)
        return [batches[s * w + r] for s in steps for r in range(w)]

    def state_dict(self) -> dict[str, Any]:
        """Where the sampler stands, the same on every rank."""
        return {"epoch": self.epoch, "position": self.position, "identity": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            UserError: the state belongs to other data, limits, seed or number of ranks.
        """
        if state.get("identity") != self._identity():
            was, now = state.get("identity") or {}, self._identity()
            differs = [k for k in now if was.get(k) != now[k]]
            raise UserError(
                f"the order of the data cannot be continued: {', '.join(differs)} changed",
                hint="resume with the same data, limits, seed and number of ranks",
            )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def _identity(self) -> dict[str, Any]:
        return {
            "lengths": hashlib.sha256(self.lengths.tobytes()).hexdigest()[:16],
            "max_frames": self.max_frames,
            "max_items": self.max_items,
            "seed": self.seed,
            "world_size": self.world_size,
            "shuffle": self.shuffle,
        }

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
