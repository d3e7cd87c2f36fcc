"""What the texts of a batch ask for, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from intona.data.pieces import padded
from intona.text import Utterance
from intona.text.intonation import symbols_of


@dataclass(frozen=True, kw_only=True)
class Intonation:
    """The type of the clause that each symbol is in, and whether it stands before, in or after the nucleus.

    clause_types, places: (B, N) int64, as in `text.intonation`; 0 in padding.
    """

    clause_types: torch.Tensor
    places: torch.Tensor

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Intonation:
        return Intonation(**{k: v.to(device, non_blocking=non_blocking) for k, v in vars(self).items()})


def intonation_of(utterances: Sequence[Utterance], languages: Sequence[str]) -> Intonation:
    """Of utterances, each in the language of that code."""
    rows = [symbols_of(u, language) for u, language in zip(utterances, languages, strict=True)]
    types, places = zip(*rows, strict=True)
    return Intonation(clause_types=padded(types), places=padded(places))
