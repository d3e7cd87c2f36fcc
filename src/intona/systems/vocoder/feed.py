"""Segments of clips: mels with the samples that they stand for, in an order that a resume continues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intona.errors import UserError
from intona.systems.vocoder.targets import Clip, Source, Targets
from intona.training.task import Batches


@dataclass(frozen=True, kw_only=True)
class Segments:
    """A batch.

    Args:
        ids: clip and first frame, as "ID@FRAME".
        mels: (B, T, n_mels).
        samples: (B, T * hop + 2 * pad), what the mels' frames were made of or should become.
        band_hz: (B,) up to where the samples teach: the end of a recording's content, infinite for the
            teacher's sound, 0 where it is not known.
        pitch: (B, T, 2) Hz and phase of the recording's fundamental; None where it was not asked for.
    """

    ids: tuple[str, ...]
    mels: Tensor
    samples: Tensor
    band_hz: Tensor
    pitch: Tensor | None = None

    def to(self, device: torch.device) -> Segments:
        return replace(
            self,
            mels=self.mels.to(device),
            samples=self.samples.to(device),
            band_hz=self.band_hz.to(device),
            pitch=None if self.pitch is None else self.pitch.to(device),
        )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a segment lies and what its sound is."""

    clip: Clip
    start: int
    source: Source


class SegmentFeed:
    """Training segments of one rank, and the dev split's.

    Each epoch takes every clip as often as the segment fits into it (at least once where it fits at all), at
    places that depend on (seed, epoch) alone.

    Args:
        segment: frames. batch: segments a step.
        pitch: whether batches hold the recordings' pitch.
        teacher: share of segments with the teacher's sound, among those of clips that have it; all others
            have the recording's.

    Raises:
        UserError: no clip is as long as a segment.
    """

    def __init__(
        self,
        targets: Targets,
        *,
        segment: int,
        batch: int,
        teacher: float,
        seed: int,
        rank: int = 0,
        world: int = 1,
        pitch: bool = False,
    ) -> None:
        self.pitch = pitch
        self.targets, self.segment, self.batch, self.teacher = targets, segment, batch, teacher
        self.seed, self.rank, self.world = seed, rank, world
        self._train = [c for c in targets.split("train") if c.n_frames >= segment]
        if sum(c.n_frames // segment for c in self._train) < batch * world:
            raise UserError(f"too few clips of {segment} frames for a batch of {batch}", where=targets.root)
        self.epoch = 0
        self.position = 0  # steps of this epoch already drawn
        self._plan: tuple[int, list[Place]] | None = None

    def plan(self, epoch: int) -> list[Place]:
        """All segments of an epoch in their order, those of all ranks."""
        rng = np.random.default_rng([self.seed, epoch])
        places: list[Place] = []
        for clip in self._train:
            for start in rng.integers(
                0, clip.n_frames - self.segment + 1, max(1, clip.n_frames // self.segment)
            ):
                taught = rng.random() < self.teacher and clip.teacher
                source: Source = "teacher" if taught else "recording"
                places.append(Place(clip=clip, start=int(start), source=source))
        return [places[i] for i in rng.permutation(len(places))]

    def next(self) -> Segments:
        step = self.batch * self.world
        if self._plan is None or self._plan[0] != self.epoch:
            self._plan = (self.epoch, self.plan(self.epoch))
        if (self.position + 1) * step > len(self._plan[1]):
            self.epoch, self.position = self.epoch + 1, 0
            self._plan = (self.epoch, self.plan(self.epoch))
        first = self.position * step + self.rank * self.batch
        self.position += 1
        return self._collate(self._plan[1][first : first + self.batch])

    def longest(self) -> Segments:
        """Every batch is of one size."""
        return self._collate(self.plan(0)[: self.batch])

    def validation(self) -> Sequence[Segments]:
        """The middle of each dev clip, with the teacher's sound, or the recording's where none is learnt."""
        clips = [c for c in self.targets.split("dev") if c.n_frames >= self.segment]
        source: Source = "teacher" if self.teacher else "recording"
        places = [Place(clip=c, start=(c.n_frames - self.segment) // 2, source=source) for c in clips]
        return Batches([places[i : i + self.batch] for i in range(0, len(places), self.batch)], self._collate)

    def seconds(self, batch: Segments) -> float:
        return self.targets.spec.seconds(batch.mels.shape[0] * batch.mels.shape[1])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "position": self.position, "identity": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        Another number of ranks continues in the same order of segments; up to a step of them comes twice.

        Raises:
            UserError: the state belongs to other targets, sizes or seed.
        """
        was, now = state.get("identity") or {}, self._identity()
        if differs := [k for k in now if k != "world" and was.get(k) != now[k]]:
            raise UserError(
                f"the order of the data cannot be continued: {', '.join(differs)} changed",
                hint="resume with the same targets, sizes and seed",
            )
        self.epoch = int(state["epoch"])
        self.position = int(state["position"]) * int(was.get("world", self.world)) // self.world

    def _identity(self) -> dict[str, Any]:
        return {
            "targets": self.targets.fingerprint,
            "segment": self.segment,
            "batch": self.batch,
            "teacher": self.teacher,
            "seed": self.seed,
            "world": self.world,
        }

    def _collate(self, places: Sequence[Place]) -> Segments:
        t = self.targets
        mels = [t.mel(p.clip, p.start, self.segment) for p in places]
        samples = [t.samples(p.clip, p.source, p.start, self.segment, t.spec.pad) for p in places]
        return Segments(
            ids=tuple(f"{p.clip.id}@{p.start}" for p in places),
            mels=torch.from_numpy(np.stack(mels)),
            samples=torch.from_numpy(np.stack(samples)),
            band_hz=torch.tensor(
                [p.clip.band_hz if p.source == "recording" else float("inf") for p in places]
            ),
            pitch=torch.from_numpy(np.stack([t.pitch(p.clip, p.start, self.segment) for p in places]))
            if self.pitch
            else None,
        )
