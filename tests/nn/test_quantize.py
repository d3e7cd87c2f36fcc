"""Codebook and posterior against closed forms; k-means against an oracle; sampling filters by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from intona.errors import UserError
from intona.nn.quantize import (
    Codebook,
    KMeans,
    KMeansConfig,
    draw,
    entropy,
    probabilities,
    require_frames,
    temperature_for,
)
from intona.nn.sampling import SamplingConfig, choose, top_p_set


def _codebook(codes: int = 5, dim: int = 3, tau: float = 1.5) -> Codebook:
    book = Codebook(codes, dim)
    book.centroids.copy_(torch.randn(codes, dim, generator=torch.Generator().manual_seed(0)))
    book.tau.fill_(tau)
    return book


def _pick(data: torch.Tensor):
    return lambda n, g: data[torch.randint(len(data), (n,), generator=g)]


def test_posterior_is_the_softmax_of_negative_distances() -> None:
    book, x = _codebook(), torch.randn(2, 4, 3)
    d = torch.cdist(x, book.centroids[None].expand(2, -1, -1)).square()
    torch.testing.assert_close(book.distances(x), d, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(book.posterior(x).exp(), (-d / 1.5).softmax(-1), atol=1e-5, rtol=1e-4)
    book.tau.fill_(0)
    hard = book.posterior(x).exp()
    assert torch.equal(hard.argmax(-1), book.nearest(x)) and torch.equal(hard.sum(-1), torch.ones(2, 4))
    assert float(entropy(book.posterior(x)).abs().max()) == 0


def test_probabilities_are_exp_with_0_for_what_float32_cannot_hold() -> None:
    x = torch.tensor([0.0, -1.0, -80.0, -88.0, -300.0, -torch.inf])
    torch.testing.assert_close(probabilities(x)[:3], x[:3].exp(), rtol=1e-6, atol=0)
    assert probabilities(x)[3:].tolist() == [0, 0, 0]


def test_entropy_of_known_distributions() -> None:
    p = torch.tensor([[0.25] * 4, [0.5, 0.5, 0.0, 0.0]])
    torch.testing.assert_close(entropy(p.log()), torch.tensor([math.log(4), math.log(2)]))


@pytest.mark.parametrize("wanted", [1.5, 3.0, 4.5])
def test_temperature_gives_the_perplexity_asked_for(wanted: float) -> None:
    book, x = _codebook(), torch.randn(500, 3)
    book.tau.fill_(temperature_for(book, x, wanted))
    assert float(entropy(book.posterior(x)).exp().mean()) == pytest.approx(wanted, rel=1e-3)
    assert temperature_for(book, x, 1) == 0
    with pytest.raises(ValueError, match="5 codes"):
        temperature_for(book, x, 5)


def test_draws_follow_q() -> None:
    p = torch.tensor([0.1, 0.0, 0.6, 0.3])
    u = (torch.arange(10_000) + 0.5) / 10_000
    drawn = draw(p.log().expand(10_000, 4), u)
    share = torch.bincount(drawn, minlength=4) / 10_000
    torch.testing.assert_close(share, p, atol=2e-4, rtol=0)
    assert int(draw(p.log(), torch.tensor(1.0))) == 3


def test_kmeans_finds_separable_clusters() -> None:
    """The oracle: clusters far apart, whose centroids are their means."""
    corners = torch.tensor(list(itertools.product((-10.0, 10.0), repeat=3)))
    g = torch.Generator().manual_seed(0)
    data = (corners[:, None] + torch.randn(8, 300, 3, generator=g)).reshape(-1, 3)
    means = data.reshape(8, 300, 3).mean(1)
    kmeans = KMeans(8, KMeansConfig(batch=512, iterations=200), _pick(data))
    kmeans.run()
    distance = torch.cdist(means, kmeans.centroids)
    assert sorted(distance.argmin(1).tolist()) == list(range(8))
    assert float(distance.min(1).values.max()) < 0.15  # of a deviation of 1: what mini-batches leave
    assert kmeans.error == pytest.approx(3.0, rel=0.2)  # three dimensions of variance 1


def test_kmeans_resumes_exactly() -> None:
    data = torch.randn(3000, 4, generator=torch.Generator().manual_seed(1))
    pick = _pick(data)
    config = KMeansConfig(batch=256, iterations=60)
    straight = KMeans(16, config, pick)
    straight.run()
    first = KMeans(16, config, pick)
    first.run(27)
    second = KMeans(16, config, pick)
    second.load_state_dict({k: v.clone() for k, v in first.state_dict().items()})
    second.run()
    for k, v in straight.state_dict().items():
        assert torch.equal(v, second.state_dict()[k]), k
    other = KMeans(16, KMeansConfig(batch=256, iterations=60, seed=1), pick)
    other.run()
    assert not torch.equal(other.centroids, straight.centroids)


def test_no_code_starves() -> None:
    """One dense heap and few far points: the far ones still get their centroids, none is left unused."""
    g = torch.Generator().manual_seed(0)
    data = torch.cat([torch.randn(5000, 2, generator=g), 30 + torch.randn(100, 2, generator=g)])
    kmeans = KMeans(20, KMeansConfig(batch=1000, iterations=90), _pick(data))
    kmeans.run()
    book = Codebook(20, 2)
    book.centroids.copy_(kmeans.centroids)
    assert int((torch.bincount(book.nearest(data), minlength=20) > 0).sum()) == 20


def test_fewer_than_50_frames_a_centroid_is_refused() -> None:
    require_frames(500, 10)
    with pytest.raises(UserError, match=r"409600 steps.*at most 20 codes"):
        require_frames(1000, 8192, where="data")


def test_filters_by_hand() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert top_p_set(logits, 0.4).tolist() == [True, False, False, False]
    assert top_p_set(logits, 0.79).tolist() == [True, True, False, False]
    assert top_p_set(logits, 1.0).all()


def test_draws_stay_inside_top_p_and_follow_it() -> None:
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    config = SamplingConfig(top_p=0.79, top_k=3)
    found = [choose(logits, config, (i + 0.5) / 1000)[0] for i in range(1000)]
    assert set(found) == {1, 3}
    assert found.count(1) / 1000 == pytest.approx(0.5 / 0.8, abs=2e-3)
    assert choose(logits, config, 0.99)[1].tolist() == [False, True, False, True]
    assert choose(logits, SamplingConfig(temperature=0.0), 0.99)[0] == 1


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=12, unique=True),
    st.floats(0.05, 1),
    st.integers(0, 12),
)
def test_greedy_decoding_keeps_the_candidates_of_sampling(values: list[float], p: float, k: int) -> None:
    """The candidates are penalised at the next step: they must not depend on how one of them is taken."""
    logits = torch.tensor(values)  # two that round to the same float32 may come in any order
    greedy, sampled = (SamplingConfig(top_p=p, top_k=k, temperature=t) for t in (0.0, 1.0))
    index, candidates = choose(logits, greedy, 0.5)
    assert logits[index] == logits.max()
    assert torch.equal(candidates, choose(logits, sampled, 0.5)[1])
    assert not k or int(candidates.sum()) <= k


def test_the_penalty_is_taken_off_the_candidates_of_the_step_before() -> None:
    logits = torch.tensor([2.0, 1.5, 0.0])
    before = torch.tensor([True, False, False])
    assert choose(logits, SamplingConfig(temperature=0.0, penalty=1.0), 0.5, before=before)[0] == 1
    assert choose(logits, SamplingConfig(temperature=0.0, penalty=0.4), 0.5, before=before)[0] == 0
    assert choose(logits, SamplingConfig(temperature=0.0, penalty=0.0), 0.5, before=before)[0] == 0


@given(
    st.lists(st.floats(-5, 5), min_size=2, max_size=12),
    st.floats(0, 0.999999),
    st.floats(0.05, 1),
    st.integers(0, 12),
)
def test_what_is_drawn_is_a_candidate(values: list[float], u: float, p: float, k: int) -> None:
    logits = torch.tensor(values)
    index, candidates = choose(logits, SamplingConfig(top_p=p, top_k=k), u)
    assert candidates[index]
    # Nothing outside is likelier than anything inside.
    if not candidates.all():
        assert float(logits[~candidates].max()) <= float(logits[candidates].min()) + 1e-6


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="top_p"):
        SamplingConfig(top_p=0)
    with pytest.raises(ValueError, match="below 0"):
        SamplingConfig(penalty=-1)
