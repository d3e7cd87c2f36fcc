"""Pairs of frame sequences of equal length: in batches with state for training, and in files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError
from torch import Tensor

from intona.data.samplers import DurationBatchSampler
from intona.files import write_whole
from intona.progress import bar
from intona.training.task import Batches

T = TypeVar("T")
PART = 50  # items per part: an interruption loses at most one part
STORED = {"source": "given", "target": "wanted"}  # field -> its name in a file


@dataclass(frozen=True, kw_only=True)
class FramePair:
    """Source (T, A), target (T, C) and style (S,) of one item."""

    id: str
    source: np.ndarray
    target: np.ndarray
    style: np.ndarray


@dataclass(frozen=True, kw_only=True)
class FrameBatch:
    """Source (B, T, A), target (B, T, C), frames (B,), style (B, S). `frames` stay on the CPU."""

    ids: tuple[str, ...]
    source: Tensor
    target: Tensor
    frames: Tensor
    style: Tensor

    def to(self, device: torch.device | str) -> FrameBatch:
        moved = {k: getattr(self, k).to(device) for k in ("source", "target", "style")}
        return dataclasses.replace(self, **moved)


def collate(pairs: Sequence[FramePair]) -> FrameBatch:
    size = max(len(p.target) for p in pairs)

    def rows(name: str) -> Tensor:
        first = getattr(pairs[0], name)
        out = np.zeros((len(pairs), size, first.shape[1]), np.float32)
        for row, pair in zip(out, pairs, strict=True):
            values = getattr(pair, name)
            row[: len(values)] = values
        return torch.from_numpy(out)

    return FrameBatch(
        ids=tuple(p.id for p in pairs),
        source=rows("source"),
        target=rows("target"),
        frames=torch.tensor([len(p.target) for p in pairs]),
        style=torch.from_numpy(np.stack([p.style for p in pairs]).astype(np.float32)),
    )


class FrameFeed:
    """A `training.task.Feed` over pairs in memory.

    Args:
        max_frames: at most so many frames per batch of whole recordings, padding included.
        batch, window: a batch is `batch` recordings instead, of which the model cuts windows of at most
            `window` frames.
    """

    def __init__(
        self,
        train: Sequence[FramePair],
        dev: Sequence[FramePair],
        *,
        max_frames: int,
        seed: int,
        rank: int,
        world: int,
        frame_seconds: float,
        batch: int | None = None,
        window: int = 0,
    ) -> None:
        self._pairs, self._held, self._seconds = train, dev, frame_seconds
        self._window = window if batch else None
        limits: dict[str, Any] = {"max_frames": max_frames, "seed": seed}
        if batch:
            limits |= {"max_frames": batch * window, "max_items": batch}
        self._train = DurationBatchSampler(self._lengths(train), rank=rank, world_size=world, **limits)
        self._dev = DurationBatchSampler(self._lengths(dev), shuffle=False, **limits) if dev else None

    def _lengths(self, pairs: Sequence[FramePair]) -> list[int]:
        return [min(len(p.target), self._window or len(p.target)) for p in pairs]

    def next(self) -> FrameBatch:
        return collate([self._pairs[i] for i in next(self._train)])

    def longest(self) -> FrameBatch:
        return collate([self._pairs[i] for i in self._train.longest_batch()])

    def validation(self) -> Sequence[FrameBatch]:
        plan = [] if self._dev is None else self._dev.one_epoch()
        return Batches(plan, lambda indices: collate([self._held[i] for i in indices]))

    def seconds(self, batch: FrameBatch) -> float:
        frames = batch.frames if self._window is None else batch.frames.clamp(max=self._window)
        return float(frames.sum()) * self._seconds

    def state_dict(self) -> dict[str, Any]:
        return self._train.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._train.load_state_dict(state)


def write(path: Path, pairs: dict[str, list[FramePair]], identity: str) -> None:
    """Write all splits in one safetensors file, in half precision; whole or not at all."""
    flat = [(split, p) for split, rows in pairs.items() for p in rows]
    tensors = {
        f"{split}/{i:06d}/{stored}": np.ascontiguousarray(getattr(p, name), np.float16)
        for i, (split, p) in enumerate(flat)
        for name, stored in STORED.items()
    }
    tensors |= {f"{s}/{i:06d}/style": p.style.astype(np.float32) for i, (s, p) in enumerate(flat)}
    tensors |= {f"{s}/{i:06d}/id": np.frombuffer(p.id.encode(), np.uint8) for i, (s, p) in enumerate(flat)}
    write_whole(path, safetensors.numpy.save(tensors, metadata={"identity": identity}))


def make_in_parts(
    path: Path,
    identity: str,
    items: Sequence[T],
    make: Callable[[T], tuple[str, FramePair] | None],
    *,
    what: str,
) -> dict[str, list[FramePair]]:
    """The pairs of all items, with a progress bar; parts of PART items are kept beside `path` meanwhile.

    An interrupted call continues with the part that it was working on. If the parts cannot be written, the
    pairs are only returned.

    Args:
        identity: of the content of the whole file at `path`. what: the work, for the progress bar.
        make: item -> its split and pair, or None if it has none. It must not depend on earlier items.
    """
    out: dict[str, list[FramePair]] = {"train": [], "dev": []}
    with bar(what) as show:
        for first in range(0, len(items), PART):
            part, name = _part(path, first // PART), f"{identity}/{first}"
            pairs = read(part, name)
            if pairs is None:
                pairs = {split: [] for split in out}
                for number, item in enumerate(items[first : first + PART], first):
                    show(number, len(items), "")
                    if (result := make(item)) is not None:
                        pairs[result[0]].append(result[1])
                with contextlib.suppress(OSError):
                    write(part, pairs, name)
            for split, rows in pairs.items():
                out[split] += rows
    return out


def remove_parts(path: Path) -> None:
    """Remove the parts once `path` is written."""
    for part in path.parent.glob(f"{path.stem}.part-*{path.suffix}"):
        part.unlink(missing_ok=True)


def _part(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.part-{number:04d}{path.suffix}")


def read(path: Path, identity: str) -> dict[str, list[FramePair]] | None:
    """The pairs of a file; None if it is missing, damaged or has another identity."""
    try:
        with safetensors.safe_open(path, "numpy") as f:
            if (f.metadata() or {}).get("identity") != identity:
                return None
            out: dict[str, list[FramePair]] = {"train": [], "dev": []}
            for key in sorted({k.rsplit("/", 1)[0] for k in f.keys()}):  # noqa: SIM118
                fields = {**STORED, "style": "style"}
                arrays = {name: f.get_tensor(f"{key}/{stored}") for name, stored in fields.items()}
                name = f.get_tensor(f"{key}/id").tobytes().decode()
                out.setdefault(key.split("/")[0], []).append(FramePair(id=name, **arrays))
            return out
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
