"""Word and character error rates from a minimum-edit alignment.

WER of a corpus = sum(S + D + I) / sum(N); macro = mean of the rates of the utterances. N counts reference
words and never contains insertions; an empty reference is an input error and has no score.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Edits:
    """Edit counts of one utterance; `reference` = N, the number of reference tokens."""

    substitutions: int
    deletions: int
    insertions: int
    reference: int

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        return self.errors / self.reference


def count_edits(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> Edits:
    """Fewest substitutions + deletions + insertions; among equals, the alignment with most matches.

    Raises:
        UserError: the reference is empty.
    """
    if not reference:
        raise UserError(
            "an empty reference has no error rate", hint="leave the utterance out of the manifest"
        )
    names: dict[Hashable, int] = {}
    ref = np.array([names.setdefault(t, len(names)) for t in reference], dtype=np.int64)
    hyp = np.array([names.setdefault(t, len(names)) for t in hypothesis], dtype=np.int64)
    n, m = len(ref), len(hyp)
    # One integer orders alignments by (edits, -matches): an edit costs `unit`, a match earns 1.
    unit = n + m + 1
    across = np.arange(m + 1, dtype=np.int64) * unit
    row = across.copy()
    for token in ref:
        new = row + unit
        step = np.where(hyp == token, -1, unit)
        new[1:] = np.minimum(new[1:], row[:-1] + step)
        # Insertions run along the row: new[j] = min over k <= j of new[k] + (j - k) * unit.
        row = np.minimum.accumulate(new - across) + across
    best = int(row[-1])
    errors = -(-best // unit)
    matches = errors * unit - best
    # N = matches + S + D, M = matches + S + I, errors = S + D + I determine the three.
    substitutions = n + m - 2 * matches - errors
    return Edits(
        substitutions=substitutions,
        deletions=n - matches - substitutions,
        insertions=m - matches - substitutions,
        reference=n,
    )


def word_edits(reference: str, hypothesis: str) -> Edits:
    """Edits between two *normalized* texts, split into words at blanks."""
    return count_edits(reference.split(), hypothesis.split())


def character_edits(reference: str, hypothesis: str) -> Edits:
    """Edits between characters after NFKC, blanks removed."""
    return count_edits(characters(reference), characters(hypothesis))


def characters(text: str) -> list[str]:
    return [c for c in unicodedata.normalize("NFKC", text) if not c.isspace()]


def corpus_rate(edits: Sequence[Edits]) -> float:
    return sum(e.errors for e in edits) / sum(e.reference for e in edits)


def macro_rate(edits: Sequence[Edits]) -> float:
    return sum(e.rate for e in edits) / len(edits)
