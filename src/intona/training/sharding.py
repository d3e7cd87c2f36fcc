"""Weights divided among ranks (FSDP2), seen as this rank's shards or as whole tensors.

Checkpoints hold whole tensors, whatever the number of ranks: a run resumes on another number, or on one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist


def shard(module: nn.Module, blocks: Iterable[nn.Module], mesh: Any) -> nn.Module:
    """Divide the weights of `module` among the ranks of `mesh`, in place.

    The weights of a block are gathered when it is called and dropped after it; those outside of all blocks
    are gathered for a whole step. Parameters without a dimension cannot be divided and stay on every rank.

    Args:
        blocks: modules that are called, and whose weights nothing else uses.
    """
    from torch.distributed.fsdp import fully_shard

    scalars = {p for p in module.parameters() if p.dim() == 0}
    for block in blocks:
        if any(p.dim() for p in block.parameters()):
            fully_shard(block, mesh=mesh, ignored_params=scalars)
    # Resharded after each forward pass, also in validation: the averaged weights are put into the shards.
    fully_shard(module, mesh=mesh, ignored_params=scalars, reshard_after_forward=True)
    return module


def is_sharded(module: nn.Module) -> bool:
    """Whether the weights are divided among ranks."""
    return any(_is_divided(p) for p in module.parameters())


def _is_divided(tensor: Any) -> bool:
    """Whether it is a `DTensor`, whose module takes a second to import: only `shard` needs it."""
    return hasattr(tensor, "to_local")


def local(tensor: Any) -> Tensor:
    """This rank's shard, which shares memory with the tensor; an undivided tensor itself."""
    return tensor.to_local() if _is_divided(tensor) else tensor


def local_state(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of a module as this rank's shards."""
    return {k: local(v) for k, v in module.state_dict().items()}


def whole(tensor: Any, like: Any = None) -> Tensor:
    """The undivided tensor, on the CPU where it was divided. Collective: all ranks call it in the same order.

    Args:
        like: a tensor that is divided in the same way, if `tensor` is a shard.
    """
    if _is_divided(like) and not _is_divided(tensor):
        from torch.distributed.tensor import DTensor

        tensor = DTensor.from_local(
            tensor, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
        )
    return tensor.full_tensor().cpu() if _is_divided(tensor) else tensor


def whole_state(
    tensors: Mapping[str, Tensor], like: Mapping[str, Tensor] | None = None, *, keep: bool = True
) -> dict[str, Tensor]:
    """`whole` of each tensor of a state dict; collective.

    Args:
        like: tensors of these names that are divided in the same way, if `tensors` are shards.
        keep: whether this rank needs them; the result is empty otherwise, so that only one rank has the
            memory for all.
    """
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        joined = whole(tensor, None if like is None else like[name])
        if keep:
            out[name] = joined
    return out


def divided(tensor: Tensor, like: Any) -> Tensor:
    """A whole tensor divided as `like` is, on its device; every rank has the whole tensor already."""
    tensor = tensor.to(like.device)
    if not _is_divided(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def load_whole(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Copy whole tensors of the right names and shapes into a module, in place."""
    for name, tensor in module.state_dict().items():
        local(tensor).copy_(local(divided(state[name], tensor)))


def mean_over_ranks(module: nn.Module) -> None:
    """Average the gradients of the parameters that `shard` left whole; those of the others are already."""
    for p in module.parameters():
        if not _is_divided(p) and p.grad is not None:
            dist.all_reduce(p.grad)
            p.grad /= dist.get_world_size()
