"""Published corpus layouts: a reader turns a folder into `Record`s and names the lines it could not use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from intona import registry
from intona.data.corpora.record import AUDIO_SUFFIXES, BadLine, Record, Source
from intona.errors import UserError

Reader = Callable[[Source], Iterator[Record | BadLine]]


def read_corpus(
    layout: str,
    root: Path,
    *,
    transcript: Path | None = None,
    labels: Path | None = None,
    allow_outside: bool = False,
) -> Iterator[Record | BadLine]:
    """Records of a corpus in a published layout, in the order of its transcript.

    Args:
        layout: a name that is registered as a layout (`registry.names("layouts")`).
        root: the corpus folder (for `csv` also the table itself).
        transcript: the transcript where the layout keeps it elsewhere (`asterisk`, `csv`).
        labels: a folder of phone alignments, `ID.lab` or `ID.TextGrid`, also one folder deeper.
        allow_outside: accept audio outside `root` (absolute paths, links); refused by default.

    Raises:
        UserError: unknown layout (nearest offered), no such folder, no transcript in it.
    """
    reader: Reader = registry.get("layouts", layout)
    root = Path(root)
    if not root.exists():
        raise UserError("no such folder", where=root, hint="give the folder that holds the corpus")
    if not root.is_dir() and layout != "csv":
        raise UserError("not a folder", where=root, hint="give the folder that holds the corpus")
    if labels is not None and not Path(labels).is_dir():
        raise UserError("no such folder of labels", where=labels)
    return reader(Source(root=root, transcript=transcript, labels=labels, allow_outside=allow_outside))


__all__ = ["AUDIO_SUFFIXES", "BadLine", "Record", "Source", "read_corpus"]
