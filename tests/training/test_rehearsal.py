"""The longest batch, which is computed before training so that a lack of memory shows at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from intona.training import loop


class Normalised(nn.Module):
    """A batch normalisation with a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, batch: torch.Tensor, step: int) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
        return {"loss": (self.norm(batch).square().sum(), torch.tensor(1.0), 1.0)}


def test_the_longest_batch_leaves_no_trace() -> None:
    model = Normalised()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    feed: Any = SimpleNamespace(longest=lambda: torch.randn(8, 3) + 5)
    fabric = SimpleNamespace(backward=lambda loss: loss.backward())
    loop._rehearse(model, fabric, feed, torch.device("cpu"))
    after = model.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items())
    assert all(p.grad is None for p in model.parameters())
