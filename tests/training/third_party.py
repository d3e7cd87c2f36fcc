"""A small third-party package, written into a folder: modules, and the metadata of an installation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ENCODER = '''
"""Reads phonemes and pieces, and is conditioned on a speaker vector if `width` is above 0."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from intona.encoders.base import TextEncoderConfig
from intona.encoders.dual_stream import words_to_phonemes
from intona.nn.masks import length_mask


@dataclass(frozen=True, kw_only=True)
class TinyConfig(TextEncoderConfig):
    reads_pieces: ClassVar[bool] = True
    kind: Literal["tiny"] = "tiny"
    n_tokens: int = 0
    n_pieces: int = 0
    size: int = 16
    width: int = 0

    @property
    def condition_dim(self):
        return self.width

    def sized(self, *, n_tokens, n_pieces):
        return dataclasses.replace(self, n_tokens=n_tokens, n_pieces=n_pieces)

    def rows(self, symbols):
        return {"phonemes.weight": tuple(symbols)}

    def build(self, *, n_tokens, speaker_dim=0):
        assert n_tokens == self.n_tokens
        return Tiny(self)


class Tiny(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dim = config.size
        self.phonemes = nn.Embedding(config.n_tokens, config.size)
        self.pieces = nn.Embedding(config.n_pieces, config.size)
        self.speaker = nn.Linear(config.width, config.size) if config.width else None

    def forward(self, tokens, lengths, speaker=None, pieces=None):
        mask = length_mask(lengths, tokens.shape[1])
        x = self.phonemes(tokens) + words_to_phonemes(self.pieces(pieces.ids), pieces)
        if self.speaker is not None:
            nobody = torch.zeros(len(x), self.speaker.in_features)
            x = x + self.speaker(nobody if speaker is None else speaker)[:, None]
        return x * mask[..., None], mask
'''


def install(folder: Path, modules: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """Write the package "other" of version 1.2.

    Args:
        modules: name -> source. entry_points: group -> name -> value.
    """
    package, info = folder / "other", folder / "other-1.2.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    for name, source in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(source, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.2\n", encoding="utf-8")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[intona.{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
