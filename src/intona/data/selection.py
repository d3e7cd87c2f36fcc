"""The split of each record of a transcript, and the records that a limited preparation selects.

The split is that of the whole transcript, whatever is selected or dropped later. So a corpus prepared with a
limit trains on nothing that the whole corpus tests on, and its dev and test sets are subsets of those of the
whole corpus.
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

    With a limit: as many of dev and test as a corpus of that size has, and the first records of train.

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
            selected.discard(id)  # a second line with this id is not another record
        elif id in held or not left:
            continue
        else:
            left -= 1
        chosen.append(entry)
    return chosen, splits


def of_kept(splits: dict[str, list[str]], kept: Collection[str]) -> dict[str, list[str]]:
    """The splits without records that were dropped or not selected.

    If all of dev or of test was dropped, one record of train replaces it (`stand_ins` warns about it): with a
    limit such a set is no subset of that of the whole corpus.
    """
    parts = {name: [id for id in ids if id in kept] for name, ids in splits.items()}
    for name in HELD:
        if splits[name] and not parts[name] and len(parts["train"]) > 1:
            first = ranked(parts["train"])[0]
            parts["train"].remove(first)
            parts[name] = [first]
    return parts


def stand_ins(whole: dict[str, list[str]], parts: dict[str, list[str]]) -> list[str]:
    """One warning for each split of `of_kept` that has a record which `whole` trains on."""
    return [
        f"all recordings of {name} were dropped; {moved[0]} of train replaces them"
        for name in HELD
        if (moved := sorted(set(parts[name]) - set(whole[name])))
    ]


__all__ = ["of_kept", "select", "stand_ins"]
