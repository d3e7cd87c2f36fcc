"""Start a run from the weights of another: fine-tuning, and the next stage of a curriculum."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from intona import checkpoint
from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A tensor with one row a name (a symbol, a speaker): rows move by name, not by place."""

    before: Sequence[str]
    now: Sequence[str]


def start_from(
    module: nn.Module,
    source: Path,
    *,
    rows: Mapping[str, Rows] | None = None,
    added: Collection[str] = (),
) -> list[str]:
    """Copy the weights of `source` into `module`, in place.

    Args:
        module: built and initialised; keeps what it has for names that the source never saw.
        source: run, checkpoint or published model of the same sizes.
        rows: tensor name -> its row names before and now.
        added: names of tensors that start anew where the source has none.

    Returns:
        the row names that the source does not know and that keep their fresh values.

    Raises:
        UserError: tensors missing or of another shape (the first is named).
    """
    path, state = checkpoint.weights_of(source)
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
    state |= {name: own[name] for name in added if name in own and name not in state}
    checkpoint.load_weights(module, state, where=path)
    return fresh
