"""Two gloo processes have the loss and the gradients of one with all pairs."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from intona.encoders.contrastive import sigmoid_loss, softmax_loss
from intona.encoders.ecapa import Ecapa, EcapaConfig
from intona.nn.ranks import gather_over_ranks, sum_over_ranks, world

PAIRS, DIM = 6, 10
TOY = EcapaConfig(channels=16, hidden=24, bottleneck=8, dim=DIM)


def _part(kind: str, rank: int, size: int) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
    """Loss sum of this rank's pairs, gradients of everything learned, and the running means."""
    torch.manual_seed(0)
    net, text = Ecapa(TOY), torch.nn.Parameter(torch.randn(PAIRS, DIM))
    scale, bias = torch.nn.Parameter(torch.tensor(5.0)), torch.nn.Parameter(torch.tensor(-2.0))
    mels, lengths = torch.randn(PAIRS, 9, 80), torch.tensor([9, 4, 7, 2, 5, 3])
    own = slice(0, PAIRS) if size == 1 else (slice(0, 4), slice(4, PAIRS))[rank]  # unequal parts
    x = torch.nn.functional.normalize(text[own], dim=-1)
    y = torch.nn.functional.normalize(net(mels[own], lengths[own]), dim=-1)
    total = sigmoid_loss(x, y, scale, bias) if kind == "sigmoid" else softmax_loss(x, y, scale)
    total.backward()
    learned = [*net.parameters(), text, scale, bias]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in learned]
    return total.detach(), grads, net.norm.mean


def _rank(kind: str, rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    assert world() == 2
    total, grads, mean = _part(kind, rank, 2)
    for t in (total, *grads):  # what DDP and the loop do: add up
        dist.all_reduce(t)
    gathered = gather_over_ranks(torch.full((2 - rank, 1), float(rank)))
    assert gathered[:, 0].tolist() == [0, 0, 1]
    assert float(sum_over_ranks(torch.tensor(float(rank + 1)))) == 3
    if rank == 0:
        torch.save([total, mean, *grads], f"{folder}/out.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.skipif(torch.cuda.is_available(), reason="autograd beside a GPU cannot be forked")
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_ranks_add_up(kind: str, tmp_path: Path) -> None:
    # Forked: a fresh interpreter would import torch for seconds.
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_rank, args=(kind, r, str(tmp_path))) for r in range(2)]
    for p in processes:
        p.start()
    for p in processes:
        p.join(600)
    assert [p.exitcode for p in processes] == [0, 0]
    total, mean, *grads = torch.load(tmp_path / "out.pt", weights_only=True)
    want_total, want_grads, want_mean = _part(kind, 0, 1)
    torch.testing.assert_close(total, want_total, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mean, want_mean, atol=1e-6, rtol=1e-5)
    for got, want in zip(grads, want_grads, strict=True):
        torch.testing.assert_close(got, want, atol=2e-5, rtol=1e-3)
    assert sum(float(g.abs().max()) > 1e-4 for g in grads) > 40


def test_alone_nothing_changes() -> None:
    x = torch.randn(3, 2)
    assert world() == 1
    assert gather_over_ranks(x) is x and sum_over_ranks(x) is x
