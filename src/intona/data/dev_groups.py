"""The dev set in groups: utterances of speakers who are trained on, and of speakers who are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intona.data.prepared import Prepared
from intona.data.samplers import DurationBatchSampler

SEEN, NEW = "seen_speakers", "new_speakers"


def speaker_groups(prepared: Prepared, speakers: Sequence[int] | np.ndarray) -> list[str]:
    """The group of each utterance of the dev set, by its speaker; "" for all if there is one group only."""
    trained = np.unique(prepared.index.speakers[prepared.rows("train")])
    seen = np.isin(np.asarray(speakers, np.int64), trained)
    if seen.all() or not seen.any():
        return [""] * len(seen)
    return [SEEN if s else NEW for s in seen.tolist()]


def grouped_batches(
    lengths: Sequence[int] | np.ndarray,
    groups: Sequence[str],
    *,
    max_frames: int,
    max_items: int | None = None,
) -> tuple[list[list[int]], list[str]]:
    """Batches of indices in order of length, each of one group, and the group of each.

    Args:
        lengths: frames of each utterance (n,). groups: of each (n,). max_frames, max_items: of
            `DurationBatchSampler`.
    """
    plan: list[list[int]] = []
    names: list[str] = []
    for name in sorted(set(groups)):
        at = np.flatnonzero(np.array([g == name for g in groups]))
        sampler = DurationBatchSampler(
            np.asarray(lengths)[at], max_frames=max_frames, max_items=max_items, shuffle=False
        )
        batches = [at[indices].tolist() for indices in sampler.one_epoch()]
        plan += batches
        names += [name] * len(batches)
    return plan, names
