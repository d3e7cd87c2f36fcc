"""The voices that a server has: a fixed list of shipped models and models of the hub, each loaded once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from intona import errors, hf, models, synth
from intona.serve.errors import ApiError
from intona.serve.settings import Settings
from intona.synth.speakers import labelled

if TYPE_CHECKING:
    from intona.synth import Backend
    from intona.synth.voice import Voice

# Names that clients of OpenAI send by default; they stand for the first model and its default speaker.
OPENAI_MODELS = ("tts-1", "gpt-4o-mini-tts")
OPENAI_VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"}
    | {"marin", "nova", "onyx", "sage", "shimmer", "verse"}
)


class Selection(NamedTuple):
    """The model and the speaker that a request selects; `substituted`: its voice was a name of OpenAI's."""

    model: str
    speaker: str | None = None
    substituted: bool = False


class Voices:
    """Opens the voices of a server by name.

    A voice of the hub, `hf://OWNER/NAME[@REVISION]`, is served as OWNER/NAME. It is downloaded here, and its
    revision stays the same while the server runs.

    Args:
        names: of `--models`. device, vocoder, backend: of every voice, as in `synth.load`.

    Raises:
        UserError: a name that is not a shipped voice; a path is none. A voice of the hub that cannot be used.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        device: str = "cpu",
        vocoder: str | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.cards = {card.name: card for card in models.shipped("voice")}
        if not names:
            raise errors.UserError("no model to serve", where="--models")
        self._sources: dict[str, str] = {}  # served name -> name for `synth.load`
        for source in dict.fromkeys(names):
            name = source
            if hf.is_address(source):
                name, source = hf.parse(source).repository, hf.pin(source)
                card = models.read_card(models.find(source, kind="voice"))
                self.cards[name] = dataclasses.replace(card, name=name)
            if name not in self.cards:
                errors.unknown("voice", name, self.cards, where="--models")
            if name in self._sources:
                raise errors.UserError(f"{name} is named with two revisions", where="--models")
            self._sources[name] = source
        self.names = tuple(self._sources)
        self._vocoder = vocoder
        self._parts: dict[str, Any] = {"device": device, "vocoder": vocoder, "backend": backend}
        self._loaded: dict[str, Voice] = {}
        self._locks = {name: threading.Lock() for name in self.names}

    def load(self, name: str) -> Voice:
        """The voice of a served model, loaded at the first call. Thread-safe.

        Raises:
            UserError: a damaged model, or a vocoder or a backend that it does not have.
        """
        with self._locks[name]:
            if name not in self._loaded:
                voice = synth.load(self._sources[name], **self._parts)
                voice.preload()
                self._loaded[name] = voice
            return self._loaded[name]

    @classmethod
    def of(cls, settings: Settings) -> Voices:
        """Those of a server's settings."""
        return cls(
            settings.models,
            device=settings.device,
            vocoder=settings.vocoder,
            backend=settings.backend,
        )

    def vocoder_of(self, voice: Voice) -> str | None:
        """The name of a voice's vocoder, None for a voice without one. Of a path only the last part."""
        if not voice.capabilities.vocoder:
            return None
        card = models.default_vocoder(voice.info, where=voice.info.get("name", "voice"))
        return PurePath(self._vocoder or card).name

    def select(self, model: str, voice: str | None) -> Selection:
        """Which model and speaker a request means.

        Args:
            model: a served model, or one of OpenAI's names, which leaves the choice to `voice`.
            voice: a served model, one of its speakers, MODEL:SPEAKER, or one of OpenAI's names.

        Raises:
            ApiError: 404 for a model that is not served.
        """
        any_model = model not in self.names and model.startswith(OPENAI_MODELS)
        name = self.names[0] if any_model else model
        if name not in self.names:
            hint = errors.nearest(model[:80], self.names)
            raise ApiError(
                404, f'no model "{model[:80]}" is served; {hint}', param="model", code="model_not_found"
            )
        if voice is None:
            return Selection(name)
        of, _, speaker = voice.partition(":")
        if of in self.names and (any_model or of == name):
            return Selection(of, speaker or None)
        if voice in OPENAI_VOICES and voice not in self.load(name).speakers:
            return Selection(name, substituted=True)
        return Selection(name, voice)

    def listing(self) -> list[dict[str, str]]:
        """What `/v1/audio/voices` shows: each model, and each speaker of a model that has several."""
        rows = []
        for name in self.names:
            rows.append({"id": name, "name": self.cards[name].summary or name})
            voice = self.load(name)
            if voice.capabilities.named_speakers and len(voice.speakers) > 1:
                labels = labelled(voice.speakers, voice.info.get("speaker_info", {}))
                rows += [
                    {"id": f"{name}:{s}", "name": f"{name}, speaker {labels.get(s, s)}"}
                    for s in voice.speakers
                ]
        return rows


def known_speaker(voice: Voice, speaker: str | None, *, param: str) -> str | None:
    """The option `speaker` for a name of a request; None where the voice has only that one.

    Args:
        param: the field of the request that has the name.

    Raises:
        ApiError: 400 for a name that is not one of the voice's speakers.
    """
    if speaker is None:
        return None
    if speaker not in voice.speakers:
        hint = errors.nearest(speaker[:80], voice.speakers)
        raise ApiError(400, f'unknown {param} "{speaker[:80]}"; {hint}', param=param, code="voice_not_found")
    return speaker if voice.capabilities.takes("speaker") else None
