"""SigLIP and CLIP against the published formulas in NumPy, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_expit, log_softmax

from intona.encoders.contrastive import (
    ContrastiveConfig,
    ContrastiveModel,
    balanced_bias,
    sigmoid_loss,
    softmax_loss,
)
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.ecapa import EcapaConfig

TEXT = DualStreamConfig(n_tokens=9, n_pieces=9, dim=8, heads=2, hidden=8, stream_layers=1, shared_layers=1)
SOUND = EcapaConfig(channels=16, hidden=16, bottleneck=4, dim=8)


def _pairs(b: int, d: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(2, b, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = torch.nn.functional.normalize(x, dim=-1)
    return x[0], x[1]


@given(st.integers(1, 9), st.integers(2, 6), st.floats(0.1, 50), st.floats(-12, 3), st.integers(0, 99))
def test_sigmoid_is_the_published_formula(b: int, d: int, t: float, bias: float, seed: int) -> None:
    # big_vision: -mean_i sum_j log_sigmoid(m1_diag1 * (zimg @ ztxt.T * t + b))
    x, y = _pairs(b, d, seed)
    logits = t * x.numpy() @ y.numpy().T + bias
    want = -log_expit((2 * np.eye(b) - 1) * logits).sum(1).mean()
    got = sigmoid_loss(x, y, torch.tensor(t), torch.tensor(bias)) / b
    assert float(got) == pytest.approx(want, rel=1e-6)


def test_sigmoid_at_the_published_start_is_what_it_must_be() -> None:
    # t = 10, b = -10, each text equal to its own sound and orthogonal to the others: the right logit is 0.
    eye = torch.eye(8, dtype=torch.float64)
    got = float(sigmoid_loss(eye, eye, torch.tensor(10.0), torch.tensor(-10.0))) / 8
    assert got == pytest.approx(math.log(2) + 7 * math.log1p(math.exp(-10)), rel=1e-9)
    # All vectors alike: B - 1 wrong pairs with logit 0 each.
    same = torch.ones(8, 4, dtype=torch.float64) / 2
    got = float(sigmoid_loss(same, same, torch.tensor(10.0), torch.tensor(-10.0))) / 8
    assert got == pytest.approx(8 * math.log(2), rel=1e-9)


def test_sigmoid_gradient_is_sigma_minus_label() -> None:
    x, y = _pairs(5, 3, 0)
    bias = torch.tensor(-2.0, requires_grad=True, dtype=torch.float64)
    sigmoid_loss(x, y, torch.tensor(3.0), bias).backward()
    wrong = torch.sigmoid(3 * x @ y.T - 2) - torch.eye(5)
    assert float(bias.grad) == pytest.approx(float(wrong.sum()), rel=1e-9)


@given(st.integers(2, 9), st.floats(0.1, 50), st.floats(-1, 1))
def test_the_balanced_bias_of_equal_pairs_is_that_of_the_start(b: int, t: float, cosine: float) -> None:
    got = balanced_bias([torch.full((b, b), cosine)], t, pairs=b)
    assert got == pytest.approx(-math.log(b - 1) - t * cosine, abs=1e-4)


@given(st.integers(2, 9), st.floats(0.1, 50), st.integers(0, 99))
def test_the_balanced_bias_is_the_best_there_is(b: int, t: float, seed: int) -> None:
    pairs = [_pairs(b, 4, seed + 1000 * k) for k in range(3)]
    best = torch.tensor(balanced_bias([x @ y.T for x, y in pairs], t, pairs=b), requires_grad=True)
    sum((sigmoid_loss(x, y, torch.tensor(t), best) for x, y in pairs), torch.tensor(0.0)).backward()
    assert best.grad is not None and abs(float(best.grad)) < 1e-3


@given(st.integers(1, 9), st.floats(0.1, 50), st.integers(0, 99))
def test_softmax_is_clips_formula(b: int, t: float, seed: int) -> None:
    x, y = _pairs(b, 4, seed)
    logits = t * x.numpy() @ y.numpy().T
    want = -(np.diag(log_softmax(logits, axis=1)) + np.diag(log_softmax(logits, axis=0))).mean() / 2
    assert float(softmax_loss(x, y, torch.tensor(t))) / b == pytest.approx(want, rel=1e-6, abs=1e-9)


def test_starts() -> None:
    model = ContrastiveModel(ContrastiveConfig(text=TEXT, audio=SOUND), pairs=128)
    assert model.log_scale.exp().item() == pytest.approx(10)
    assert model.bias is not None
    assert model.bias.item() == pytest.approx(-math.log(127))
    published = ContrastiveModel(ContrastiveConfig(text=TEXT, audio=SOUND, bias=-10.0), pairs=128)
    assert published.bias is not None
    assert published.bias.item() == -10
    clip = ContrastiveModel(ContrastiveConfig(text=TEXT, audio=SOUND, loss="softmax"), pairs=128)
    assert clip.bias is None
    assert clip.log_scale.exp().item() == pytest.approx(1 / 0.07)
    with pytest.raises(ValueError, match="above 0"):
        ContrastiveConfig(scale=0.0)


@pytest.mark.parametrize("loss", ["sigmoid", "softmax"])
def test_the_loss_is_not_rounded_by_autocast(loss) -> None:
    model = ContrastiveModel(ContrastiveConfig(text=TEXT, audio=SOUND, loss=loss), pairs=6)
    x, y = (v.float() for v in _pairs(6, 8, 0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.parts(x, y)["contrastive"].mean
    assert float(rounded.detach()) == float(model.parts(x, y)["contrastive"].mean.detach())


@pytest.mark.parametrize("loss", ["sigmoid", "softmax"])
def test_scale_and_bias_learn(loss) -> None:
    torch.manual_seed(0)
    model = ContrastiveModel(ContrastiveConfig(text=TEXT, audio=SOUND, loss=loss), pairs=6)
    x = torch.nn.functional.normalize(torch.randn(6, 8), dim=-1)
    y = torch.nn.functional.normalize(x + 0.1 * torch.randn(6, 8), dim=-1)
    parts = model.parts(x, y)
    parts["contrastive"].mean.backward()
    assert model.log_scale.grad is not None and float(model.log_scale.grad) != 0
    assert (model.bias is None) == (loss == "softmax")
    assert model.bias is None or float(model.bias.grad) != 0
    assert float(parts["r1"].mean) == 1.0
    assert all(p.weight == 0 for k, p in parts.items() if k != "contrastive")
