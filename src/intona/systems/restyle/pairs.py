"""Pairs of frame sequences of one length an item, as batches with state: what all three stages train on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
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

T = TypeVar("T")
PART = 50  # items: what an interruption costs at most


@dataclass(frozen=True, kw_only=True)
class Pair:
    """given (T, A) and wanted (T, C) of one item; style (S,)."""

    id: str
    given: np.ndarray
    wanted: np.ndarray
    style: np.ndarray


@dataclass(frozen=True, kw_only=True)
class PairBatch:
    """given (B, T, A), wanted (B, T, C), frames (B,), style (B, S)."""

    ids: tuple[str, ...]
    given: Tensor
    wanted: Tensor
    frames: Tensor
    style: Tensor

    def to(self, device: torch.device | str) -> PairBatch:
        moved = {k: getattr(self, k).to(device) for k in ("given", "wanted", "style")}
        return dataclasses.replace(self, **moved)


def collate(pairs: Sequence[Pair]) -> PairBatch:
    size = max(len(p.wanted) for p in pairs)

    def rows(name: str) -> Tensor:
        first = getattr(pairs[0], name)
        out = np.zeros((len(pairs), size, first.shape[1]), np.float32)
        for row, pair in zip(out, pairs, strict=True):
            values = getattr(pair, name)
            row[: len(values)] = values
        return torch.from_numpy(out)

    return PairBatch(
        ids=tuple(p.id for p in pairs),
        given=rows("given"),
        wanted=rows("wanted"),
        frames=torch.tensor([len(p.wanted) for p in pairs]),
        style=torch.from_numpy(np.stack([p.style for p in pairs]).astype(np.float32)),
    )


class PairFeed:
    """A `training.task.Feed` over pairs in memory.

    Args:
        max_frames: bounds a batch of whole recordings, with padding.
        batch, window: a batch is so many windows of at most `window` frames instead, which the model cuts.
    """

    def __init__(
        self,
        train: Sequence[Pair],
        dev: Sequence[Pair],
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

    def _lengths(self, pairs: Sequence[Pair]) -> list[int]:
        return [min(len(p.wanted), self._window or len(p.wanted)) for p in pairs]

    def next(self) -> PairBatch:
        return collate([self._pairs[i] for i in next(self._train)])

    def longest(self) -> PairBatch:
        return collate([self._pairs[i] for i in self._train.longest_batch()])

    def validation(self) -> Iterator[PairBatch]:
        for indices in self._dev.one_epoch() if self._dev is not None else ():
            yield collate([self._held[i] for i in indices])

    def seconds(self, batch: PairBatch) -> float:
        frames = batch.frames if self._window is None else batch.frames.clamp(max=self._window)
        return float(frames.sum()) * self._seconds

    def state_dict(self) -> dict[str, Any]:
        return self._train.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._train.load_state_dict(state)


def write(path: Path, pairs: dict[str, list[Pair]], identity: str) -> None:
    """All splits in one safetensors file, halves; written whole or not at all."""
    flat = [(split, p) for split, rows in pairs.items() for p in rows]
    tensors = {
        f"{split}/{i:06d}/{name}": np.ascontiguousarray(getattr(p, name), np.float16)
        for i, (split, p) in enumerate(flat)
        for name in ("given", "wanted")
    }
    tensors |= {f"{s}/{i:06d}/style": p.style.astype(np.float32) for i, (s, p) in enumerate(flat)}
    tensors |= {f"{s}/{i:06d}/id": np.frombuffer(p.id.encode(), np.uint8) for i, (s, p) in enumerate(flat)}
    write_whole(path, safetensors.numpy.save(tensors, metadata={"identity": identity}))


def make_in_parts(
    path: Path,
    identity: str,
    items: Sequence[T],
    make: Callable[[T], tuple[str, Pair] | None],
    *,
    what: str,
) -> dict[str, list[Pair]]:
    """The pairs of all items, with progress, kept beside `path` in parts of PART items until it is written.

    An interrupted call goes on with the part that it was at. Where the parts cannot be written they are
    made without.

    Args:
        identity: of what the whole file at `path` will hold. what: the work, for the progress.
        make: an item -> its split and pair, None for one that gives none. It may not depend on the items
            before.
    """
    out: dict[str, list[Pair]] = {"train": [], "dev": []}
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
    """After `path` is written."""
    for part in path.parent.glob(f"{path.stem}.part-*{path.suffix}"):
        part.unlink(missing_ok=True)


def _part(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}.part-{number:04d}{path.suffix}")


def read(path: Path, identity: str) -> dict[str, list[Pair]] | None:
    """None where there is no such file, or it was made of other things."""
    try:
        with safetensors.safe_open(path, "numpy") as f:
            if (f.metadata() or {}).get("identity") != identity:
                return None
            out: dict[str, list[Pair]] = {"train": [], "dev": []}
            for key in sorted({k.rsplit("/", 1)[0] for k in f.keys()}):  # noqa: SIM118
                parts = {n: f.get_tensor(f"{key}/{n}") for n in ("given", "wanted", "style", "id")}
                name = parts.pop("id").tobytes().decode()
                out.setdefault(key.split("/")[0], []).append(Pair(id=name, **parts))
            return out
    except (OSError, SafetensorError, ValueError, KeyError):
        return None
