"""The codes of a prepared corpus, and references of the same speaker to continue."""

from __future__ import annotations

import numpy as np
import torch

from intona.data import clauses as clause
from intona.data.prepared import Item, Prepared
from intona.latents.base import LatentSpace, scales, statistics_of
from intona.nn.random import derive_seed
from intona.progress import track

BATCH_FRAMES = 6000


class LatentCorpus:
    """Codes (L, dim) of each utterance of train and dev, not standardised.

    A compressed space is encoded once and held in memory (10 MB per hour at 10.77 Hz and 64 numbers per
    latent); plain mels stay in the corpus's memory map.

    Args:
        seconds: shortest and longest reference.
        clauses: whether to encode the clauses of utterances too, where an alignment tells where they end.
    """

    def __init__(
        self, prepared: Prepared, space: LatentSpace, *, seconds: tuple[float, float], clauses: bool = False
    ) -> None:
        self.prepared, self.space = prepared, space
        self.prepared.spec.require_same(space.spec, where=prepared.root)
        self.reference = tuple(max(1, round(s * space.rate)) for s in seconds)
        self._codes: dict[str, np.ndarray] | None = None
        self._others: dict[tuple[str, int], list[Item]] = {}
        for split in ("train", "dev"):
            for item in prepared.items(split):
                self._others.setdefault((split, item.speaker), []).append(item)
        self._clauses = {
            s: clause.cut(prepared, prepared.items(s)) if clauses else [] for s in ("train", "dev")
        }
        units = [i for s in ("train", "dev") for i in (*prepared.items(s), *self._clauses[s])]
        self._items = {i.id: i for i in units}
        if space.compression > 1:
            self._codes = self._encode(units)

    def __getitem__(self, id: str) -> Item:
        """An utterance, or a clause."""
        return self._items[id]

    def clauses(self, split: str) -> list[Item]:
        """The clauses of a split, [] without an alignment; an utterance of one clause is that clause."""
        return self._clauses[split]

    def pauses(self) -> dict[str, float]:
        """Seconds between clauses, after each mark."""
        known = [
            (i, d) for i in self.prepared.items("train") if (d := self.prepared.durations(i)) is not None
        ]
        frames = clause.pauses([i for i, _ in known], [d for _, d in known])
        return {mark: n / self.prepared.spec.frame_rate for mark, n in frames.items()}

    def codes(self, item: Item) -> np.ndarray:
        """(L, dim) float32."""
        return self.prepared.mel(item) if self._codes is None else self._codes[item.id]

    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean of each dimension over the training split, and what it is divided by."""
        mean, std = statistics_of(self.codes(i) for i in self.prepared.items("train"))
        return mean, scales(std, self.space.proportion)

    def spread(self) -> torch.Tensor:
        """Deviation of each dimension after that, (dim,)."""
        deviations = statistics_of(self.codes(i) for i in self.prepared.items("train"))[1]
        return deviations / self.statistics()[1].clamp(min=1e-5)

    def pace(self) -> float:
        """Latents per phoneme symbol, over the training split."""
        items = self.prepared.items("train")
        return sum(self.space.latents(i.n_frames) for i in items) / sum(len(i.phonemes) for i in items)

    def reference_for(self, item: Item, split: str, *keys: object) -> tuple[np.ndarray, Item | None]:
        """A cut (R, dim) of another utterance of the speaker, and that utterance, or (0, dim) and None.

        A function of the keys alone.

        A dev utterance whose speaker has no other there takes one of the training split.
        """
        rng = np.random.default_rng(derive_seed("reference", *keys, item.id))
        for part in (split, "train"):
            others = [o for o in self._others.get((part, item.speaker), ()) if o.file != item.file]
            if others:
                other = others[rng.integers(len(others))]
                whole = self.codes(other)
                length = min(len(whole), int(rng.integers(self.reference[0], self.reference[1] + 1)))
                start = int(rng.integers(len(whole) - length + 1))
                return whole[start : start + length], other
        return np.zeros((0, self.space.dim), np.float32), None

    def _encode(self, items: list[Item]) -> dict[str, np.ndarray]:
        out: dict[str, np.ndarray] = {}
        order = sorted(items, key=lambda i: i.n_frames)
        batches: list[list[Item]] = [[]]
        for item in order:
            if batches[-1] and (len(batches[-1]) + 1) * item.n_frames > BATCH_FRAMES:
                batches.append([])
            batches[-1].append(item)
        for batch in track(batches, "latents of the corpus"):
            if not batch:
                continue
            lengths = torch.tensor([i.n_frames for i in batch])
            mels = torch.zeros(len(batch), int(lengths.max()), self.prepared.spec.n_mels)
            for row, item in zip(mels, batch, strict=True):
                row[: item.n_frames] = torch.from_numpy(self.prepared.mel(item))
            with torch.inference_mode():
                codes = self.space.codes(mels, lengths).float()
            for row, item in zip(codes, batch, strict=True):
                out[item.id] = row[: self.space.latents(item.n_frames)].numpy().copy()
        return out
