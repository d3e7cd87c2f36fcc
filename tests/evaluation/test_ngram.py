"""The n-gram model against sums by hand, enumeration and the source of the text."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from intona.evaluation.ngram import DISCOUNT, NGram


def test_a_bigram_by_hand() -> None:
    """Kneser-Ney of "a b a b" over {a, b, c}: ids 0, 1, 2, the end 3."""
    model, d = NGram([[0, 1, 0, 1]], 3, order=2), DISCOUNT
    # a follows two contexts (the start and b), b one (a), the end one (b): four bigram types.
    lowest = np.array([2 - d, 1 - d, 0, 1 - d]) / 4 + d * 3 / 4 / 4
    assert np.allclose(model.after([]) if model.order == 1 else model.after([9]), lowest)
    after_a = np.array([0, 2 - d, 0, 0]) / 2 + d * 1 / 2 * lowest
    assert np.allclose(model.after([1, 0]), after_a)
    after_b = np.array([1 - d, 0, 0, 1 - d]) / 2 + d * 2 / 2 * lowest
    assert np.allclose(model.after([0, 1]), after_b)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_sum_to_one_and_agree(order: int) -> None:
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 6, rng.integers(1, 12)).tolist() for _ in range(40)]
    model = NGram(sequences, 7, order=order)
    for sequence in sequences[:10]:
        for i in range(len(sequence) + 1):
            context = [model.start] * (order - 1) + sequence[:i]
            p = model.after(context)
            assert p.sum() == pytest.approx(1) and (p > 0).all()
            assert [model.probability(v, context) for v in range(8)] == pytest.approx(p.tolist())


def test_a_hole_is_filled_as_by_enumeration() -> None:
    rng = np.random.default_rng(1)
    model = NGram([rng.integers(0, 4, 9).tolist() for _ in range(30)], 4, order=3)

    def whole(sequence: list[int]) -> float:
        padded = [model.start] * 2 + sequence + [model.end]
        return float(np.prod([model.probability(padded[i], padded[:i]) for i in range(2, len(padded))]))

    sequence = [0, 1, 3, 2, 1]
    for position in range(5):
        each = np.array([whole([*sequence[:position], v, *sequence[position + 1 :]]) for v in range(4)])
        assert np.allclose(model.between(sequence, position), each / each.sum())


def test_it_learns_the_source() -> None:
    """Of a first-order chain, the bigram approaches the entropy rate, a unigram its own entropy."""
    rng, moves = np.random.default_rng(2), np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1]])
    chain = [0]
    for _ in range(20_000):
        chain.append(int(rng.choice(3, p=moves[chain[-1]])))
    train, test = chain[:15_000], chain[15_000:]
    loss = {
        order: -np.mean([np.log(NGramOf.probability(b, [a])) for a, b in itertools.pairwise(test)])
        for order in (1, 2)
        if (NGramOf := NGram([train], 3, order=order))
    }
    entropy = -(moves * np.log(moves)).sum(1).mean()
    assert loss[2] == pytest.approx(entropy, abs=0.02) and loss[1] == pytest.approx(np.log(3), abs=0.02)
