"""What every voice is: the protocol `Voice`, and `BaseVoice` with defaults for all but the speaking itself.

A package adds a kind of voice with a subclass of `BaseVoice` (or anything that satisfies `Voice`), its
`Capabilities`, and a loader that is registered in the entry-point group "intona.voices":

    @voice_loader(CAPABILITIES)
    def load(path, *, device="cpu", vocoder=None) -> MyVoice: ...
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from intona.audio import Audio
from intona.errors import UserError, unknown
from intona.synth.capabilities import Capabilities
from intona.synth.markup import PlainPart, parts_of
from intona.synth.options import SpeakOptions
from intona.synth.shaping import amplified, moved
from intona.synth.speech import Speech, gathered

if TYPE_CHECKING:
    import torch

    from intona.text import Lexicon

Piece = TypeVar("Piece")
PAUSE_SECONDS = 0.18  # between sentences, beside the pause that the model itself makes at the full stop


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text as a voice reads it, ready for `Voice.speak_batch`.

    Args:
        options: what the text is spoken with.
        sentences: in the voice's internal form.
        longest: symbols of the longest sentence; texts of similar length are best spoken together.
    """

    text: str
    options: SpeakOptions
    sentences: tuple[Any, ...]
    longest: int


@runtime_checkable
class Voice(Protocol):
    """Text in, sound out.

    A call depends on its arguments alone: voices keep no state between calls, and several threads may call
    one voice at once. Only `use_lexicon` and `restrict_to` change a voice; call them before others use it.

    Every method that takes options takes them as `SpeakOptions`, or as keywords, or both: keywords change
    the options. All raise UserError for an option that the voice does not take.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the voice can do."""
        ...

    @property
    def speakers(self) -> Sequence[str]:
        """Names of the speakers that the voice was trained on."""
        ...

    @property
    def languages(self) -> Sequence[str]:
        """Codes of the languages that the voice speaks; the first is the default."""
        ...

    @property
    def sample_rate(self) -> int:
        """Sample rate of the audio in Hz."""
        ...

    @property
    def info(self) -> Mapping[str, Any]:
        """The model card and the voice's parts, for people."""
        ...

    def identity(self) -> dict[str, Any]:
        """What the audio depends on besides text and options, as JSON values, such as a hash of weights."""
        ...

    def use_lexicon(self, entries: Lexicon | str | os.PathLike[str]) -> None:
        """Pronounce words as a lexicon (or its file) says."""
        ...

    def restrict_to(self, language: str) -> None:
        """Speak one of the voice's languages alone, as an alias of a voice of several does."""
        ...

    def preload(self) -> None:
        """Load what would be loaded at the first call, such as the vocoder."""
        ...

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        """The options with the voice's defaults in place of None, where it has any."""
        ...

    def say(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Audio:
        """Speak a text of any length.

        Raises:
            UserError: nothing to say, an unknown speaker or language, a text that is too long, a reference
                that cannot be used.
        """
        ...

    def stream(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Iterator[Audio]:
        """What `say` gives, in consecutive pieces; errors in the arguments are raised at once."""
        ...

    def speech(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Speech:
        """What `say` gives, with the times of its words.

        Raises:
            UserError: as `say`; a voice that does not know the times (`Capabilities.times`).
        """
        ...

    def stream_speech(
        self, text: str, options: SpeakOptions | None = None, **changes: Any
    ) -> Iterator[Speech]:
        """What `stream` gives, with the times of its words, counted from the start of the text."""
        ...

    def read(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Reading:
        """The first half of `say`: the text as the voice reads it."""
        ...

    def speak_batch(self, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
        """The second half, for several texts: what `say` gives for each, up to rounding, or why it cannot."""
        ...


class VoiceLoader(Protocol):
    """What the entry points of "intona.voices" are.

    Args:
        path: a checkpoint directory. device: of the model.
        vocoder: a name for `vocoder.load_vocoder`, None for the default; not for voices that make no mels.
    """

    def __call__(
        self, path: Path, *, device: str | torch.device = "cpu", vocoder: str | None = None
    ) -> Voice: ...


class BaseVoice(ABC):
    """A voice by one method, `speak_text`; a voice that streams overrides `stream_text` too.

    A voice that knows the times of its words says so in its capabilities and overrides `stream_timed`.
    Methods get plain text without marks and pauses: those of SSML become several calls with silence between.
    A voice that obeys more of them sets `reads_marks` and gets the text as it is.

    Attributes:
        capabilities, sample_rate, speakers, languages: see `Voice`; the first two must be set.
    """

    capabilities: Capabilities
    sample_rate: int
    speakers: Sequence[str] = ()
    languages: Sequence[str] = ()
    reads_marks = False

    @abstractmethod
    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        """Speak a text; the options are among those that the voice takes."""

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        """What `speak_text` gives, in consecutive pieces."""
        yield self.speak_text(text, options)

    def stream_timed(self, text: str, options: SpeakOptions) -> Iterator[Speech]:
        """What `stream_text` gives, with words and their times from the start of the text.

        Together the pieces are the audio of `speak_text`. A word stands in the piece where it begins.
        """
        raise NotImplementedError

    @property
    def info(self) -> dict[str, Any]:
        return {
            "speakers": list(self.speakers),
            "languages": list(self.languages),
            "sample_rate": self.sample_rate,
        }

    def identity(self) -> dict[str, Any]:
        return {}

    def use_lexicon(self, entries: Lexicon | str | os.PathLike[str]) -> None:
        raise UserError(f"{self.capabilities.system} voices take no lexicon", where="--lexicon")

    def restrict_to(self, language: str) -> None:
        if language not in self.languages:
            unknown("language", language, self.languages)
        self.languages = (language,)

    def preload(self) -> None:
        return None

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        return self.accepted(options, changes)

    def say(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Audio:
        options = self.accepted(options, changes)
        parts = self._parts(text, options)
        with self.computing():
            if parts is None:
                return self.speak_text(text, options)
            return gathered(self._of_parts(parts, self._spoken)).audio

    def stream(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Iterator[Audio]:
        options = self.accepted(options, changes)
        parts = self._parts(text, options)
        if parts is not None:
            return self._computed(p.audio for p in self._of_parts(parts, self._streamed))
        with self.computing():
            pieces = self.stream_text(text, options)
        return self._computed(pieces)

    def speech(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Speech:
        options = self.accepted(options, changes)
        self.capabilities.require_times()
        parts = self._parts(text, options)
        with self.computing():
            if parts is None:
                return gathered(self.stream_timed(text, options))
            return gathered(self._of_parts(parts, self.stream_timed))

    def stream_speech(
        self, text: str, options: SpeakOptions | None = None, **changes: Any
    ) -> Iterator[Speech]:
        options = self.accepted(options, changes)
        self.capabilities.require_times()
        parts = self._parts(text, options)
        if parts is not None:
            return self._computed(self._of_parts(parts, self.stream_timed))
        with self.computing():
            pieces = self.stream_timed(text, options)
        return self._computed(pieces)

    def read(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Reading:
        options = self.accepted(options, changes)
        return Reading(text=text, options=options, sentences=(text,), longest=len(text))

    def speak_batch(self, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
        for reading in readings:
            try:
                yield self.say(reading.text, reading.options)
            except UserError as e:
                yield e

    def accepted(self, options: SpeakOptions | None, changes: Mapping[str, Any]) -> SpeakOptions:
        """The options of a call.

        Raises:
            UserError: one that the voice does not take.
        """
        options = SpeakOptions.of(options, **changes)
        self.capabilities.require(options)
        return options

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        """Entered around every computation, never held between two pieces of a stream."""
        return contextlib.nullcontext()

    def _parts(self, text: str, options: SpeakOptions) -> list[PlainPart] | None:
        """The plain parts of a text with marks, for a voice that does not read them."""
        return None if self.reads_marks else parts_of(text, options, self, pause=PAUSE_SECONDS)

    def _of_parts(
        self, parts: Sequence[PlainPart], speak: Callable[[str, SpeakOptions], Iterable[Speech]]
    ) -> Iterator[Speech]:
        """The speech of all parts, with the silence before each."""
        start = 0
        for part in parts:
            if part.silence:
                silence = np.zeros(round(part.silence * self.sample_rate), np.float32)
                start += len(silence)
                yield Speech(audio=Audio(silence, self.sample_rate))
            first = start
            for piece in speak(part.text, part.options) if part.text else ():
                start += len(piece.audio)
                yield moved(amplified(piece, part.gain), first)

    def _spoken(self, text: str, options: SpeakOptions) -> Iterable[Speech]:
        return [Speech(audio=self.speak_text(text, options))]

    def _streamed(self, text: str, options: SpeakOptions) -> Iterable[Speech]:
        return (Speech(audio=piece) for piece in self.stream_text(text, options))

    def _computed(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        while True:
            with self.computing():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece
