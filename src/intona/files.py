"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

STRAYS = ".intona-*"  # what a process that was killed leaves behind


@contextlib.contextmanager
def whole(path: Path | str, *, durable: bool = True) -> Iterator[Path]:
    """A new, empty file beside `path`, of the same suffix, to write to.

    When the block ends it takes the name of `path`; when it fails it goes, and what stood there stays.

    Args:
        durable: flush it to the disk before it takes the name, so that no power cut leaves half of it.

    Raises:
        OSError: no such folder, a full disk.
    """
    path = Path(path)
    half = path.with_name(f".intona-{secrets.token_hex(6)}{path.suffix}")
    try:
        open(half, "xb").close()  # never through a link that somebody has put there
        yield half
        if durable:
            with open(half, "rb") as f:
                os.fsync(f.fileno())
        os.replace(half, path)
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)


def write_whole(path: Path | str, content: str | bytes, *, durable: bool = True) -> None:
    """Bytes, or text as UTF-8; arguments and errors as `whole`."""
    with whole(path, durable=durable) as half:
        half.write_bytes(content.encode() if isinstance(content, str) else content)
