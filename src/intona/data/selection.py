"""The split of every record of a transcript, and which of them a limited preparation takes.

The split is that of the whole transcript, whatever is taken of it or dropped later: of a corpus prepared with
a limit nothing is trained on that the whole corpus tests with, and its dev and test sets are parts of the
whole ones.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from intona.data.corpora import BadLine, Record
from intona.data.finish import ranked, split_ids, split_sizes
from intona.data.script import journal_id

HELD = ("test", "dev")


def select(
    entries: Sequence[Record | BadLine], limit: int | None, dev: int | None, test: int | None
) -> tuple[list[Record | BadLine], dict[str, list[str]]]:
    """The entries to prepare, in their order, and the split of all ids.

    With a limit: as many of dev and test as a corpus of that size has, and the first of train.

    Args:
        entries: the whole transcript. dev, test: as in `split_ids`.

    Raises:
        UserError: dev + test leave nothing to train on.
    """
    ids = {journal_id(e.id): None for e in entries if isinstance(e, Record) and os.path.isfile(e.audio)}
    splits = split_ids(ids, dev, test) if ids else {name: [] for name in ("train", *HELD)}
    if limit is None or limit >= len(entries):
        return list(entries), splits
    dev_size, test_size = split_sizes(limit, dev, test)
    sizes = {"dev": dev_size, "test": test_size}
    selected = {id for name in HELD for id in ranked(splits[name])[: sizes[name]]}
    held = {id for name in HELD for id in splits[name]}
    left = limit - len(selected)
    chosen: list[Record | BadLine] = []
    for entry in entries:
        id = journal_id(entry.id)
        if id in selected:
            selected.discard(id)  # a second line of this id is no record of its own
        elif id in held or not left:
            continue
        else:
            left -= 1
        chosen.append(entry)
    return chosen, splits


def of_kept(splits: dict[str, list[str]], kept: Collection[str]) -> dict[str, list[str]]:
    """The splits without what was dropped or not taken; a held set that lost all gets one of the rest."""
    parts = {name: [id for id in ids if id in kept] for name, ids in splits.items()}
    for name in HELD:
        if splits[name] and not parts[name] and len(parts["train"]) > 1:
            first = ranked(parts["train"])[0]
            parts["train"].remove(first)
            parts[name] = [first]
    return parts


__all__ = ["of_kept", "select"]
