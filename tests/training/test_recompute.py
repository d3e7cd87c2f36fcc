"""Gradient checkpointing: the same losses and gradients, computed twice; and which layers it is for."""

from __future__ import annotations

import copy

import torch
from torch import nn

from intona.training.recompute import blocks_of, recompute


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.drop, self.down = nn.Linear(6, 16), nn.Dropout(0.5), nn.Linear(16, 6)
        self.calls = 0

    def forward(self, x: torch.Tensor, *, scale: float) -> torch.Tensor:
        self.calls += 1
        return x + scale * self.down(self.drop(torch.tanh(self.up(x))))


class Normed(nn.Module):
    """A layer that counts its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(6), nn.Linear(6, 6)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.inside = nn.Sequential(nn.ModuleList([Normed(), nn.Linear(6, 6), Block()]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x, scale=0.5)
        return x.square().sum()


def test_blocks_are_the_outermost_layers_without_statistics() -> None:
    net = Net()
    assert blocks_of(net) == [*net.layers, net.inside[0][2]]  # type: ignore[index]


def test_gradients_are_the_same_and_dropout_draws_again_what_it_drew() -> None:
    torch.manual_seed(0)
    net = Net()
    again = copy.deepcopy(net)
    recompute(blocks_of(again))
    assert list(again.state_dict()) == list(net.state_dict())
    x = torch.randn(4, 6)
    losses = []
    for module in (net, again):
        torch.manual_seed(7)
        loss = module(x)
        after = torch.rand(1)  # the next numbers of the generator, also after the backward pass
        loss.backward()
        losses.append((loss.item(), after.item(), torch.rand(1).item()))
    assert losses[0] == losses[1]
    assert [b.calls for b in net.layers] == [1] * 3 and [b.calls for b in again.layers] == [2] * 3
    for p, q in zip(net.layers.parameters(), again.layers.parameters(), strict=True):
        assert p.grad is not None and torch.equal(p.grad, q.grad)
    with torch.no_grad():
        again(x)
    assert [b.calls for b in again.layers] == [3] * 3
