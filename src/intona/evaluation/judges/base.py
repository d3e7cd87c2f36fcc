"""What a judge is: a class that scores one utterance at a time, and states exactly how it does so."""

from __future__ import annotations

import importlib.util
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.manifest import Row
from intona.pool import ReloadsInWorker

T = TypeVar("T")
Need = Literal["recognizer", "reference", "prompts"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of the table.

    Args:
        name: key in the records ("wer"). title: head of the column ("WER").
        pooled: the corpus value is sum(numerator) / sum(denominator), otherwise the mean of the values.
        failed: value of a failed output in the *counted* column. None where no worst value exists; the
            column is then over scored utterances only and states its n.
        better: which direction is better; None for a description such as the median F0.
        digits: decimals to print.
        share: each value is 0 or 1, so the interval is that of a share (`shares.py`).
        capped: for a pooled error rate, also report it with the errors of each utterance capped at the
            length of its reference: an invented transcript then counts as one lost utterance, not several.
        headline: shown at the top of the page.
    """

    name: str
    title: str
    pooled: bool = False
    failed: float | None = None
    better: Literal["lower", "higher"] | None = None
    digits: int = 2
    share: bool = False
    capped: bool = False
    headline: bool = False

    @property
    def heading(self) -> str:
        """The title with an arrow that points in the better direction."""
        return self.title + ("" if self.better is None else " ↓" if self.better == "lower" else " ↑")

    def __post_init__(self) -> None:
        if (self.share and self.pooled) or (self.capped and not self.pooled):
            raise ValueError("a share is not pooled, and only a pooled measure can be capped")
        if not 0 <= self.digits <= 6:
            raise ValueError(f"digits is {self.digits}: 0 to 6")


@dataclass(frozen=True, kw_only=True)
class Score:
    """One value; None if it is not defined for this utterance (say, no frame is voiced in both)."""

    value: float | None
    numerator: float | None = None
    denominator: float | None = None
    detail: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What an evaluation offers the judges that it builds.

    Args:
        language: of the texts.
        rows: of the manifest, so that a missing prompt is noticed before anything is judged.
        recognizer: "offline", a directory or a hub name; None for no recognizer.
        reference: whether there are recordings of the utterances.
        prompts: folder with `ID.wav` or `SPEAKER.wav`.
        settings: judge -> its settings, such as {"mcd": {"sample_rate": 24000}}.
        device: where the networks of the judges run: "cpu", "cuda", "cuda:1".
    """

    language: str = "ru"
    rows: tuple[Row, ...] = ()
    recognizer: str | None = None
    reference: bool = False
    prompts: Path | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device: str = "cpu"
    _shared: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def has(self, need: Need) -> bool:
        return bool(getattr(self, need))

    def share(self, key: str, create: Callable[[], T]) -> T:
        """One object for all judges of this evaluation that use the same key."""
        if key not in self._shared:
            self._shared[key] = create()
        return self._shared[key]


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """Stands in a table for a judge that could not run: its columns remain and state the reason."""

    name: str
    measures: tuple[Measure, ...]
    reason: str
    hint: str


def rounding_of(device: str) -> dict[str, str]:
    """What a judge describes of its device: nothing for the CPU, else its kind, which rounds otherwise."""
    kind = device.partition(":")[0]
    return {} if kind == "cpu" else {"device": kind}


class Judge(ABC, ReloadsInWorker):
    """Scores one utterance at a time and keeps no state between utterances.

    A package registers its judge as an entry point of the group `intona.judges`; `--judges NAME` then runs
    it. With several workers a judge is pickled; its cached properties are computed again in each worker.

    Attributes:
        name: what `--judges` calls it.
        measures: what `judge` returns a score for.
        needs: what it cannot do without: "recognizer", "reference" (recordings), "prompts".
        packages: modules that must be installed. install: the command that installs them.
        checks_speech: whether `unspoken` can answer. If so, `describe()` must state its rule as "no_speech".
    """

    name: ClassVar[str]
    measures: tuple[Measure, ...]
    needs: ClassVar[tuple[Need, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""
    checks_speech: ClassVar[bool] = False

    @classmethod
    def build(cls, inputs: Inputs) -> Self | Unavailable:
        """The judge of an evaluation, with `inputs.settings[name]` as arguments of its constructor.

        Raises:
            UserError: something that was requested by name cannot be had; an unknown setting.
        """
        return cls.construct(inputs.settings.get(cls.name, {}))

    @classmethod
    def construct(cls, settings: Mapping[str, Any], *arguments: Any, **more: Any) -> Self:
        """`cls(*arguments, **more, **settings)`.

        Raises:
            UserError: a setting that the constructor does not take.
        """
        try:
            inspect.signature(cls).bind(*arguments, **more, **settings)
        except TypeError as e:
            raise UserError(str(e), where=f'settings of the judge "{cls.name}"') from None
        return cls(*arguments, **more, **settings)

    @classmethod
    def unavailable(cls, reason: str = "not installed", hint: str = "") -> Unavailable:
        """Its columns without figures."""
        return Unavailable(name=cls.name, measures=cls.measures, reason=reason, hint=hint or cls.install)

    @classmethod
    def installed(cls) -> bool:
        return all(importlib.util.find_spec(package) is not None for package in cls.packages)

    @property
    def needs_reference(self) -> bool:
        return "reference" in self.needs

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that changes the figures (model hash, settings, versions), as JSON types.

        Its hash decides what a resumed evaluation keeps and which reports can be compared.
        """

    @abstractmethod
    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        """A score for every measure; `reference` is the recording where the judge needs one."""

    def failed(self, row: Row) -> dict[str, Score]:
        """What an utterance with no usable audio counts as: by default the worst value of each measure."""
        return {m.name: Score(value=m.failed) for m in self.measures}

    def unspoken(self, audio: Audio, row: Row) -> str | None:
        """Why a recording counts as failed for all judges because nothing is spoken in it; None if it does
        not. Asked only if `checks_speech`."""
        return None

    def warnings(self, rows: tuple[Row, ...]) -> list[str]:
        """What the user and the reader of the report should know about these texts."""
        return []
