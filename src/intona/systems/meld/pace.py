"""How long each piece of text lasts: as expected of it, scaled to its utterance, or as aligned.

With `positions` "time" a piece stands in the stream where it sounds. Expected durations alone drift by half a
second within a sentence, so training on them teaches the model to look elsewhere. In training the durations
are therefore the true ones, as nearly as they are known; when speaking the pace is set, not predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.meld import spelling
from intona.text import BpeTokenizer

Kind = Literal["none", "length", "words"]
KINDS: tuple[Kind, ...] = ("none", "length", "words")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Durations of a corpus.

    Args:
        expected: (n_text,) frames of each piece, over the whole corpus.
        aligned: utterance id -> its words and signs with their frames; only for kind "words".
    """

    kind: Kind
    tokenizer: BpeTokenizer
    expected: np.ndarray
    aligned: dict[str, list[tuple[str, float]]]

    @classmethod
    def of(cls, prepared: Prepared, tokenizer: BpeTokenizer, kind: Kind) -> Pace:
        """Fit what is expected of each character, to words where they are aligned, else to utterances.

        Raises:
            UserError: another kind.
        """
        if kind not in KINDS:
            raise UserError(f'unknown pace "{kind}"', where="--pace", hint=f"one of {', '.join(KINDS)}")
        aligned: dict[str, list[tuple[str, float]]] = {}
        if kind == "words":
            timed = {i.id: _parts(prepared, i) for i in prepared}
            aligned = {k: v for k, v in timed.items() if v is not None}
        rows: list[tuple[str, float]] = []
        for item in prepared.items("train"):
            whole = [(spelling.marked(item.normalized), float(item.n_frames))]
            rows += aligned.get(item.id) or whole
        characters = spelling.character_frames([t for t, _ in rows], [n for _, n in rows])
        return cls(
            kind=kind,
            tokenizer=tokenizer,
            expected=spelling.piece_frames(tokenizer, characters),
            aligned=aligned,
        )

    def frames(self, item: Item, pieces: Sequence[int]) -> np.ndarray | None:
        """Frames of each piece (N,), summing to the utterance's; None for kind "none"."""
        if self.kind == "none":
            return None
        expected = self.expected[np.asarray(pieces)]
        parts = self.aligned.get(item.id)
        if parts is None:
            return _shared(expected, item.n_frames)
        out: list[np.ndarray] = []
        at = 0
        unread = 0.0  # of words of which the tokenizer knows no character
        for text, n in parts:
            size = len(spelling.encode(self.tokenizer, text).ids)
            if size:
                out.append(_shared(expected[at : at + size], n + unread))
                unread = 0.0
            else:
                unread += n
            at += size
        spans = np.concatenate(out)
        if len(spans) != len(pieces):  # pieces never cross words, so this is another text
            return _shared(expected, item.n_frames)
        spans[-1] += unread
        return spans


def _parts(prepared: Prepared, item: Item) -> list[tuple[str, float]] | None:
    durations = prepared.durations(item)
    if durations is None:
        return None
    words = [(w.text, w.start, w.end) for w in item.words]
    parts = spelling.timed_parts(item.phonemes, words, durations)
    same = "".join(t for t, _ in parts) == spelling.marked(item.normalized).replace(" ", "")
    return parts if same else None


def _shared(expected: np.ndarray, frames: float) -> np.ndarray:
    """`frames` over pieces as their expected lengths stand to each other."""
    total = float(expected.sum())
    share = expected / total if total > 0 else np.full(len(expected), 1 / len(expected))
    return (share * frames).astype(np.float32)


def jittered(spans: Tensor, lengths: Tensor, sigma: float, random: ItemRandom) -> Tensor:
    """Spans (B, N) whose ends each moved by a normal error of `sigma` steps; errors do not add up."""
    if not sigma:
        return spans
    error = random.normal(lengths.tolist(), 1)[..., 0].to(spans.device)
    error = torch.nn.functional.pad(error, (0, spans.shape[1] - error.shape[1]))
    ends = (spans.cumsum(1) + sigma * error).clamp(min=0).cummax(1).values
    return ends.diff(dim=1, prepend=ends.new_zeros(len(ends), 1))
