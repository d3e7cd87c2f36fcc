"""What a judge is: something that turns one utterance into scores, and says exactly how it does so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

from intona.audio import Audio
from intona.evaluation.manifest import Row


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the table.

    Args:
        name: key in records ("wer"); title: column head ("WER").
        pooled: corpus value = sum(numerator) / sum(denominator), else the mean of the values.
        failed: value of a failed output in the *counted* column; None where no worst value exists, and
            then the column is over scored utterances only and says its own n.
        better: which way is better; None for a description such as the median F0.
        share: each value is 0 or 1, so that the interval is that of a share (`shares.py`).
        capped: of a pooled error rate, also the figure with at most one error for each unit of an utterance's
            reference: one transcript that was made up counts as one lost utterance and not as several.
    """

    name: str
    title: str
    pooled: bool = False
    failed: float | None = None
    better: Literal["lower", "higher"] | None = None
    digits: int = 2
    share: bool = False
    capped: bool = False

    def __post_init__(self) -> None:
        if (self.share and self.pooled) or (self.capped and not self.pooled):
            raise ValueError("a share is not pooled, and only what is pooled can be capped")
        if not 0 <= self.digits <= 6:
            raise ValueError(f"digits is {self.digits}: 0 to 6")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One value. `value` None = not defined for this utterance (say, no frame voiced in both)."""

    value: float | None
    numerator: float | None = None
    denominator: float | None = None
    detail: dict[str, Any] | None = None


class Reloaded:
    """Travels to a worker process without what its cached properties hold: networks are loaded there anew."""

    def __getstate__(self) -> dict[str, Any]:
        kept = {n for c in type(self).__mro__ for n, v in vars(c).items() if isinstance(v, cached_property)}
        return {k: v for k, v in vars(self).items() if k not in kept}


class Judge(Protocol):
    """Scores one utterance at a time; holds no state between utterances.

    A judge with ears may also have `unspoken(audio, row) -> str | None`: why a recording counts as failed
    for all judges because nothing is said in it. Its rule must stand in `describe()` as "no_speech".
    """

    name: str
    measures: tuple[Measure, ...]
    needs_reference: bool

    def describe(self) -> dict[str, Any]:
        """Everything that changes the figures (model hash, settings, versions), as JSON types."""
        ...

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        """A score for every measure."""
        ...

    def failed(self, row: Row) -> dict[str, Score]:
        """What an utterance with no usable audio counts as."""
        ...


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """Stands in a table for a judge that could not run: its columns stay, and say why."""

    name: str
    measures: tuple[Measure, ...]
    reason: str
    hint: str


def failed_scores(measures: tuple[Measure, ...]) -> dict[str, Score]:
    """The usual `Judge.failed`: the worst value of each measure, or none."""
    return {m.name: Score(value=m.failed) for m in measures}
