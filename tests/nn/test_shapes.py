"""The tests check calls against the shapes in the annotations (`install_import_hook` in conftest.py)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError

from intona.diffusion.process import Cosine
from intona.encoders.contrastive import softmax_loss
from intona.nn.masks import expand_by_durations


@pytest.mark.parametrize(
    "call",
    [
        lambda: expand_by_durations(torch.zeros(2, 3, 4), torch.ones(2, 2, dtype=torch.int64)),
        lambda: expand_by_durations(torch.zeros(2, 3, 4), torch.ones(2, 3)),
        lambda: Cosine().perturb(torch.zeros(2, 5, 4), torch.zeros(3), torch.zeros(2, 5, 4)),
        lambda: softmax_loss(torch.zeros(2, 4), torch.zeros(3, 4), torch.tensor(1.0)),
    ],
    ids=["another length", "fractions of frames", "another batch", "pairs without a partner"],
)
def test_a_wrong_shape_is_an_error(call: Callable[[], torch.Tensor]) -> None:
    with pytest.raises(TypeCheckError):
        call()
