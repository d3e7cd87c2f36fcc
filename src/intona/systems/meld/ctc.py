"""Scores of beginnings of a text by CTC, to search with (Watanabe et al. 2017, section II.C)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Prefixes:
    """Beginnings of a text, one per row.

    paths (B, T, 2): log-probability of all paths through the steps up to t that spell the row, ending in its
    last piece, or in a blank. scores (B,): of all paths through all steps that spell anything that begins so.
    last (B,): the last piece, -1 = none.
    """

    paths: Tensor
    scores: Tensor
    last: Tensor

    @property
    def whole(self) -> Tensor:
        """(B,) log-probability that the row is all there is."""
        return self.paths[:, -1].logsumexp(-1)

    def select(self, rows: Tensor) -> Prefixes:
        return Prefixes(paths=self.paths[rows], scores=self.scores[rows], last=self.last[rows])


class PrefixScorer:
    """Extends beginnings by a piece.

    Args:
        log_p: (T, V + 1) log-probabilities of the pieces at each step, the blank last; T at least 1.
    """

    def __init__(self, log_p: Tensor) -> None:
        self.log_p = log_p

    def start(self) -> Prefixes:
        """The empty text, one row."""
        blank = self.log_p[:, -1].cumsum(0)
        paths = torch.stack([torch.full_like(blank, -torch.inf), blank], dim=1)
        none = torch.full((1,), -1, device=blank.device)
        return Prefixes(paths=paths[None], scores=blank.new_zeros(1), last=none)

    def grown(self, prefixes: Prefixes) -> Tensor:
        """(B, V): the score of each row with each piece behind it."""
        every = torch.arange(self.log_p.shape[1] - 1, device=self.log_p.device)
        before = self._before(prefixes, every.expand(len(prefixes.last), -1))
        return (before + self.log_p[None, :, :-1]).logsumexp(1)

    def grow(self, prefixes: Prefixes, pieces: Tensor) -> Prefixes:
        """Each row (B,) with one piece (B,) behind it."""
        before = self._before(prefixes, pieces[:, None])[..., 0]
        here = self.log_p[:, pieces].T
        blank = self.log_p[:, -1]
        paths = torch.full_like(prefixes.paths, -torch.inf)
        paths[:, 0, 0] = before[:, 0] + here[:, 0]
        for t in range(1, len(self.log_p)):
            paths[:, t, 0] = torch.logaddexp(paths[:, t - 1, 0], before[:, t]) + here[:, t]
            paths[:, t, 1] = paths[:, t - 1].logsumexp(-1) + blank[t]
        return Prefixes(paths=paths, scores=(before + here).logsumexp(1), last=pieces)

    def _before(self, prefixes: Prefixes, pieces: Tensor) -> Tensor:
        """(B, T, P): of paths that spelt the row before step t, so that each piece (B, P) may begin there.

        The last piece again begins only behind a blank.
        """
        last = prefixes.last[:, None]
        either, blank = prefixes.paths.logsumexp(-1), prefixes.paths[..., 1]
        behind = torch.where((pieces == last)[:, None, :], blank[..., None], either[..., None])
        first = torch.where(last < 0, 0.0, -torch.inf)[:, None].expand(-1, 1, pieces.shape[1]).to(behind)
        return torch.cat([first, behind[:, :-1]], dim=1)
