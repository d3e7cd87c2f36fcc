"""The models that transcribe: served voices that listen too, and faster-whisper where it is installed."""

from __future__ import annotations

import importlib.util
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from intona import config, errors, synth
from intona.audio import Audio
from intona.audio.blocks import resampled
from intona.errors import UserError
from intona.serve.errors import ApiError
from intona.serve.transcripts import Segment, TranscribedWord, Transcription
from intona.serve.voices import Voices

# Names that clients of OpenAI send by default; they stand for the first transcriber.
OPENAI_TRANSCRIBERS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
WHISPER = "whisper-"  # the rest of the name is that of faster-whisper's model
OFFLINE = "whisper-base"
WHISPER_RATE = 16_000


@dataclass(frozen=True, kw_only=True)
class TranscriptionOptions:
    """How a recording is transcribed.

    Args:
        language: its code; recognized if None. prompt: text before the recording, in its style.
        temperature: of sampling; None leaves it to the model. words: whether words have times.
    """

    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    words: bool = False

    @property
    def changed(self) -> list[str]:
        """Names of the options that were requested, but for the language."""
        return [n for n in ("prompt", "temperature") if getattr(self, n) is not None]


class TranscriptionModel(ABC):
    """A model that transcribes.

    Attributes:
        options: names of the options that it obeys, among prompt, temperature and words.
    """

    options: frozenset[str] = frozenset()

    @abstractmethod
    def transcribe(
        self, blocks: Iterator[Audio], options: TranscriptionOptions
    ) -> Iterator[Segment | Transcription]:
        """Segments as they are recognized, then all of them as a `Transcription`.

        Raises:
            UserError, ApiError: a language that it does not know, or what reading the blocks raises.
        """

    def preload(self) -> None:
        """Load what would be loaded at the first call."""
        return None


class MeldTranscriber(TranscriptionModel):
    """A served voice of the system meld that was trained to listen."""

    def __init__(self, name: str, voices: Voices) -> None:
        self.name, self._voices = name, voices

    def preload(self) -> None:
        _ = self._voice

    @cached_property
    def _voice(self) -> Any:
        return self._voices.load(self.name)

    def transcribe(
        self, blocks: Iterator[Audio], options: TranscriptionOptions
    ) -> Iterator[Segment | Transcription]:
        voice = self._voice
        if options.language is not None and options.language not in voice.languages:
            known = ", ".join(voice.languages)
            raise ApiError(400, f"language: {self.name} transcribes {known}", param="language")
        segments: list[Segment] = []
        for window in voice.transcribe(resampled(blocks, voice.spec.sample_rate)):
            segments.append(
                Segment(start=window.start, end=window.end, text=window.text, average_logprob=window.score)
            )
            yield segments[-1]
        duration = segments[-1].end if segments else 0.0
        yield Transcription(
            segments=segments, duration=duration, language=options.language or voice.languages[0]
        )


class WhisperTranscriber(TranscriptionModel):
    """A model of faster-whisper in int8.

    Args:
        name: "whisper-" and a name of faster-whisper's hub, such as "whisper-small". "whisper-base" is read
            from the wheels of the extra "offline" where they are installed.
        device: "cpu", or "cuda" with a number.

    Raises:
        UserError: faster-whisper is missing, or there is no such model.
    """

    options = frozenset({"prompt", "temperature", "words"})

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        from intona.evaluation.judges.recognizer_model import offline_installed, resolve_model

        offline = name == OFFLINE and offline_installed()
        self.directory = resolve_model("offline" if offline else name.removeprefix(WHISPER))
        self.device = device
        self._lock = threading.Lock()
        self._loaded: Any = None

    def preload(self) -> None:
        _ = self._model

    @property
    def _model(self) -> Any:
        from faster_whisper import WhisperModel

        with self._lock:
            if self._loaded is None:
                kind, _, index = self.device.partition(":")
                try:
                    self._loaded = WhisperModel(
                        str(self.directory),
                        device=kind,
                        device_index=int(index or 0),
                        compute_type="int8",
                        local_files_only=True,
                    )
                except Exception as e:  # tokenizers raises plain ones
                    raise UserError(f"the model cannot be loaded ({e})", where=self.directory) from None
            return self._loaded

    def transcribe(
        self, blocks: Iterator[Audio], options: TranscriptionOptions
    ) -> Iterator[Segment | Transcription]:
        model = self._model
        if options.language is not None and options.language not in model.supported_languages:
            hint = errors.nearest(options.language, model.supported_languages)
            raise ApiError(400, f'language: unknown "{options.language}"; {hint}', param="language")
        samples = np.concatenate(list(resampled(blocks, WHISPER_RATE)))
        how = {} if options.temperature is None else {"temperature": options.temperature}
        recognized, info = model.transcribe(
            samples,
            language=options.language,
            initial_prompt=options.prompt or None,
            word_timestamps=options.words,
            **how,
        )
        segments: list[Segment] = []
        for s in recognized:
            words = tuple(
                TranscribedWord(word=w.word.strip(), start=w.start, end=w.end) for w in s.words or ()
            )
            segments.append(
                Segment(
                    start=s.start,
                    end=s.end,
                    text=s.text,
                    words=words,
                    tokens=tuple(s.tokens),
                    temperature=float(s.temperature or 0),
                    average_logprob=s.avg_logprob,
                    compression_ratio=s.compression_ratio,
                    no_speech=s.no_speech_prob,
                )
            )
            yield segments[-1]
        duration = len(samples) / WHISPER_RATE
        yield Transcription(segments=segments, duration=duration, language=info.language)


class Transcribers:
    """Opens the transcribers of a server by name.

    Args:
        names: served voices that listen, or names of faster-whisper's models after "whisper-"; the first is
            the default. None: all served voices that listen, and "whisper-base" where its wheels are
            installed.

    Raises:
        UserError: another name.
    """

    def __init__(self, names: Sequence[str] | None, voices: Voices, *, device: str = "cpu") -> None:
        self._voices, self.device = voices, device
        listening = [name for name in voices.names if _listens(voices, name)]
        if names is None:
            names = [*listening, *([OFFLINE] if _offline_whisper() else [])]
        for name in names:
            if name not in listening and not name.startswith(WHISPER):
                errors.unknown("transcriber", name, [*listening, OFFLINE], where="--transcribers")
        self.names = tuple(dict.fromkeys(names))
        self._loaded: dict[str, TranscriptionModel] = {}
        self._lock = threading.Lock()

    def select(self, model: str) -> str:
        """The name of the transcriber that a request means.

        Raises:
            ApiError: 404 for a name that is not served, or where none is.
        """
        if model in self.names:
            return model
        if self.names and model in OPENAI_TRANSCRIBERS:
            return self.names[0]
        hint = errors.nearest(model[:80], self.names)
        message = f'no model "{model[:80]}" transcribes here; {hint}'
        raise ApiError(404, message, param="model", code="model_not_found")

    def load(self, name: str) -> TranscriptionModel:
        """A transcriber of `names`, opened at the first call. Thread-safe."""
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = (
                    MeldTranscriber(name, self._voices)
                    if name in self._voices.names
                    else WhisperTranscriber(name, device=self.device)
                )
            return self._loaded[name]


def _listens(voices: Voices, name: str) -> bool:
    path = voices.cards[name].path
    if synth.kind_of(path) != "speech_lm":
        return False
    return config.read_json(path / "voices.json").get("listens") is True


def _offline_whisper() -> bool:
    from intona.evaluation.judges.recognizer_model import offline_installed

    return offline_installed() and importlib.util.find_spec("faster_whisper") is not None
