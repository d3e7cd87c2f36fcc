"""Alignment maths against enumeration of every path, torch's CTC and the packaged search."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intona.nn.align import beta_binomial_prior, forward_sum, forward_sum_loss, monotonic_search, search_numpy


def all_paths(n: int, t: int, optional: list[bool]) -> list[tuple[int, ...]]:
    """Every durations tuple: sums to t, zero only where optional."""
    return [
        d
        for d in itertools.product(range(t + 1), repeat=n)
        if sum(d) == t and all(x > 0 or o for x, o in zip(d, optional, strict=True))
    ]


def path_score(log_p: np.ndarray, durations: tuple[int, ...], enter: np.ndarray | float = 0.0) -> float:
    taken = (np.asarray(durations) > 0) * enter
    return float(
        taken.sum() + log_p[np.repeat(np.arange(len(durations)), durations), np.arange(log_p.shape[1])].sum()
    )


@st.composite
def cases(draw):
    n = draw(st.integers(1, 5))
    optional = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    t = draw(st.integers(max(1, n - sum(optional)), 7))
    return n, t, optional, draw(st.integers(0, 10_000))


@given(cases())
@settings(max_examples=60, deadline=None)
def test_sum_gradient_and_best_path_equal_enumeration(case):
    n, t, optional, seed = case
    g = torch.Generator().manual_seed(seed)
    # The second row is longer in both directions, so padding is part of every case.
    log_p = torch.randn(2, n + 2, t + 6, generator=g, dtype=torch.float64)
    tokens, frames = torch.tensor([n, n + 2]), torch.tensor([t, t + 6])
    skippable = torch.zeros(2, n + 2, dtype=torch.bool)
    skippable[0, :n] = torch.tensor(optional)
    enter = torch.randn(2, n + 2, generator=g, dtype=torch.float64)
    cost = enter[0, :n].numpy()
    log_p.requires_grad_()
    got = forward_sum(log_p, tokens, frames, skippable, enter)
    paths = all_paths(n, t, optional)
    x = log_p[0, :n, :t].detach().numpy()
    scores = np.array([path_score(x, p, cost) for p in paths])
    assert got[0].item() == pytest.approx(float(np.logaddexp.reduce(scores)), abs=1e-9)
    (grad,) = torch.autograd.grad(got[0], log_p)
    post = np.zeros((n, t))
    for p, w in zip(paths, np.exp(scores - np.logaddexp.reduce(scores)), strict=True):
        post[np.repeat(np.arange(n), p), np.arange(t)] += w
    np.testing.assert_allclose(grad[0, :n, :t].numpy(), post, atol=1e-9)
    assert grad[1].abs().sum() == 0 and grad[0, n:].abs().sum() == 0 and grad[0, :, t:].abs().sum() == 0
    durations = monotonic_search(log_p, tokens, frames, skippable, enter)
    assert durations.dtype == torch.int64 and durations.sum(1).tolist() == frames.tolist()
    assert path_score(x, tuple(durations[0, :n].tolist()), cost) == pytest.approx(scores.max(), abs=1e-5)


def test_numeric_gradient():
    torch.manual_seed(0)
    log_p = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    optional = torch.tensor([[False, True, True, False], [True, False, False, False]])
    lengths = torch.tensor([4, 3]), torch.tensor([6, 5])
    assert torch.autograd.gradcheck(lambda x: forward_sum_loss(x, *lengths, optional), (log_p,))


def test_equals_ctc_without_blank():
    """One-TTS-Alignment's formulation: CTC over tokens 1..N with the blank made impossible."""
    torch.manual_seed(1)
    tokens, frames = torch.tensor([7, 5]), torch.tensor([20, 11])
    log_p = torch.log_softmax(torch.randn(2, 7, 20, dtype=torch.float64), 1)
    mine = forward_sum(log_p, tokens, frames)
    for b in range(2):
        n, t = int(tokens[b]), int(frames[b])
        blank = torch.full((t, 1), -1e4, dtype=torch.float64)
        lp = torch.cat([blank, log_p[b, :n, :t].T], 1)[:, None]
        ctc = torch.nn.functional.ctc_loss(
            lp, torch.arange(1, n + 1)[None], torch.tensor([t]), torch.tensor([n]), reduction="sum"
        )
        assert mine[b].item() == pytest.approx(-ctc.item(), abs=1e-6)


def test_search_equals_the_package():
    package = pytest.importorskip("monotonic_alignment_search")
    torch.manual_seed(2)
    tokens, frames = torch.tensor([30, 22, 9]), torch.tensor([120, 100, 9])
    log_p = torch.randn(3, 30, 120)
    mask = (torch.arange(30)[None, :, None] < tokens[:, None, None]) & (
        torch.arange(120)[None, None] < frames[:, None, None]
    )
    theirs = package.maximum_path_numpy(log_p, mask.float()).sum(2).long()
    none = np.zeros((3, 30), dtype=bool)
    own = search_numpy(log_p.numpy(), tokens.numpy(), frames.numpy(), none)
    assert torch.equal(monotonic_search(log_p, tokens, frames), theirs)
    assert np.array_equal(own, theirs.numpy())


def test_long_input_stays_finite_and_skips_what_is_not_there():
    """1,000 frames, log-likelihoods of hundreds: no overflow; a token that fits no frame gets none."""
    tokens, frames = torch.tensor([100]), torch.tensor([1000])
    owner = torch.arange(1000) // 10
    log_p = torch.full((1, 100, 1000), -500.0)
    log_p[0, owner, torch.arange(1000)] = 300.0
    optional = torch.zeros(1, 100, dtype=torch.bool)
    optional[0, ::7] = True
    log_p[0, 49] = -900.0
    durations = monotonic_search(log_p, tokens, frames, optional)
    assert durations[0, 49] == 0 and (durations[0, :48] == 10).all() and durations.sum() == 1000
    assert torch.isfinite(forward_sum_loss(log_p, tokens, frames, optional))


@pytest.mark.parametrize("f", [monotonic_search, forward_sum])
def test_too_few_frames_is_an_error(f):
    with pytest.raises(ValueError, match=r"row 1: 5 tokens cannot be aligned to 4 frames"):
        f(torch.zeros(2, 5, 6), torch.tensor([5, 5]), torch.tensor([6, 4]))


def test_prior_is_the_beta_binomial_and_sums_to_one():
    from scipy.stats import betabinom

    prior = beta_binomial_prior(9, 30)
    assert prior.shape == (9, 30)
    np.testing.assert_allclose(prior.exp().sum(0).numpy(), 1, atol=1e-4)
    for t in (1, 15, 30):
        np.testing.assert_allclose(prior[:, t - 1], betabinom.logpmf(np.arange(9), 8, t, 31 - t), atol=1e-4)
    peak = prior.argmax(0)
    assert peak[0] == 0 and peak[-1] == 8 and (peak.diff() >= 0).all()
    sharper = beta_binomial_prior(9, 30, scaling=4.0)
    assert sharper[:, 15].max() > prior[:, 15].max()
    assert math.isclose(float(sharper.exp().sum()), 30, rel_tol=1e-4)
