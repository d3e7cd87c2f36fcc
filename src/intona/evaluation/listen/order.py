"""Which trials a rater gets and in which order: a function of the test and the rater's code alone.

The page does the same arithmetic (`listen.js`); a test compares the two. The generator is mulberry32, seeded
with FNV-1a of "TEST|CODE": good enough for shuffling, and the same in every browser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
_MASK = 0xFFFFFFFF


def fnv1a(text: str) -> int:
    """32-bit FNV-1a of the UTF-8 bytes."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x01000193 & _MASK
    return value


class Shuffler:
    """Random draws from mulberry32."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, n: int) -> int:
        """An integer in [0, n)."""
        self._state = (self._state + 0x6D2B79F5) & _MASK
        t = (self._state ^ self._state >> 15) * (1 | self._state) & _MASK
        t = (t + ((t ^ t >> 7) * (61 | t) & _MASK) & _MASK) ^ t
        return ((t ^ t >> 14) * n) >> 32

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """Fisher-Yates."""
        out = list(values)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out


def order(test: Mapping[str, Any], rater: str) -> list[dict[str, Any]]:
    """The rater's trials: {"id", "group", "clips" in the order shown, "reference"}.

    `per_rater` items are drawn. Their trials come in rounds: in each round every item once, in random order
    and with a random system, so that two trials of one item never follow each other. Attention checks are
    spread evenly.
    """
    draw = Shuffler(fnv1a(f"{test['id']}|{rater}"))
    groups = draw.shuffled(list(dict.fromkeys(t["group"] for t in test["trials"])))
    groups = groups[: test["per_rater"] or len(groups)]
    queues = {g: draw.shuffled([t for t in test["trials"] if t["group"] == g]) for g in groups}
    trials: list[dict[str, Any]] = []
    for turn in range(max(map(len, queues.values()))):
        row = draw.shuffled(groups)
        if trials and row[0] == trials[-1]["group"]:
            row[0], row[-1] = row[-1], row[0]
        trials += [queues[g][turn] for g in row if turn < len(queues[g])]
    checks = draw.shuffled(test["checks"])
    stretch = len(trials) // (len(checks) or 1)
    for number, check in enumerate(checks):
        trials.insert(number * stretch + number + (draw.below(stretch) if stretch else 0), check)
    return [{**t, "clips": draw.shuffled(t["clips"])} for t in trials]
