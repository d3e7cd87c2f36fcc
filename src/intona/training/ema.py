"""Exponential moving average of the weights, in float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from intona.training.sharding import divided, local, local_state


class EMA:
    """shadow <- d shadow + (1 - d) weight with d = min(decay, (1 + step) / (10 + step)).

    The ramp lets the average forget the random initial weights; buffers are copied. Of weights that are
    divided among ranks, each rank averages its shard.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {k: v.detach().clone() for k, v in local_state(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        d = min(self.decay, (1 + step) / (10 + step))
        parameters = {k: local(p.detach()) for k, p in module.named_parameters()}
        floats = [k for k in self.shadow if k in parameters]
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
            [self.shadow[k] for k in floats], [parameters[k] for k in floats], 1 - d
        )
        for k, v in module.state_dict().items():
            if k not in parameters:
                self.shadow[k].copy_(v)

    @contextmanager
    def swapped_in(self, module: nn.Module) -> Iterator[None]:
        """Use the averaged weights inside the block and restore the raw ones after it."""
        raw = {k: v.detach().clone() for k, v in local_state(module).items()}
        _copy(self.shadow, module)
        try:
            yield
        finally:
            _copy(raw, module)

    def state_dict(self) -> dict[str, Tensor]:
        """The averages: of divided weights, this rank's shards (`sharding.whole_state`)."""
        return self.shadow

    def load_state_dict(self, state: dict[str, Tensor], module: nn.Module | None = None) -> None:
        """Continue from averages of whole tensors.

        Args:
            module: whose weights are averaged, if they are divided among ranks.
        """
        like = {} if module is None else module.state_dict()
        for k, v in self.shadow.items():
            v.copy_(local(divided(state[k], like[k])) if k in like else state[k])


@torch.no_grad()
def _copy(state: dict[str, Tensor], module: nn.Module) -> None:
    for k, v in local_state(module).items():
        v.copy_(state[k])
