"""A vocoder by its name, or by where it lies."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.vocoder.base import BF16, Vocoder
from intona.vocoder.griffin_lim import GriffinLim
from intona.vocoder.hifigan import HifiGan
from intona.vocoder.source_filter import SourceFilter
from intona.vocoder.trunk import NETWORK
from intona.vocoder.vocos import Vocos


def find(name: str | os.PathLike[str]) -> Path:
    """The directory of a vocoder, by the name of a shipped one or by path.

    Raises:
        UserError: there is none; the nearest known name is offered.
    """
    path = checkpoint.resolve(models.find(name, kind="vocoder"))
    if not (path / "config.json").is_file():
        raise UserError("no vocoder directory: it holds no config.json", where=path)
    return path


def load_vocoder(
    name: str | os.PathLike[str] = "hifigan", *, device: str | torch.device = "cpu", bf16: BF16 = "auto"
) -> Vocoder:
    """A vocoder ready to decode.

    Args:
        name: "hifigan" (the shipped universal one), "griffin-lim", another shipped one, or a directory: a run
            of `intona train vocoder.vocos`, one of its checkpoints, or a published model.
        bf16: see `HifiGan`.

    Raises:
        UserError: unknown name, or a directory whose files are missing, damaged or of another kind.
    """
    if name == "griffin-lim":
        return GriffinLim(MelSpec())
    path = find(name)
    if (path / NETWORK).is_file():
        raw = configs.read_json(path / NETWORK)
        kind = SourceFilter if isinstance(raw, dict) and raw.get("kind") == "source-filter" else Vocos
        return kind.load(path, device=device, bf16=bf16)
    return HifiGan.load(path, device=device, bf16=bf16)
