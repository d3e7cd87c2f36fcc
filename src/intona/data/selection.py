"""The split of each record of a transcript, and the records that a limited preparation selects.

The split is that of the whole transcript, whatever is selected or dropped later. So a corpus prepared with a
limit trains on nothing that the whole corpus tests on, and its dev and test sets are subsets of those of the
whole corpus.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Literal

from intona.data.corpora import BadLine, Record
from intona.data.finish import ranked, split_ids, split_sizes
from intona.data.script import journal_id
from intona.errors import UserError

HELD = ("test", "dev")
HoldOut = Literal["utterances", "speakers", "both"]


class RecordSelection:
    """The entries to prepare, in their order, and the split of all ids.

    With a limit: as many of dev and test as a corpus of that size has, and the first records of train. What
    is held is the ids; the entries are read each time they are iterated over.

    Args:
        read: yields the whole transcript, each time it is called. dev, test: as in `split_ids`.
        hold_out: what dev and test are made of. With "speakers" all utterances of a speaker are in the same
            split, and dev and test count speakers; with "both" each also has as many utterances of the other
            speakers, at most a tenth of theirs.

    Raises:
        UserError: dev + test leave nothing to train on.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Record | BadLine]],
        limit: int | None = None,
        dev: int | None = None,
        test: int | None = None,
        *,
        hold_out: HoldOut = "utterances",
    ) -> None:
        self._read = read
        count, speakers = 0, {}
        for entry in read():
            count += 1
            if isinstance(entry, Record) and os.path.isfile(entry.audio):
                speakers.setdefault(journal_id(entry.id), sys.intern(entry.speaker))
        self.splits = {name: [] for name in ("train", *HELD)}
        if speakers:
            self.splits = _split(speakers, dev, test, hold_out)
        self._limit = limit if limit is not None and limit < count else None
        if self._limit is not None:
            self._sizes = self._held_sizes(self._limit, dev, test, hold_out)

    def __iter__(self) -> Iterator[Record | BadLine]:
        if self._limit is None:
            yield from self._read()
            return
        selected = {id for name in HELD for id in ranked(self.splits[name])[: self._sizes[name]]}
        held = {id for name in HELD for id in self.splits[name]}
        left = self._limit - len(selected)
        for entry in self._read():
            id = journal_id(entry.id)
            if id in selected:
                selected.discard(id)  # a second line with this id is not another record
            elif id in held or not left:
                continue
            else:
                left -= 1
            yield entry

    @staticmethod
    def _held_sizes(limit: int, dev: int | None, test: int | None, hold_out: HoldOut) -> dict[str, int]:
        if hold_out != "utterances":
            dev = test = None
        dev_size, test_size = split_sizes(limit, dev, test)
        return {"dev": dev_size, "test": test_size}


def _split(
    speakers: dict[str, str], dev: int | None, test: int | None, hold_out: HoldOut
) -> dict[str, list[str]]:
    """The split of utterances, id -> speaker."""
    if hold_out == "utterances":
        return split_ids(speakers, dev, test)
    names = sorted(set(speakers.values()))
    if len(names) < 3:
        raise UserError(
            f"{len(names)} speakers cannot be divided into train, dev and test",
            hint="use --hold-out utterances",
        )
    part = {name: split for split, group in split_ids(names, dev, test).items() for name in group}
    splits: dict[str, list[str]] = {name: [] for name in ("train", *HELD)}
    for id, speaker in speakers.items():
        splits[part[speaker]].append(id)
    if hold_out == "both":
        most = max(1, len(splits["train"]) // 10)
        seen = split_ids(splits["train"], *(min(most, len(splits[name])) for name in ("dev", "test")))
        splits = {"train": seen["train"], **{name: splits[name] + seen[name] for name in HELD}}
    return {"train": sorted(splits["train"]), "dev": sorted(splits["dev"]), "test": sorted(splits["test"])}


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


__all__ = ["HoldOut", "RecordSelection", "of_kept", "stand_ins"]
