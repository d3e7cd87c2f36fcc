"""CTC's scores of beginnings, by brute force over all paths."""

from __future__ import annotations

import itertools

import pytest
import torch

from intona.systems.meld.ctc import PrefixScorer

STEPS, PIECES = 5, 3  # and the blank
LOG_P = torch.log_softmax(torch.randn(STEPS, PIECES + 1, generator=torch.Generator().manual_seed(0)), -1)


def spelt(path: tuple[int, ...]) -> tuple[int, ...]:
    merged = [s for s, before in zip(path, (None, *path[:-1]), strict=True) if s != before]
    return tuple(s for s in merged if s != PIECES)


def summed(wanted: object) -> float:
    paths = [p for p in itertools.product(range(PIECES + 1), repeat=STEPS) if wanted(spelt(p))]  # type: ignore[operator]
    return float(torch.stack([LOG_P[range(STEPS), list(p)].sum() for p in paths]).logsumexp(0))


@pytest.mark.parametrize("text", [(), (1,), (0, 2), (1, 1), (2, 2, 0), (0, 1, 0), (0, 0, 0)])
def test_beginnings_and_whole_texts(text: tuple[int, ...]) -> None:
    scorer = PrefixScorer(LOG_P)
    rows = scorer.start()
    for piece in text:
        grown = scorer.grown(rows)[0, piece]
        rows = scorer.grow(rows, torch.tensor([piece]))
        assert float(rows.scores[0]) == pytest.approx(float(grown), abs=1e-5)
    assert float(rows.whole[0]) == pytest.approx(summed(lambda s: s == text), abs=1e-4)
    assert float(rows.scores[0]) == pytest.approx(summed(lambda s: s[: len(text)] == text), abs=1e-4)


def test_rows_do_not_mix_and_what_cannot_be_spelt_is_impossible() -> None:
    scorer = PrefixScorer(LOG_P)
    empty = scorer.start().select(torch.tensor([0, 0]))
    both = scorer.grow(empty, torch.tensor([0, 2]))
    alone = scorer.grow(scorer.start(), torch.tensor([2]))
    torch.testing.assert_close(both.select(torch.tensor([1])).paths, alone.paths)
    rows, again = alone, torch.tensor([2])
    for _ in range(3):  # 2, 2, 2, 2 needs seven steps
        rows = scorer.grow(rows, again)
    assert rows.whole.item() == rows.scores.item() == -torch.inf
