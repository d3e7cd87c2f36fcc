"""Start a run from the weights of another: fine-tuning, and the next stage of a curriculum."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

from intona import checkpoint
from intona import config as configs
from intona.errors import UserError

C = TypeVar("C")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The names of the rows of a tensor (symbols, speakers): rows are matched by name, not by position."""

    before: Sequence[str]
    now: Sequence[str]


def built_as(config: C, init: Path | None, *, stages: Collection[str] = ()) -> C:
    """A config with the `model` of the run that it starts from, since the weights fit no other.

    Options of the command line are applied afterwards and override it.

    Args:
        stages: other stages whose `model` is of the same kind; the config of any other stage is unchanged.

    Raises:
        UserError: no such run; a model with other fields.
    """
    before, now = config_of(init), cast(Any, config)
    if not hasattr(now, "model") or before.get("stage") not in (now.stage, *stages):
        return config
    model = configs.from_dict(type(now.model), before.get("model"), where=f"{init}: config.json: model")
    return dataclasses.replace(now, model=model)


def config_of(init: Path | None) -> dict[str, Any]:
    """The config.json of a run; empty without a run or a config."""
    path = None if init is None else checkpoint.resolve(init) / "config.json"
    config = configs.read_json(path) if path is not None and path.is_file() else {}
    return config if isinstance(config, dict) else {}


def start_from(
    module: nn.Module,
    source: Path,
    *,
    rows: Mapping[str, Rows] | None = None,
    added: Collection[str] = (),
    unused: Collection[str] = (),
) -> list[str]:
    """Copy the weights of `source` into `module`, in place.

    Args:
        module: built and initialised; rows that the source does not have keep their values.
        source: run, checkpoint or published model of the same sizes.
        rows: tensor name -> its row names before and now.
        added: names of tensors that keep their values if the source does not have them.
        unused: names of modules of the source, with all that is in them, that `module` need not have.

    Returns:
        the names of rows that the source does not have.

    Raises:
        UserError: tensors missing or of another shape (the first is named).
    """
    path, state = checkpoint.weights_of(source)
    current = module.state_dict()
    left_out = tuple(f"{name}." for name in unused)
    state = {k: v for k, v in state.items() if k in current or not k.startswith(left_out)}
    fresh: list[str] = []
    for name, (before, now) in ((k, (r.before, r.now)) for k, r in (rows or {}).items()):
        if name in state and name in current:
            place = {symbol: i for i, symbol in enumerate(before)}
            moved = current[name].clone()
            known = [(i, place[s]) for i, s in enumerate(now) if s in place]
            if len(place) != state[name].shape[0] or state[name].shape[1:] != moved.shape[1:]:
                raise UserError(f"{name} does not fit its vocabulary", where=path)
            for i, j in known:
                moved[i] = state[name][j]
            fresh += [s for s in now if s not in place]
            state[name] = moved
    state |= {name: current[name] for name in added if name in current and name not in state}
    checkpoint.load_weights(module, state, where=path)
    return fresh
