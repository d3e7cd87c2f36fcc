"""Recall at k on vectors whose answer is known, and files of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from intona.errors import UserError
from intona.evaluation.retrieval import (
    _galleries,
    _ranks,
    context_means,
    known_means,
    largest_galleries,
    retrieval,
)

RNG = np.random.default_rng(0)
N, D, PHONES, SPEAKERS = 1200, 16, 6, 2
PHONE = RNG.integers(0, PHONES, N)
UTTERANCE = np.repeat(np.arange(N // 10), 10)
SPEAKER = UTTERANCE % SPEAKERS
NOISE = RNG.normal(size=(N, D))


def _labels() -> tuple[list[str], list[str], list[str]]:
    return [f"p{p}" for p in PHONE], [f"s{s}" for s in SPEAKER], [f"u{u}" for u in UTTERANCE]


def _run(text: np.ndarray, audio: np.ndarray, **more: Any) -> dict[str, float]:
    found = retrieval(text, audio, *_labels(), **{"gallery": 16, "queries": 600, **more})
    return {name: r.recall.estimate for name, r in found.items() if r.recall is not None}


def test_equal_vectors_are_always_found() -> None:
    assert set(_run(NOISE, NOISE).values()) == {1.0}


def test_unrelated_vectors_are_found_by_chance() -> None:
    found = retrieval(NOISE, RNG.normal(size=(N, D)), *_labels(), gallery=16, queries=1200)
    for name, r in found.items():
        if r.recall is not None:
            assert r.recall.estimate == pytest.approx(r.chance, abs=0.05), name
    sim = found["R@5-sim text-audio"]
    assert (sim.gallery, sim.chance, sim.queries) == (16, 5 / 16, 1200)
    # Two speakers are two clusters; of one speaker every utterance is one.
    assert sim.recall is not None and sim.recall.clusters == SPEAKERS
    phones, _, utterances = _labels()
    alone = retrieval(NOISE, RNG.normal(size=(N, D)), phones, ["s"] * N, utterances, gallery=16, ks=(5,))
    one = alone["R@5-sim text-audio"].recall
    assert one is not None and one.clusters == N // 10
    assert one.low < 5 / 16 < one.high  # type: ignore[operator]


def test_a_collapsed_encoder_scores_nothing() -> None:
    """All vectors alike: every gallery is one tie, and ties take the worst rank."""
    assert set(_run(np.ones((N, D)), np.ones((N, D))).values()) == {0.0}


def test_phoneme_identity_alone_fills_diff_and_not_sim() -> None:
    identity = np.eye(PHONES, D)[PHONE]
    found = _run(identity, identity + 0.001 * NOISE)
    assert found["R@1-diff text-audio"] == found["R@1-diff audio-text"] == 1.0
    assert found["R@1-sim text-audio"] < 0.2
    assert found["R@1-sim audio-text"] == 0.0


def test_speaker_alone_helps_sim_and_not_sim_spk() -> None:
    """Half of a gallery is of the other speaker: knowing the speaker doubles R@5-sim, no more."""
    audio = 3 * np.eye(SPEAKERS, D)[SPEAKER] + 0.3 * NOISE
    heard = 3 * np.eye(SPEAKERS, D)[SPEAKER] + 0.3 * RNG.normal(size=(N, D))
    found = _run(known_means(heard, SPEAKER.tolist(), SPEAKER.tolist()), audio, queries=1200)
    assert found["R@5-sim text-audio"] > 0.5
    assert found["R@5-sim-mix text-audio"] > 0.5  # the same queries among all speakers
    assert found["R@5-sim-spk text-audio"] == pytest.approx(5 / 16, abs=0.06)


def test_a_baseline_is_a_mean_of_what_is_known() -> None:
    known = np.eye(4)
    queries = known_means(known, ["a", "a", "b", "b"], ["b", "a", "c"])
    assert np.allclose(queries, [[0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]])  # nobody knows c


def test_the_neighbours_of_a_phoneme_are_a_baseline() -> None:
    """Where a sound is its phoneme and its neighbours, the triphone's mean retrieves it without prosody."""
    rng = np.random.default_rng(3)
    middle, before, after = (rng.normal(size=(PHONES, D)) for _ in range(3))
    known_phones = rng.integers(0, PHONES, (8000, 3))
    neighbours = np.stack([PHONE, *rng.integers(0, PHONES, (2, N))], axis=1)

    def sound(tokens: np.ndarray) -> np.ndarray:
        clean = middle[tokens[:, 0]] + before[tokens[:, 1]] + after[tokens[:, 2]]
        return clean + 0.3 * rng.normal(size=clean.shape)

    def labels(tokens: np.ndarray, levels: int) -> list[list[Any]]:
        every = [[t[0] for t in tokens], [(t[0], t[2]) for t in tokens], [tuple(t) for t in tokens]]
        return every[:levels]

    known, audio = sound(known_phones), sound(neighbours)
    recall = [
        _run(context_means(known, labels(known_phones, n), labels(neighbours, n)), audio)[
            "R@1-sim text-audio"
        ]
        for n in (1, 2, 3)
    ]
    assert recall[0] == pytest.approx(1 / 16, abs=0.04)  # the phoneme alone
    assert recall[1] > 2 * recall[0] and recall[2] > 2 * recall[1]


