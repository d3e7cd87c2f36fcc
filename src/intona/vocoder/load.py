"""A vocoder by its name, or by where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from intona import checkpoint, models, registry
from intona import config as configs
from intona.errors import UserError

if TYPE_CHECKING:
    import torch

    from intona.vocoder.base import BF16, Vocoder

NETWORK = "vocoder.json"  # of a run: the config of its network, beside the run's config


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
        name: a shipped one ("hifigan" is the universal one), a registered one without weights
            ("griffin-lim"), or a directory: a run of `intona train vocoder.vocos`, one of its checkpoints, or
            a published model; or the address of a published model, "hf://OWNER/NAME[@REVISION]".
        bf16: see `HifiGan`.

    Raises:
        UserError: unknown name, or a directory whose files are missing, damaged or of another kind.
    """
    try:
        directory = models.find(name, kind="vocoder")
    except UserError:
        if str(name) not in registry.names("vocoders"):
            raise
        return registry.get("vocoders", str(name)).load(None, device=device, bf16=bf16)
    path = find(directory)
    return registry.get("vocoders", kind_of(path), where=path).load(path, device=device, bf16=bf16)


def kind_of(path: Path) -> str:
    """The name under which the vocoder of a directory is registered: the `kind` of its config.

    Runs keep the network's config in a file of its own, beside the run's config.
    """
    raw = configs.read_json(path / (NETWORK if (path / NETWORK).is_file() else "config.json"))
    return str(raw.get("kind", "hifigan")) if isinstance(raw, dict) else "hifigan"
