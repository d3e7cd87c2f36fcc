"""Claims: paired over sentences with all their seeds, adjusted over the table, and the words of the rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from intona.studies.engine.claims import Claim, Sums, Test, adjusted, answers, compare, decide, pairs, section
from intona.studies.engine.claims import SeedPair as P

LOWER = Claim(text="a is below b", measure="wer", arm="a", other="b", sign=-1)


def sums(values: np.ndarray, words: float = 10.0) -> Sums:
    return {f"s{i}": (float(v), words) for i, v in enumerate(values)}


def test_the_difference_is_of_ratios_and_a_sentence_is_one_cluster() -> None:
    rng = np.random.default_rng(0)
    b = rng.integers(2, 8, 20).astype(float)
    one = compare({0: sums(b - 1)}, {0: sums(b)})
    two = compare({0: sums(b - 1), 1: sums(b - 1)}, {0: sums(b), 1: sums(b)})
    assert one is not None and two is not None
    assert one.paired.difference == pytest.approx(-0.1) and one.by_seed == {0: pytest.approx(-0.1)}
    # A second seed that says the same of the same sentences adds no evidence.
    assert two.paired.clusters == 20 and two.paired.p == one.paired.p
    assert (two.paired.low, two.paired.high) == (one.paired.low, one.paired.high)


def test_only_what_both_have_is_compared() -> None:
    test = compare({0: {"x": (1, 1), "y": (0, 1)}, 1: {"x": (5, 1)}}, {0: {"y": (1, 1), "z": (9, 1)}})
    assert test is not None and test.paired.n == 1 and test.by_seed == {0: -1.0}
    assert compare({0: {"x": (1, 1)}}, {1: {"x": (1, 1)}}) is None
    speakers = {f"s{i}": i % 2 for i in range(20)}
    grouped = compare({0: sums(np.ones(20))}, {0: sums(np.zeros(20))}, speakers)
    assert grouped is not None and grouped.paired.clusters == 2


def outcome(by_seed: dict[int, float], p: float | None) -> Test:
    from intona.evaluation.stats import Paired

    mean = sum(by_seed.values()) / len(by_seed)
    paired = Paired(difference=mean, low=mean - 1, high=mean + 1, p=p, n=20, clusters=20)
    return Test(paired=paired, by_seed=by_seed)


@pytest.mark.parametrize(
    ("by_seed", "p", "verdict"),
    [
        ({0: -0.1, 1: -0.2}, 0.001, "holds"),
        ({0: 0.1, 1: 0.2}, 0.001, "the reverse"),
        ({0: -0.1, 1: -0.2}, 0.2, "open: no clear difference"),
        ({0: -0.1, 1: 0.3}, 0.001, "open: the seeds disagree"),
        ({0: -0.1, 1: 0.0}, 0.001, "open: the seeds disagree"),
        ({0: -0.1}, 0.001, "open: 1 seed, 2 needed"),
        ({0: -0.1, 1: -0.2}, None, "open: no clear difference"),
    ],
)
def test_the_rule(by_seed: dict[int, float], p: float | None, verdict: str) -> None:
    assert decide(LOWER, outcome(by_seed, p)) == verdict


def test_nothing_measured_is_no_verdict_and_holm_counts_what_was_tested() -> None:
    assert decide(LOWER, None) == "not measured"
    test = adjusted([outcome({0: -1, 1: -1}, 0.03), None, outcome({0: -1, 1: -1}, 0.04)])
    assert test[1] is None
    assert [t.p_holm for t in test if t] == [pytest.approx(0.06), pytest.approx(0.06)]
    assert decide(LOWER, test[0]) == "open: no clear difference"  # alone .03 would do


def test_a_row_shows_the_seeds_that_both_have() -> None:
    def value(arm: str, seed: int, measure: str) -> dict[str, float] | None:
        if seed == 2:
            return None
        centre = {"a": 0.1, "b": 0.4 if seed else 0.15}[arm]
        return {"estimate": centre, "low": centre - 0.1, "high": centre + 0.1}

    seed_pairs = pairs(LOWER, value, (0, 1, 2))
    assert [p.seed for p in seed_pairs] == [0, 1]
    claim = dataclasses.replace(LOWER, text="<b>")
    test = outcome({0: -0.05, 1: -0.3}, 0.001)
    rows = answers([claim, LOWER], [test, None], value, (0, 1, 2), names={"wer": "WER"})
    page = section(rows, published="nowhere.", lead="none").render()
    assert "seed 0: 0.100 / 0.150" in page and "&lt;b&gt;" in page and ">WER<" in page
    assert "<strong>holds</strong>" in page and "<strong>not measured</strong>" in page
    assert isinstance(seed_pairs[0], P)
