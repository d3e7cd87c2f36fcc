"""What intonation a text asks for: the type of each clause, and the word that bears its nucleus.

The nucleus is the word with the main movement of pitch (the centre of Bryzgunova's intonation constructions;
the nuclear syllable of the British school). It is the last content word, except in questions: see
`Language.question_focus` and `Language.question_words`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from intona.text import languages
from intona.text.frontend import Utterance
from intona.text.languages.base import Language
from intona.text.symbols import PUNCTUATION

ClauseType = Literal["statement", "continuation", "yes_no", "wh", "exclamation"]
CLAUSE_TYPES: tuple[ClauseType, ...] = ("statement", "continuation", "yes_no", "wh", "exclamation")
# Where a symbol stands: before the nucleus, in it, after it.
BEFORE, NUCLEUS, AFTER = 0, 1, 2
PLACES = 3
FINAL = frozenset(".!?…")
VOCATIVE = 1  # words of a first clause that a question may have before its question word: "Иван, где ты?"


@dataclass(frozen=True, kw_only=True)
class Clause:
    """A stretch of words with one nucleus.

    Attributes:
        type: of intonation. start, end: half-open range of words in the utterance. nucleus: the word that
            bears it, counted in the utterance.
    """

    type: ClauseType
    start: int
    end: int
    nucleus: int


def clauses_of(utterance: Utterance, language: str) -> tuple[Clause, ...]:
    """The clauses of an utterance in order; together they cover all of its words.

    Statements and exclamations are divided at punctuation; all clauses of a statement but its last are
    continuations. A question is one clause, after the clauses that precede the one that bears the nucleus.

    Args:
        language: code of the language that the utterance is in.
    """
    rules = languages.get(language)
    out: list[Clause] = []
    for spans, end in _sentences(utterance):
        out += _sentence(utterance, spans, end, rules)
    return tuple(out)


def symbols_of(utterance: Utterance, language: str) -> tuple[list[int], list[int]]:
    """For each symbol of an utterance, the index of its clause's type in `CLAUSE_TYPES`, and its place.

    A space or punctuation symbol belongs to the word before it.
    """
    n, words = len(utterance.phonemes), utterance.words
    types, places = [0] * n, [BEFORE] * n
    for clause in clauses_of(utterance, language):
        for w in range(clause.start, clause.end):
            first = 0 if w == 0 else words[w].start
            last = words[w + 1].start if w + 1 < len(words) else n
            place = NUCLEUS if w == clause.nucleus else AFTER if w > clause.nucleus else BEFORE
            types[first:last] = [CLAUSE_TYPES.index(clause.type)] * (last - first)
            places[first:last] = [place] * (last - first)
    return types, places


def _sentences(utterance: Utterance) -> list[tuple[list[range], str]]:
    """Each sentence: the ranges of words between its punctuation marks, and the marks that end it."""
    sentences: list[tuple[list[range], str]] = []
    spans: list[range] = []
    words, start = utterance.words, 0
    for w, word in enumerate(words):
        until = words[w + 1].start if w + 1 < len(words) else len(utterance.phonemes)
        marks = "".join(s for s in utterance.phonemes[word.end : until] if s in PUNCTUATION)
        is_last = w + 1 == len(words)
        if marks or is_last:
            spans.append(range(start, w + 1))
            start = w + 1
        if is_last or FINAL.intersection(marks):
            sentences.append((spans, marks))
            spans = []
    return sentences


def _sentence(utterance: Utterance, spans: Sequence[range], end: str, rules: Language) -> list[Clause]:
    words = [w.text.lower() for w in utterance.words]
    marked = utterance.nucleus
    marked = marked if marked is not None and spans[0].start <= marked < spans[-1].stop else None
    if "?" not in end:
        final: ClauseType = "exclamation" if "!" in end else "statement"
        return [
            Clause(
                type="continuation" if s is not spans[-1] else final,
                start=s.start,
                end=s.stop,
                nucleus=_last_content(words, s, rules, marked),
            )
            for s in spans
        ]
    question = _question_word(words, spans, rules)
    if question is not None:
        type_, nucleus = "wh", question if rules.question_word_bears_nucleus else None
    else:
        type_, nucleus = "yes_no", rules.question_focus([words[s.start : s.stop] for s in spans])
        nucleus = None if nucleus is None else spans[0].start + nucleus
    if marked is not None:
        nucleus = marked
    if nucleus is None:
        nucleus = _last_content(words, spans[-1], rules, None)
    first = next(i for i, s in enumerate(spans) if (question if question is not None else nucleus) < s.stop)
    before = [
        Clause(type="continuation", start=s.start, end=s.stop, nucleus=_last_content(words, s, rules, None))
        for s in spans[:first]
    ]
    if nucleus < spans[first].start:  # marked in what precedes the question word
        before, first = [], 0
    return [*before, Clause(type=type_, start=spans[first].start, end=spans[-1].stop, nucleus=nucleus)]


def _last_content(words: Sequence[str], span: range, rules: Language, marked: int | None) -> int:
    if marked is not None and marked in span:
        return marked
    return next((w for w in reversed(span) if words[w] not in rules.function_words), span[-1])


def _question_word(words: Sequence[str], spans: Sequence[range], rules: Language) -> int | None:
    """The word that makes it a wh-question: the first that is no function word; also after a vocative."""
    for i, span in enumerate(spans[:2]):
        if i and len(spans[0]) > VOCATIVE:
            return None
        for w in span:
            if words[w] in rules.question_words:
                return w
            if words[w] not in rules.function_words:
                break
    return None
