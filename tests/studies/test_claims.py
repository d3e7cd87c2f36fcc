"""Claims: paired over sentences with all their seeds, adjusted over the table, and the words of the rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from intona.evaluation.stats import Paired
from intona.evaluation.trainings import Sums, TrainingDifference, smallest_p
from intona.studies.engine.claims import Claim, Test, adjusted, answers, compare, decide, pairs, section
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
    test = compare({0: {"x": (1, 1), "y": (0, 1)}, 1: {"y": (5, 1)}}, {0: {"y": (1, 1), "z": (9, 1)}})
    assert test is not None and test.paired.n == 1 and test.by_seed == {0: -1.0}
    assert test.trainings.seeds == (2, 1) and (test.trainings.items, test.trainings.left_out) == (1, 2)
    assert compare({0: {"x": (1, 1)}}, {1: {"x": (1, 1)}}) is None
    speakers = {f"s{i}": i % 2 for i in range(20)}
    grouped = compare({0: sums(np.ones(20))}, {0: sums(np.zeros(20))}, speakers)
    assert grouped is not None and grouped.paired.clusters == 2


def outcome(difference: float, half: float, p: float | None, *, seeds: int = 3, p_seeds: float = 0.1) -> Test:
    over = TrainingDifference(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p=p,
        df=4.0,
        bootstrap=(difference - half, difference + half),
        p_seeds=p_seeds,
        least=smallest_p(seeds, seeds),
        seeds=(seeds, seeds),
        items=20,
        left_out=0,
        clusters=20,
        paired=False,
    )
    paired = Paired(difference=difference, low=None, high=None, p=0.0, n=20, clusters=20)
    return Test(trainings=over, paired=paired, by_seed=dict.fromkeys(range(seeds), difference))


PUBLISHED = dataclasses.replace(LOWER, published=".1 / .3", effect=-0.2)


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (outcome(-0.15, 0.02, 0.001), "holds"),
        (outcome(0.15, 0.02, 0.001), "reversed"),
        (outcome(-0.15, 0.3, 0.2), "open: no clear difference"),
        (outcome(-0.15, 0.02, 0.001, p_seeds=0.2), "open: the seeds overlap"),
        (outcome(-0.15, 0.02, 0.001, seeds=4, p_seeds=2 / 70), "holds"),
        (outcome(-0.15, 0.02, 0.001, seeds=4, p_seeds=4 / 70), "open: the seeds overlap"),
        (outcome(0.0, 0.05, 0.9), "excluded"),
        (outcome(-0.05, 0.02, 0.001), "excluded"),  # certain, but as good as nothing
        (outcome(-0.05, 0.06, 0.2), "open: no clear difference"),
        (outcome(-0.15, 0.02, 0.001, seeds=2), "open: 2 seeds, 3 needed"),
        (outcome(-0.15, 0.02, 0.001, seeds=1), "open: 1 seed, 3 needed"),
        (outcome(-0.15, 0.02, None), "open: nothing varies, or there is one item or speaker"),
    ],
)
def test_the_rule(test: Test, verdict: str) -> None:
    assert decide(PUBLISHED, test) == verdict


def test_without_a_published_effect_nothing_is_excluded() -> None:
    assert decide(LOWER, outcome(0.0, 1e-6, 0.9)) == "open: no clear difference"
    with pytest.raises(ValueError, match="without a published effect"):
        dataclasses.replace(LOWER, margin=0.1)
    for effect, margin in ((0.2, None), (-0.2, 0.2), (-0.2, 0.0)):
        with pytest.raises(ValueError, match="an effect of"):
            dataclasses.replace(LOWER, effect=effect, margin=margin)


def test_nothing_measured_is_no_verdict_and_holm_counts_what_can_be_decided() -> None:
    assert decide(LOWER, None) == "not measured"
    two_seeds = outcome(-1, 0.1, 0.001, seeds=2)
    test = adjusted([outcome(-1, 0.1, 0.03), None, outcome(-1, 0.1, 0.04), two_seeds])
    assert test[1] is None
    assert [t.p_holm for t in test if t] == [pytest.approx(0.06), pytest.approx(0.06), None]
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
    test = outcome(-0.15, 0.02, 0.001)
    rows = answers([claim, LOWER], [test, None], value, (0, 1, 2), names={"wer": "WER"})
    page = section(rows, published="nowhere.", lead="none").render()
    assert "seed 0: 0.100 / 0.150" in page and "&lt;b&gt;" in page and ">WER<" in page
    assert "<strong>holds</strong>" in page and "<strong>not measured</strong>" in page
    assert isinstance(seed_pairs[0], P)
