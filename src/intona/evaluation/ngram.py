"""An n-gram model with interpolated Kneser-Ney smoothing: what counting predicts of a sequence of symbols.

The highest order counts how often a symbol follows a context; lower orders count in how many different
contexts it does (Kneser & Ney 1995; interpolated as in Chen & Goodman 1998, with one discount). The lowest
order is interpolated with the uniform distribution, so that every symbol has a probability.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

DISCOUNT = 0.75


class NGram:
    """Probabilities of symbols 0 … vocabulary - 1, and of the end of a sequence, whose id is `vocabulary`.

    Args:
        sequences: to count in. order: symbols of the longest n-gram.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], vocabulary: int, *, order: int = 5) -> None:
        if vocabulary < 1 or order < 1:
            raise ValueError("an n-gram model needs a symbol and an order of at least 1")
        self.end, self.order = vocabulary, order
        self.start = vocabulary + 1  # only ever in contexts
        counts: list[dict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(order)]
        for sequence in sequences:
            padded = self._padded(sequence)
            for i in range(order - 1, len(padded)):
                counts[-1][tuple(padded[i - order + 1 : i])][padded[i]] += 1
        for n in range(order - 1, 0, -1):  # a symbol after a shorter context: in how many longer ones
            for context, following in counts[n].items():
                for symbol in following:
                    counts[n - 1][context[1:]][symbol] += 1
        self._tables = [
            {
                context: (np.fromiter(c.keys(), int), np.fromiter(c.values(), float), c.total(), dict(c))
                for context, c in table.items()
            }
            for table in counts
        ]

    def _padded(self, sequence: Sequence[int]) -> list[int]:
        return [self.start] * (self.order - 1) + list(sequence) + [self.end]

    def after(self, context: Sequence[int]) -> np.ndarray:
        """Probabilities of all symbols and the end after the last order - 1 symbols of `context`."""
        p = np.full(self.end + 1, 1 / (self.end + 1))
        for n, table in enumerate(self._tables):
            if (entry := table.get(_last(context, n))) is None:
                break
            symbols, counts, total, _ = entry
            p = p * (DISCOUNT * len(symbols) / total)
            p[symbols] += (counts - DISCOUNT) / total
        return p

    def probability(self, symbol: int, context: Sequence[int]) -> float:
        """The entry of `after` for one symbol."""
        p = 1 / (self.end + 1)
        for n, table in enumerate(self._tables):
            if (entry := table.get(_last(context, n))) is None:
                break
            _, _, total, known = entry
            p *= DISCOUNT * len(known) / total
            if (count := known.get(symbol)) is not None:
                p += (count - DISCOUNT) / total
        return p

    def between(self, sequence: Sequence[int], position: int) -> np.ndarray:
        """Probabilities of the symbols at a position, (vocabulary,), if all others of the sequence are known.

        That of symbol v is in proportion to the probability of the whole sequence with v at the position.
        """
        padded, at = self._padded(sequence), position + self.order - 1
        log = np.log(self.after(padded[:at])[: self.end])
        for i in range(at + 1, min(at + self.order, len(padded))):
            context = padded[i - self.order + 1 : i]
            hole = at - (i - self.order + 1)
            each = np.empty(self.end)
            for v in range(self.end):
                context[hole] = v
                each[v] = self.probability(padded[i], context)
            log += np.log(each)
        p = np.exp(log - log.max())
        return p / p.sum()


def _last(context: Sequence[int], n: int) -> tuple[int, ...]:
    return tuple(context[len(context) - n :]) if n else ()
