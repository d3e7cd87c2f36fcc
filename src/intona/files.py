"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

STRAYS = ".intona-*"  # leftovers of a killed process


@contextlib.contextmanager
def whole(path: Path | str, *, durable: bool = True) -> Iterator[Path]:
    """Yields a new, empty file beside `path`, with the same suffix, to write to.

    When the block ends, the file is renamed to `path`; if the block fails, it is deleted and `path` stays
    unchanged.

    Args:
        durable: flush the file to the disk before renaming it, so that a power cut cannot leave half of it.

    Raises:
        OSError: no such folder, a full disk.
    """
    path = Path(path)
    half = path.with_name(f".intona-{secrets.token_hex(6)}{path.suffix}")
    try:
        open(half, "xb").close()  # "x": never follow a link that is already there
        yield half
        if durable:
            with open(half, "rb") as f:
                os.fsync(f.fileno())
        os.replace(half, path)
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)


def write_whole(path: Path | str, content: str | bytes, *, durable: bool = True) -> None:
    """Write bytes, or text as UTF-8. Arguments and errors are those of `whole`."""
    with whole(path, durable=durable) as half:
        half.write_bytes(content.encode() if isinstance(content, str) else content)
