"""The default contour of questions: at least so high, at most so low, whatever a model predicts.

Corpora of read speech have few questions, and a model trained on them speaks questions like statements. The
rule is applied to the predicted contour: a vowel that the model raises far enough by itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from intona.text import ipa, languages
from intona.text.frontend import Utterance, Word
from intona.text.intonation import Clause, clauses_of
from intona.text.languages.base import QuestionContour

SONORANTS = tuple("mnŋɲlɫʎrɹɾjw")  # first letters of consonants that carry pitch
HIGHEST = 14.0  # semitones above the speaker's mean that no rule exceeds


@dataclass(frozen=True, kw_only=True)
class PitchTarget:
    """What a rule says about one vowel.

    Attributes:
        symbol: index of the vowel. start, end: half-open range of symbols of its word.
        floor, ceiling: semitones above the speaker's mean. above: semitones above the peak that the word
            would have in a statement. None: no such limit.
    """

    symbol: int
    start: int
    end: int
    floor: float | None = None
    above: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True, kw_only=True)
class QuestionPlan:
    """The rules of one utterance.

    Attributes:
        vowels: indices of all of its vowels. voiced: of the vowels that a rule raises and the sonorants after
            them in their words. They must be voiced, also where a model predicts the creak that ends the
            statements of some readers.
    """

    vowels: tuple[int, ...]
    targets: tuple[PitchTarget, ...]
    voiced: tuple[int, ...] = ()

    def apply(self, pitch: np.ndarray, statement: np.ndarray) -> np.ndarray:
        """The contour (N,) with the targets reached, in semitones above the speaker's mean.

        Symbols between two vowels are moved with them, so that there are no steps.

        Args:
            pitch: the predicted contour. statement: that of the same words as a statement.
        """
        moved = np.array(pitch, np.float64)
        for t in self.targets:
            value = moved[t.symbol]
            if t.floor is not None:
                value = max(value, t.floor)
            if t.above is not None:
                value = max(value, float(np.max(statement[t.start : t.end])) + t.above)
            if t.ceiling is not None:
                value = min(value, t.ceiling)
            moved[t.symbol] = max(min(value, HIGHEST), min(float(pitch[t.symbol]), value))
        vowels = list(self.vowels)
        delta = np.interp(np.arange(len(pitch)), vowels, (moved - pitch)[vowels])
        return pitch + delta


def plan_of(utterance: Utterance, language: str) -> QuestionPlan | None:
    """The default contour of the questions in an utterance, None if there are none."""
    rules = languages.get(language)
    vowels = [i for i, s in enumerate(utterance.phonemes) if ipa.is_vowel(s)]
    targets: list[PitchTarget] = []
    for clause in clauses_of(utterance, language):
        contour = {"yes_no": rules.yes_no_contour, "wh": rules.wh_contour}.get(clause.type)
        if contour is not None:
            targets += _clause(utterance, clause, contour)
    if not targets:
        return None
    voiced = sorted({i for t in targets for i in _voiced(utterance, t)})
    return QuestionPlan(vowels=tuple(vowels), targets=tuple(targets), voiced=tuple(voiced))


def _voiced(utterance: Utterance, target: PitchTarget) -> list[int]:
    """The vowel that a target raises, and the sonorants after it."""
    if target.floor is None and target.above is None:
        return []
    out = [target.symbol]
    for i in range(target.symbol + 1, target.end):
        if not utterance.phonemes[i].startswith(SONORANTS):
            break
        out.append(i)
    return out


def _clause(utterance: Utterance, clause: Clause, contour: QuestionContour) -> list[PitchTarget]:
    words = utterance.words[clause.start : clause.end]
    vowels = [(i, w) for w in words for i in range(w.start, w.end) if ipa.is_vowel(utterance.phonemes[i])]
    if not vowels:
        return []
    nucleus = _stressed(utterance, [utterance.words[clause.nucleus]]) or vowels[-1]
    first, last = _stressed(utterance, words) or vowels[0], vowels[-1]
    targets: list[PitchTarget] = []

    def add(vowel: tuple[int, Word], **limits: float | None) -> None:
        if any(limit is not None for limit in limits.values()):
            symbol, word = vowel
            targets.append(PitchTarget(symbol=symbol, start=word.start, end=word.end, **limits))

    add(first, floor=contour.start, above=contour.start_above)
    add(nucleus, floor=contour.nucleus, above=contour.nucleus_above)
    after = [v for v in vowels if v[0] > nucleus[0]]
    for vowel in after:
        add(vowel, ceiling=contour.after)
    if contour.end is not None:
        base = 0.0 if contour.nucleus is None else contour.nucleus
        for k, vowel in enumerate(after, 1):
            add(vowel, floor=base + (contour.end - base) * k / len(after))
    if after:
        add(last, ceiling=contour.end_at_most)
    else:
        add(last, floor=contour.end_in_nucleus)
    return targets


def _stressed(utterance: Utterance, words: Sequence[Word]) -> tuple[int, Word] | None:
    """The first stressed vowel of words; the last vowel of a single word without stress."""
    vowels = [(i, w) for w in words for i in range(w.start, w.end) if ipa.is_vowel(utterance.phonemes[i])]
    stressed = [v for v in vowels if ipa.is_stressed(utterance.phonemes[v[0]])]
    if stressed:
        return stressed[0]
    return vowels[-1] if vowels and len(words) == 1 else None
