"""Start a run from the weights of another: fine-tuning, and the next stage of a curriculum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from intona import checkpoint
from intona.errors import UserError
from intona.provenance import sha256


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A tensor with one row a name (a symbol, a speaker): rows move by name, not by place."""

    before: Sequence[str]
    now: Sequence[str]


def weights_of(source: Path) -> tuple[Path, dict[str, Tensor]]:
    """The averaged weights of a run, checkpoint or published model, as float32.

    Returns:
        the checkpoint directory, and its tensors by name.
    """
    path = checkpoint.resolve(source)
    checkpoint.verify(path, state=False)
    file = path / "ema.safetensors"
    file = file if file.is_file() else path / "model.safetensors"
    state = checkpoint.read_tensors(file)
    return path, {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def identity_of(source: Path) -> str:
    """What the config of a run records of its start: directory name and a hash of the weights."""
    path = checkpoint.resolve(source)
    file = path / "ema.safetensors"
    file = file if file.is_file() else path / "model.safetensors"
    return f"{path.name}:{sha256(file)[:16]}"


def start_from(module: nn.Module, source: Path, *, rows: Mapping[str, Rows] | None = None) -> list[str]:
    """Copy the weights of `source` into `module`, in place.

    Args:
        module: built and initialised; keeps what it has for names that the source never saw.
        source: run, checkpoint or published model of the same sizes.
        rows: tensor name -> its row names before and now.

    Returns:
        the row names that the source does not know and that keep their fresh values.

    Raises:
        UserError: tensors missing or of another shape (the first is named).
    """
    path, state = weights_of(source)
    own = module.state_dict()
    fresh: list[str] = []
    for name, (before, now) in ((k, (r.before, r.now)) for k, r in (rows or {}).items()):
        if name in state and name in own:
            place = {symbol: i for i, symbol in enumerate(before)}
            moved = own[name].clone()
            known = [(i, place[s]) for i, s in enumerate(now) if s in place]
            if len(place) != state[name].shape[0] or state[name].shape[1:] != moved.shape[1:]:
                raise UserError(f"{name} does not fit its vocabulary", where=path)
            for i, j in known:
                moved[i] = state[name][j]
            fresh += [s for s in now if s not in place]
            state[name] = moved
    checkpoint.load_weights(
        module, {k: v.to(torch.float32) if v.is_floating_point() else v for k, v in state.items()}, where=path
    )
    return fresh
