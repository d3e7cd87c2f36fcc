"""A transcript with its differences from the text marked, word by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from intona.errors import UserError
from intona.evaluation.html.page import Child, Html, join, tag

Step = tuple[Literal["same", "other", "missing", "added"], str, str]
_MAX_CELLS = 4_000_000


def align_words(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """Steps (kind, reference word, hypothesis word) of an alignment with fewest edits, then most matches.

    The same order as in `intona.evaluation.judges.wer.count_edits`: an edit costs `unit`, a match earns 1.
    """
    n, m = len(reference), len(hypothesis)
    unit = n + m + 1
    cost = [[j * unit for j in range(m + 1)]]
    for i in range(1, n + 1):
        row = [i * unit]
        for j in range(1, m + 1):
            step = -1 if reference[i - 1] == hypothesis[j - 1] else unit
            row.append(min(cost[i - 1][j - 1] + step, cost[i - 1][j] + unit, row[j - 1] + unit))
        cost.append(row)
    steps: list[Step] = []
    i, j = n, m
    while i or j:
        if i and j:
            same = reference[i - 1] == hypothesis[j - 1]
            if cost[i][j] == cost[i - 1][j - 1] + (-1 if same else unit):
                steps.append(("same" if same else "other", reference[i - 1], hypothesis[j - 1]))
                i, j = i - 1, j - 1
                continue
        if i and cost[i][j] == cost[i - 1][j] + unit:
            i -= 1
            steps.append(("missing", reference[i], ""))
        else:
            j -= 1
            steps.append(("added", "", hypothesis[j]))
    return steps[::-1]


def marked(reference: str, hypothesis: str) -> Html:
    """Two *normalized* texts as one: missing words as `del`, words that are not in the text as `ins`."""
    ref, hyp = reference.split(), hypothesis.split()
    if not hyp:
        return tag("em", "nothing")
    if len(ref) * len(hyp) > _MAX_CELLS:
        return join([hypothesis])
    parts: list[Child] = []
    for kind, expected, recognized in align_words(ref, hyp):
        if kind == "same":
            parts.append(expected)
        elif kind == "other":
            # One unit, so that no line breaks between the two words.
            parts.append(tag("span", tag("del", expected), " ", tag("ins", recognized), class_="swap"))
        else:
            parts.append(tag("del", expected) if kind == "missing" else tag("ins", recognized))
    return join(parts, Html(" "))


def words_of(language: str | None) -> tuple[Callable[[str], str], str]:
    """The normalizer of the evaluation and its id, or a plain one if its package is not installed."""
    if language:
        from intona.evaluation.normalize import normalizer

        try:
            normalize = normalizer(language)
            return normalize, normalize.id
        except UserError:
            pass
    return (lambda s: " ".join(re.findall(r"[^\W_]+", s.casefold()))), "lower case, words only"
