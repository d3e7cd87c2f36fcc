"""Batches of phonemes, each at one place of an utterance, of mixed kinds or all of one kind.

A draw depends only on (seed, step). The global batch is drawn first and then divided over the ranks: R ranks
with batches of b draw the same as one process with R · b, and a batch of one phoneme is so on all ranks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from intona.data.item import Item, Items
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.text.ipa import is_word_symbol

CHUNK = 1 << 20
Balance = Literal["places", "phonemes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PhonemePlaces:
    """All M places that may be drawn: 20 bytes each.

    utterance: index into `items`; position: index of the phoneme; kind: its token id; start, frames: its mel
    frames.
    """

    items: Sequence[Item]
    utterance: np.ndarray  # (M,) int32, ascending
    position: np.ndarray  # (M,) int32
    kind: np.ndarray  # (M,) int32
    start: np.ndarray  # (M,) int32
    frames: np.ndarray  # (M,) int32

    def __len__(self) -> int:
        return len(self.utterance)


def phoneme_places(prepared: Prepared, split: str = "train", *, min_frames: int = 2) -> PhonemePlaces:
    """Phones of a split of at least `min_frames`, without spaces, punctuation and unaligned utterances.

    Raises:
        UserError: nothing is aligned.
    """
    index, rows = prepared.index, prepared.rows(split)
    spoken = np.array([is_word_symbol(s) for s in prepared.tokenizer.symbols])
    used: list[np.ndarray] = []  # the rows with durations
    parts: list[np.ndarray] = []
    count = 0
    for at, counts, tokens in index.tokens(rows):
        durations = [index.durations(row) for row in rows[at].tolist()]
        aligned = np.array([d is not None for d in durations])
        if not aligned.any():
            continue
        tokens = tokens[np.repeat(aligned, counts)]
        counts, frames = counts[aligned], np.concatenate([d for d in durations if d is not None])
        first = np.cumsum(counts) - counts  # of each utterance, among all symbols
        of = np.repeat(np.arange(len(counts)), counts)
        begins = np.cumsum(frames) - frames
        chosen = np.flatnonzero(spoken[tokens] & (frames >= min_frames))
        of_chosen = of[chosen]
        columns = (
            count + of_chosen,
            chosen - first[of_chosen],
            tokens[chosen],
            begins[chosen] - begins[first[of_chosen]],
            frames[chosen],
        )
        parts.append(np.stack(columns).astype(np.int32))
        used.append(rows[at][aligned])
        count += len(counts)
    if not sum(part.shape[1] for part in parts):
        raise UserError(
            f'no aligned phoneme in the split "{split}"',
            where=prepared.root,
            hint="run `intona align DATA` once",
        )
    table = np.concatenate(parts, axis=1)
    return PhonemePlaces(
        items=Items(index.item, np.concatenate(used)),
        utterance=table[0],
        position=table[1],
        kind=table[2],
        start=table[3],
        frames=table[4],
    )


@dataclass(frozen=True, kw_only=True)
class Collisions:
    """Shares of the negative pairs (i, j), i != j, of a batch with the same phoneme, utterance, speaker."""

    pairs: int
    same_phoneme: float
    same_utterance: float
    same_speaker: float


def collisions(places: PhonemePlaces, batches: Sequence[Sequence[int]]) -> Collisions:
    """The collisions in some global batches."""
    speakers: dict[int, int] = {}
    total, same = 0, np.zeros(3)
    for batch in batches:
        index = np.asarray(batch)
        total += len(index) * (len(index) - 1)
        utterance = places.utterance[index]
        for u in set(utterance.tolist()) - speakers.keys():
            speakers[u] = places.items[u].speaker
        speaker = np.array([speakers[u] for u in utterance.tolist()])
        for i, of in enumerate((places.kind[index], utterance, speaker)):
            counts = np.unique(of, return_counts=True)[1]
            same[i] += int((counts * (counts - 1)).sum())
    shares = (same / max(total, 1)).tolist()
    return Collisions(pairs=total, same_phoneme=shares[0], same_utterance=shares[1], same_speaker=shares[2])


class _PhonemeSampler:
    """Endless batches of place indices; `batch` is this rank's share."""

    def __init__(
        self, places: PhonemePlaces, *, batch: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if batch < 1:
            raise ValueError("batch must be at least 1")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} of {world_size}")
        self.places, self.batch = places, batch
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.step = 0

    def __iter__(self) -> Iterator[list[int]]:
        return self

    def __next__(self) -> list[int]:
        out = self.draw(self.step)[self.rank * self.batch : (self.rank + 1) * self.batch]
        self.step += 1
        return out

    def draw(self, step: int) -> list[int]:
        """The global batch of a step."""
        raise NotImplementedError

    def collisions(self, steps: int = 100) -> Collisions:
        """The collisions in the first batches; does not advance the sampler."""
        return collisions(self.places, [self.draw(s) for s in range(steps)])

    def state_dict(self) -> dict[str, Any]:
        """The position of the sampler, the same on every rank."""
        return {"step": self.step, "identity": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        On another number of ranks the global batch has another size; the draws of the next steps follow from
        (seed, step) as in a run that began on that number.

        Raises:
            UserError: the state belongs to other data, sizes or seed.
        """
        was, now = state.get("identity") or {}, self._identity()
        if differs := [k for k in now if k != "world_size" and was.get(k) != now[k]]:
            raise UserError(
                f"the order of the data cannot be continued: {', '.join(differs)} changed",
                hint="resume with the same data, batch and seed",
            )
        self.step = int(state["step"])

    def _identity(self) -> dict[str, Any]:
        return {
            "kind": type(self).__name__,
            "places": self._places_digest,
            "batch": self.batch,
            "seed": self.seed,
            "world_size": self.world_size,
        }

    @cached_property
    def _places_digest(self) -> str:
        content, p = hashlib.sha256(), self.places
        for column in (p.utterance, p.position, p.kind, p.frames):
            for at in range(0, len(column), CHUNK):
                content.update(column[at : at + CHUNK].astype(np.int64).tobytes())
        return content.hexdigest()[:16]


class MixedPhonemeSampler(_PhonemeSampler):
    """Batches of phonemes of any kind (stage 2).

    Utterances come in shuffled epochs, none twice in a batch. The rest of an epoch that does not fill a batch
    is left out.

    Args:
        batch: places per batch of this rank.
        per_utterance: places per utterance (the paper: 1); more cost little, since the whole text is encoded
            anyway.
        balance: "places" draws the places of an utterance with equal probability; "phonemes" in inverse
            proportion to the frequency of their kind.

    Raises:
        UserError: fewer utterances than a global batch needs.
    """

    def __init__(
        self,
        places: PhonemePlaces,
        *,
        batch: int,
        per_utterance: int = 1,
        balance: Balance = "places",
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(places, batch=batch, seed=seed, rank=rank, world_size=world_size)
        if per_utterance < 1 or batch % per_utterance:
            raise UserError(f"a batch of {batch} is not a multiple of {per_utterance} places per utterance")
        self.per_utterance, self.balance = per_utterance, balance
        self._first = np.searchsorted(places.utterance, np.arange(len(places.items) + 1, dtype=np.int32))
        self.usable = np.flatnonzero(np.diff(self._first) >= per_utterance)
        self._need = world_size * batch // per_utterance
        if len(self.usable) < self._need:
            raise UserError(
                f"{len(self.usable)} utterances where a batch over all ranks needs {self._need}",
                hint=f"lower the batch to {len(self.usable) * per_utterance // world_size} or less",
            )
        counts = np.bincount(places.kind).astype(np.float64)
        self._weight = (
            1 / np.maximum(counts, 1) if balance == "phonemes" else np.ones(len(counts))
        )  # of kinds
        self._epoch: tuple[int, np.ndarray] | None = None

    def steps_in_epoch(self) -> int:
        return len(self.usable) // self._need

    def draw(self, step: int) -> list[int]:
        epoch, place = divmod(step, self.steps_in_epoch())
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, np.random.default_rng([self.seed, 0, epoch]).permutation(self.usable))
        rng = np.random.default_rng([self.seed, 1, step])
        out: list[int] = []
        for u in self._epoch[1][place * self._need : (place + 1) * self._need]:
            a, b = self._first[u], self._first[u + 1]
            weight = self._weight[self.places.kind[a:b]]
            weight = weight / weight.sum()
            out += (a + rng.choice(b - a, self.per_utterance, replace=False, p=weight)).tolist()
        return out

    def _identity(self) -> dict[str, Any]:
        return super()._identity() | {"per_utterance": self.per_utterance, "balance": self.balance}


class SamePhonemeSampler(_PhonemeSampler):
    """Batches of phonemes of one kind, on all ranks, each from a different utterance (stage 3).

    A kind is drawn in proportion to the number of utterances that contain it. Kinds in fewer utterances than
    a global batch needs are never drawn (`rare`).

    Raises:
        UserError: no kind occurs in enough utterances.
    """

    def __init__(
        self, places: PhonemePlaces, *, batch: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(places, batch=batch, seed=seed, rank=rank, world_size=world_size)
        need = batch * world_size
        order = np.argsort(places.kind, kind="stable").astype(np.int32)  # utterances stay ascending
        kinds = places.kind[order]
        # Kind -> its places, and where those of each utterance begin and end among them.
        self._groups: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.rare: tuple[int, ...] = ()
        most = 0
        for kind in np.unique(kinds).tolist():
            rows = order[np.searchsorted(kinds, kind) : np.searchsorted(kinds, kind, side="right")]
            begins = np.flatnonzero(np.diff(places.utterance[rows], prepend=-1))
            most = max(most, len(begins))
            if len(begins) >= need:
                self._groups[kind] = rows, np.append(begins, len(rows)).astype(np.int32)
            else:
                self.rare = (*self.rare, kind)
        if not self._groups:
            raise UserError(
                f"no phoneme stands in {need} utterances, which a batch over all ranks needs",
                hint=f"lower the batch to {most // world_size} or less",
            )
        self.kinds = tuple(self._groups)
        sizes = np.array([len(edges) - 1 for _, edges in self._groups.values()], dtype=np.float64)
        self._p = sizes / sizes.sum()

    def draw(self, step: int) -> list[int]:
        rng = np.random.default_rng([self.seed, 2, step])
        rows, edges = self._groups[self.kinds[rng.choice(len(self.kinds), p=self._p)]]
        chosen = rng.choice(len(edges) - 1, self.batch * self.world_size, replace=False)
        return [int(rng.choice(rows[edges[g] : edges[g + 1]])) for g in chosen]
