"""Frames of a whole corpus in several memory-mapped files, which are read as one array."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np

from intona.errors import UserError

FOLDER = "mels"
DEFAULT_MIB = 4096
_NAME = re.compile(r"[a-z]+/[0-9]{5,}\.bin|[a-z]+\.bin")


class Shards:
    """An array (frames, width) in files; no utterance continues in another file.

    Args:
        files: path and number of frames of each file, in order.
        width: values per frame; None for an array (frames,).

    Attributes:
        shape: (frames, width) or (frames,). starts: (files + 1,) the first frame of each file, and the end.
    """

    def __init__(
        self, files: Sequence[tuple[Path, int]], *, width: int | None, dtype: type = np.float16
    ) -> None:
        self.paths = [path for path, _ in files]
        self.starts = np.concatenate([[0], np.cumsum([n for _, n in files], dtype=np.int64)])
        self.shape = (int(self.starts[-1]), *(() if width is None else (width,)))
        self.dtype = np.dtype(dtype)
        self._maps: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The frames of a range: a view of one file, or a copy if the range covers several."""
        first, last, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("frames are read in order")
        k = int(np.searchsorted(self.starts, first, side="right")) - 1
        if first >= last:
            return np.empty((0, *self.shape[1:]), self.dtype)
        if last <= self.starts[k + 1]:
            return self._map(k)[first - int(self.starts[k]) : last - int(self.starts[k])]
        edges = [first, *(int(s) for s in self.starts if first < s < last), last]
        return np.concatenate([self[a:b] for a, b in pairwise(edges)])

    def gather(self, frames: np.ndarray) -> np.ndarray:
        """Single frames by their numbers, in an array of any shape; a copy."""
        out = np.empty((*frames.shape, *self.shape[1:]), self.dtype)
        which = np.searchsorted(self.starts, frames, side="right") - 1
        for k in np.unique(which).tolist():
            at = which == k
            out[at] = self._map(k)[frames[at] - self.starts[k]]
        return out

    def check(self, *, hint: str) -> None:
        """Compare the size of each file with what belongs into it.

        Raises:
            UserError: a file is missing or of another size.
        """
        for path, frames in zip(self.paths, np.diff(self.starts).tolist(), strict=True):
            expected = frames * math.prod(self.shape[1:]) * self.dtype.itemsize
            try:
                size = path.stat().st_size
            except OSError:
                raise UserError("missing", where=path, hint=hint) from None
            if size != expected:
                raise UserError(f"{size} bytes where {expected} belong", where=path, hint=hint)

    def _map(self, k: int) -> np.ndarray:
        if k not in self._maps:
            frames = int(self.starts[k + 1] - self.starts[k])
            shape = (frames, *self.shape[1:])
            self._maps[k] = np.memmap(self.paths[k], dtype=self.dtype, mode="r", shape=shape)
        return self._maps[k]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_maps": {}}  # another process maps the files itself


def shard_name(number: int, folder: str = FOLDER) -> str:
    return f"{folder}/{number:05d}.bin"


def is_shard_name(name: object) -> bool:
    """Whether a name from a file of somebody else is one that `shard_name` gives, or that of format 1."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


class ShardWriter:
    """Appends frames of whole utterances to numbered files of limited size. A context manager.

    What is in which file depends only on the lengths, so that an interrupted writer continues with the same
    files: `recall` each utterance that is to be kept, then `start`.

    Args:
        limit: bytes of a file; only an utterance that is longer gets a longer file of its own.
    """

    def __init__(self, root: Path, *, row_bytes: int, limit: int) -> None:
        self.root, self.row_bytes = root, row_bytes
        self.most = max(1, limit // row_bytes)
        self.frames: list[int] = []  # of each file
        self._file: IO[bytes] | None = None

    def sizes(self) -> list[tuple[str, int]]:
        """Name and frames of each file."""
        return [(shard_name(k), n) for k, n in enumerate(self.frames)]

    def recall(self, frames: int) -> bool:
        """Account for an utterance that was written earlier. Returns whether its frames are all there."""
        number, begins = self._place(frames)
        end = (0 if begins else self.frames[number]) + frames
        try:
            if self._path(number).stat().st_size < end * self.row_bytes:
                return False
        except OSError:
            return False
        self._book(frames, begins)
        return True

    def start(self) -> None:
        """Cut off everything that was not recalled."""
        (self.root / FOLDER).mkdir(exist_ok=True)
        for path in (self.root / FOLDER).iterdir():
            if path.name not in {Path(name).name for name, _ in self.sizes()}:
                path.unlink()
        for number, frames in enumerate(self.frames):
            if self._path(number).stat().st_size != frames * self.row_bytes:
                os.truncate(self._path(number), frames * self.row_bytes)
        if self.frames:
            self._file = open(self._path(len(self.frames) - 1), "ab")  # noqa: SIM115

    def append(self, rows: np.ndarray) -> None:
        number, begins = self._place(len(rows))
        if begins:
            self._close()
            self._file = open(self._path(number), "wb")  # noqa: SIM115
        assert self._file is not None
        self._file.write(rows.tobytes())
        self._file.flush()
        self._book(len(rows), begins)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._close()

    def flush_to_disk(self) -> None:
        """Make the last file durable; the others were when the next one began."""
        self._close()

    def _place(self, frames: int) -> tuple[int, bool]:
        """The file of an utterance that comes next, and whether it begins that file."""
        begins = not self.frames or self.frames[-1] + frames > self.most
        return len(self.frames) - (not begins), begins

    def _book(self, frames: int, begins: bool) -> None:
        if begins:
            self.frames.append(frames)
        else:
            self.frames[-1] += frames

    def _path(self, number: int) -> Path:
        return self.root / shard_name(number)

    def _close(self) -> None:
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link, or a symbolic link to another file system."""
    source = source.resolve()
    try:
        os.link(source, target)
    except OSError:
        os.symlink(source, target)


def link_all(sources: Iterable[tuple[Path, int]], root: Path, folder: str = FOLDER) -> list[tuple[str, int]]:
    """Link files as the numbered files of `root`. Returns name and frames of each."""
    (root / folder).mkdir(exist_ok=True)
    linked = []
    for number, (path, frames) in enumerate(sources):
        name = shard_name(number, folder)
        link(path, root / name)
        linked.append((name, frames))
    return linked


__all__ = [
    "DEFAULT_MIB", "FOLDER", "ShardWriter", "Shards", "is_shard_name", "link", "link_all", "shard_name"
]  # fmt: skip
