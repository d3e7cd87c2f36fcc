"""Audio with the times of its words and phones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from intona.audio import Audio

if TYPE_CHECKING:
    from intona.text import Utterance


@dataclass(frozen=True, kw_only=True)
class TimedPhone:
    """A phone and its times in seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class TimedWord:
    """A spoken word and its times in seconds.

    Args:
        text: as spoken, so a number gives several words.
        phones: in order, without gaps: the first starts with the word, the last ends with it. Empty for a
            voice that reads letters.
        after: punctuation that follows the word.
        sentence: index of its sentence in the text.
    """

    text: str
    start: float
    end: float
    phones: tuple[TimedPhone, ...] = ()
    after: str = ""
    sentence: int = 0


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A named place in the text (SSML's `<mark>`) and its time in seconds."""

    name: str
    time: float


class Timed(Protocol):
    """Words and marks in order, and the seconds of the audio that they lie in."""

    @property
    def words(self) -> tuple[TimedWord, ...]: ...
    @property
    def marks(self) -> tuple[Mark, ...]: ...
    @property
    def duration(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The times of a speech without its audio."""

    words: tuple[TimedWord, ...] = ()
    marks: tuple[Mark, ...] = ()
    duration: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Audio, its words in order, and its marks.

    Times count from the start of the audio. In the pieces of `Voice.stream_speech` they count from the start
    of the whole text.
    """

    audio: Audio
    words: tuple[TimedWord, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds of the audio."""
        return self.audio.duration


def shifted(words: Iterable[TimedWord], seconds: float) -> tuple[TimedWord, ...]:
    """Words that are spoken `seconds` later."""
    return _retimed(words, lambda time: time + seconds)


def delayed(words: Iterable[TimedWord], samples: int, sample_rate: int) -> tuple[TimedWord, ...]:
    """Words that start and end at whole samples, spoken `samples` later, without rounding errors."""
    return _retimed(words, lambda time: (round(time * sample_rate) + samples) / sample_rate)


def _retimed(words: Iterable[TimedWord], at: Callable[[float], float]) -> tuple[TimedWord, ...]:
    return tuple(
        dataclasses.replace(
            word,
            start=at(word.start),
            end=at(word.end),
            phones=tuple(TimedPhone(symbol=p.symbol, start=at(p.start), end=at(p.end)) for p in word.phones),
        )
        for word in words
    )


def gathered(pieces: Iterable[Speech]) -> Speech:
    """The pieces of `Voice.stream_speech`, at least one, as one speech."""
    every = list(pieces)
    samples = every[0].audio.samples if len(every) == 1 else np.concatenate([p.audio.samples for p in every])
    return Speech(
        audio=Audio(samples, every[0].audio.sample_rate),
        words=tuple(w for p in every for w in p.words),
        marks=tuple(m for p in every for m in p.marks),
    )


def concatenated(speeches: Sequence[Speech], *, pause: float = 0.0) -> Speech:
    """Speeches one after another, at least one, with `pause` seconds of silence between them."""
    rate = speeches[0].audio.sample_rate
    silence = np.zeros(round(pause * rate), dtype=np.float32)
    samples: list[np.ndarray] = []
    timeline = Timelines()
    for i, speech in enumerate(speeches):
        if i:
            samples.append(silence)
            timeline.add(Timeline(duration=len(silence) / rate))
        samples.append(speech.audio.samples)
        timeline.add(speech)
    whole = timeline.whole
    return Speech(audio=Audio(np.concatenate(samples), rate), words=whole.words, marks=whole.marks)


class Timelines:
    """Times of speeches that follow one another, each counted from its start."""

    def __init__(self) -> None:
        self._words: list[TimedWord] = []
        self._marks: list[Mark] = []
        self._duration, self._sentences = 0.0, 0

    def add(self, speech: Timed) -> None:
        for word in shifted(speech.words, self._duration):
            self._words.append(dataclasses.replace(word, sentence=word.sentence + self._sentences))
        self._marks += [Mark(name=m.name, time=m.time + self._duration) for m in speech.marks]
        self._sentences += 1 + max((w.sentence for w in speech.words), default=-1)
        self._duration += speech.duration

    @property
    def whole(self) -> Timeline:
        return Timeline(words=tuple(self._words), marks=tuple(self._marks), duration=self._duration)


def timed_words(
    utterance: Utterance,
    durations: Sequence[int] | np.ndarray,
    *,
    hop_length: int,
    sample_rate: int,
    sentence: int = 0,
) -> tuple[TimedWord, ...]:
    """The words of one sentence from the duration of each of its symbols.

    Args:
        durations: (N,) frames per symbol of `utterance.phonemes`.
        hop_length: samples per frame.
        sentence: index of the sentence in the text.
    """
    if len(durations) != len(utterance.phonemes):
        raise ValueError(f"{len(durations)} durations for {len(utterance.phonemes)} symbols")
    frames = np.concatenate([[0], np.cumsum(np.asarray(durations, dtype=np.int64))])
    at = [hop_length * int(n) / sample_rate for n in frames]  # as `Audio.duration` is computed
    ends = [w.start for w in utterance.words[1:]] + [len(utterance.phonemes)]
    return tuple(
        TimedWord(
            text=word.text,
            start=at[word.start],
            end=at[word.end],
            phones=tuple(
                TimedPhone(symbol=utterance.phonemes[i], start=at[i], end=at[i + 1])
                for i in range(word.start, word.end)
            ),
            after="".join(utterance.phonemes[word.end : end]).strip(),
            sentence=sentence,
        )
        for word, end in zip(utterance.words, ends, strict=True)
    )


def without_blanks(durations: np.ndarray) -> np.ndarray:
    """Durations (2 N + 1,) of a b c with blanks between, as (N,): a blank counts to the symbol before it."""
    out = durations[1::2] + durations[2::2]
    out[0] += durations[0]
    return out