def test_a_context_that_is_rare_counts_less() -> None:
    known, labels = np.eye(4), [["a", "a", "b", "b"], ["ax", "ay", "bx", "bx"]]
    everything = np.full(4, 0.25)
    a, b = (np.array([1, 1, 0, 0]) + everything) / 3, (np.array([0, 0, 1, 1]) + everything) / 3
    means = context_means(known, labels, [["a", "b", "b", "c"], ["ax", "bx", "by", "cx"]])
    expected = [(np.eye(4)[0] + a) / 2, (np.array([0, 0, 1, 1]) + b) / 3, b, everything]
    assert np.allclose(means, expected)


def test_hits_are_those_of_the_recall_and_alike_for_all_runs() -> None:
    audio = RNG.normal(size=(N, D))
    how: dict[str, Any] = {"gallery": 16, "queries": 600}
    one, two = (retrieval(t, audio, *_labels(), **how) for t in (NOISE, audio + NOISE))
    for name, recall in one.items():
        if recall.recall is None:
            continue
        found, asked = (sum(h[i] for h in recall.hits.values()) for i in (0, 1))
        assert asked == recall.queries and found / asked == pytest.approx(recall.recall.estimate)
        assert {u: h[1] for u, h in recall.hits.items()} == {u: h[1] for u, h in two[name].hits.items()}


@pytest.mark.parametrize("condition", ["diff", "sim", "sim-spk", "sim-mix"])
def test_galleries_are_what_they_say(condition: str) -> None:
    before = np.random.default_rng(2).permutation(N)[:300]
    asked, others, size, left_out = _galleries(
        condition, PHONE, SPEAKER, UTTERANCE, 16, 300, np.random.default_rng(1), before
    )
    assert (asked.tolist() == before.tolist()) == (condition == "sim-mix")
    assert others.shape == (300, size - 1) and left_out == 0
    for q, row in zip(asked, others, strict=True):
        assert q not in row and len(set(row)) == len(row)
        if condition == "diff":
            assert len({PHONE[q], *PHONE[row]}) == size == PHONES
        else:
            assert set(PHONE[row]) == {PHONE[q]} and UTTERANCE[q] not in UTTERANCE[row]
        if condition == "sim-spk":
            assert set(SPEAKER[row]) == {SPEAKER[q]}


def test_tokens_without_a_full_gallery_are_counted() -> None:
    phones = ["rare"] * 3 + ["often"] * 60
    vectors = RNG.normal(size=(63, 4))
    found = retrieval(vectors, vectors, phones, ["s"] * 63, [str(u) for u in range(63)], gallery=32, ks=(1,))
    sim = found["R@1-sim text-audio"]
    assert (sim.queries, sim.left_out) == (60, 3)
    diff = found["R@1-diff text-audio"]
    assert (diff.gallery, diff.chance, diff.queries) == (2, 0.5, 63)
    none = retrieval(vectors, vectors, phones, ["s"] * 63, [str(u) for u in range(63)], gallery=64, ks=(5,))
    assert none["R@5-sim text-audio"].recall is None and none["R@5-sim text-audio"].why
    assert none["R@5-diff text-audio"].recall is None  # k = 5 of 2 is no test


def test_ranks_against_a_full_sort() -> None:
    a, b = RNG.normal(size=(40, 5)), RNG.normal(size=(40, 5))
    asked, others = np.arange(10), np.stack([np.delete(np.arange(40), q) for q in range(10)])
    expected = [1 + int((b[np.delete(np.arange(40), q)] @ a[q] > b[q] @ a[q]).sum()) for q in range(10)]
    assert _ranks(a, b, asked, others).tolist() == expected


def test_the_seed_decides() -> None:
    other = NOISE + RNG.normal(size=(N, D))
    assert _run(NOISE, other) == _run(NOISE, other)
    assert _run(NOISE, other) != _run(NOISE, other, seed=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NOISE[:5], "same N x D"),
        (np.zeros((N, D)), "all zeros"),
        (np.full((N, D), np.nan), "finite"),
    ],
)
def test_bad_vectors_are_refused(text: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _run(text, NOISE)


def test_the_largest_gallery_has_a_query_and_a_larger_one_has_none() -> None:
    rng = np.random.default_rng(3)
    n = 120
    vectors = rng.normal(size=(n, 4))
    utterances = [f"u{i}" for i in rng.integers(0, 12, n)]
    speakers = [f"s{u[1:]}" if u < "u3" else "s" for u in utterances]
    phonemes = [f"p{i}" for i in rng.integers(0, 9, n)]
    for condition, largest in largest_galleries(phonemes, speakers, utterances).items():
        for size, queries in ((largest, True), (largest + 1, False)):
            found = retrieval(vectors, vectors, phonemes, speakers, utterances, gallery=size, ks=(1,))
            assert (found[f"R@1-{condition} text-audio"].queries > 0) == queries
    assert largest_galleries(["a", "a"], ["s", "s"], ["u", "u"])["sim"] == 1
