"""Gradient checkpointing: activations inside of blocks are recomputed in the backward pass, not kept.

Chen et al. 2016, arXiv 1604.06174: memory for activations falls from all layers to one block and the inputs
of the blocks, for one more forward pass.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(blocks: Iterable[nn.Module]) -> None:
    """Let each block recompute its activations; the names of the weights do not change.

    Dropout draws the same numbers again: the state of the random number generators is kept with the inputs.
    """
    for block in blocks:
        block.forward = functools.partial(_recomputed, block.forward)  # type: ignore[method-assign]


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The layers of a module: the outermost items of its `ModuleList`s that are made of several modules.

    Left out are layers that keep statistics of their inputs: computed twice, they would count them twice.
    """
    blocks: list[nn.Module] = []
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            for item in child:
                blocks += [item] if _is_block(item) else blocks_of(item)
        else:
            blocks += blocks_of(child)
    return blocks


def _is_block(item: nn.Module) -> bool:
    parameters = dict(item.named_parameters())
    modules = {name.rpartition(".")[0] for name in parameters}
    return len(modules) > 1 and item.state_dict().keys() == parameters.keys()
