"""Batches of utterances for stages that predict mels, and the statistics of a corpus's mels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from intona.data.batch import Batch, Loader
from intona.data.contours import CorpusContours
from intona.data.dev_groups import grouped_batches, speaker_groups
from intona.data.prefetch import Prefetcher
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.text import BpeTokenizer
from intona.training.task import Batches


def mel_statistics(prepared: Prepared) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation per bin, from stats.json."""
    stats = prepared.stats
    try:
        return torch.tensor(stats["mean"], dtype=torch.float32), torch.tensor(
            stats["std"], dtype=torch.float32
        )
    except (KeyError, TypeError, ValueError):
        raise UserError(
            "no mel statistics", where=prepared.root / "stats.json", hint="prepare the corpus again"
        ) from None


class MelFeed:
    """Training batches of one rank, and the dev set.

    Args:
        max_frames: of a batch, with padding. max_items: utterances of a batch. bpe: of an encoder that reads
            letters beside the phonemes. contours: of a model with a variance adaptor. expressive: how often
            a training utterance with a question or an exclamation occurs per epoch.
    """

    def __init__(
        self,
        prepared: Prepared,
        *,
        seed: int,
        max_frames: int,
        max_items: int | None = None,
        rank: int = 0,
        world: int = 1,
        bpe: BpeTokenizer | None = None,
        contours: CorpusContours | None = None,
        expressive: int = 1,
    ) -> None:
        limits = {"max_frames": max_frames, "max_items": max_items, "bpe": bpe, "contours": contours}
        self._train = Loader(
            prepared, "train", seed=seed, rank=rank, world_size=world, expressive=expressive, **limits
        )
        self._ahead = Prefetcher(self._train)
        self._dev: Sequence[Batch] = ()
        if len(rows := prepared.rows("dev")):
            dev = Loader(prepared, "dev", shuffle=False, **limits)
            groups = speaker_groups(prepared, prepared.index.speakers[rows])
            plan, names = grouped_batches(
                dev.sampler.lengths, groups, max_frames=max_frames, max_items=max_items
            )
            self._dev = Batches(plan, dev.at, names)
        self._frame_seconds = prepared.spec.hop_length / prepared.spec.sample_rate

    def next(self) -> Batch:
        return next(self._ahead)

    def longest(self) -> Batch:
        return self._train.longest()

    def validation(self) -> Sequence[Batch]:
        return self._dev

    def seconds(self, batch: Batch) -> float:
        return batch.frames * self._frame_seconds

    def state_dict(self) -> dict[str, Any]:
        return self._ahead.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._ahead.load_state_dict(state)
