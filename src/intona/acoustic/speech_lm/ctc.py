"""Scores of beginnings of a text by CTC, to search with (Watanabe et al. 2017, section II.C)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Prefixes:
    """Beginnings of a text, one a row.

    paths (B, T, 2): log-probability of all paths through the steps up to t that spell the row, ending in its
    last piece, or in a blank. scores (B,): of all paths through all steps that spell anything that begins so.
    """

    paths: Tensor
    scores: Tensor

    @property
    def whole(self) -> Tensor:
        """(B,) log-probability that the row is all there is."""
        return self.paths[:, -1].logsumexp(-1)

    def select(self, rows: Tensor) -> Prefixes:
        return Prefixes(paths=self.paths[rows], scores=self.scores[rows])


class PrefixScorer:
    """Grows beginnings by a piece.

    Args:
        log_p: (T, V + 1) log-probabilities of the pieces at each step, the blank last; T at least 1.
    """

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p

    def start(self) -> Prefixes:
        """The empty text, one row."""
        blank = self.log_p[:, -1].cumsum(0)
        paths = torch.stack([torch.full_like(blank, -torch.inf), blank], dim=1)
        return Prefixes(paths=paths[None], scores=blank.new_zeros(1))

    def grown(self, prefixes: Prefixes, last: Tensor) -> Tensor:
        """(B, V): the score of each row with each piece behind it. `last` (B,): its last piece, -1 = none."""
        return (self._before(prefixes, last) + self.log_p[None, :, :-1]).logsumexp(1)

    def grow(self, prefixes: Prefixes, last: Tensor, pieces: Tensor) -> Prefixes:
        """Each row (B) with its own piece (B,) behind it."""
        index = pieces[:, None, None].expand(-1, len(self.log_p), 1)
        before = self._before(prefixes, last).gather(2, index)[..., 0]
        here = self.log_p[:, pieces].T
        blank = self.log_p[:, -1]
        paths = torch.full_like(prefixes.paths, -torch.inf)
        paths[:, 0, 0] = before[:, 0] + here[:, 0]
        for t in range(1, len(self.log_p)):
            paths[:, t, 0] = torch.logaddexp(paths[:, t - 1, 0], before[:, t]) + here[:, t]
            paths[:, t, 1] = paths[:, t - 1].logsumexp(-1) + blank[t]
        return Prefixes(paths=paths, scores=(before + here).logsumexp(1))

    def _before(self, prefixes: Prefixes, last: Tensor) -> Tensor:
        """(B, T, V): of paths that have spelt the row before step t, so that a piece may begin there.

        The last piece again begins only behind a blank.
        """
        size = self.log_p.shape[1] - 1
        either = prefixes.paths.logsumexp(-1)
        found = either[:, :, None].expand(-1, -1, size).clone()
        rows = torch.nonzero(last >= 0)[:, 0]
        found[rows, :, last[rows]] = prefixes.paths[rows, :, 1]
        first = torch.where(last < 0, 0.0, -torch.inf)[:, None, None].expand(-1, 1, size).to(found)
        return torch.cat([first, found[:, :-1]], dim=1)
