"""A restyling model as a voice of `intona say`: the same call as any other voice, with a style."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from intona.audio import Audio
from intona.errors import UserError
from intona.nn.precision import one_at_a_time
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.model_voice import first_not_none
from intona.synth.options import SpeakOptions
from intona.synth.record import weights_hash
from intona.synth.speech import Speech
from intona.synth.voice import BaseVoice
from intona.systems.restyle import speak

DEFAULT_GUIDANCE, DEFAULT_STEPS = 3.0, 10
CAPABILITIES = Capabilities(
    system="restyle",
    options=frozenset({"speaker", "rate", "steps", "guidance", "style"}),
    times=True,
)


@voice_loader(CAPABILITIES)
def load(
    path: Path | str,
    *,
    device: str | torch.device = "cpu",
    vocoder: str | None = None,
    vits: str | None = None,
    style: str | None = None,
    decoder: Path | str | None = None,
) -> StyledVoice:
    """A run or checkpoint of restyle.palette or restyle.bridge.

    Args:
        vits, style, decoder: see `speak.load`.

    Raises:
        UserError: as `speak.load`; a vocoder, because the frozen VITS has a decoder.
    """
    if vocoder is not None:
        raise UserError("restyle voices speak with the decoder of a VITS", where="--vocoder")
    return StyledVoice(speak.load(path, voice=vits, style=style, decoder=decoder, device=device))


class StyledVoice(BaseVoice):
    """A `RestyleVoice` with the interface of all voices. Without a style it speaks in none in particular."""

    capabilities = CAPABILITIES

    def __init__(self, voice: speak.RestyleVoice) -> None:
        self.voice, self.model, self.sample_rate = voice, voice.model, voice.space.sample_rate
        facts = voice.space.facts
        self.speakers = tuple(facts.speakers)
        self.languages = (facts.symbols.language,) if facts.symbols.language else ()

    @property
    def info(self) -> dict[str, Any]:
        parameters = sum(p.numel() for p in self.model.parameters())
        return super().info | {"vits": self.voice.space.facts.name, "parameters": parameters}

    def identity(self) -> dict[str, Any]:
        return {"voice": weights_hash(self.model)}

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        return one_at_a_time()

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        """The rate stays None where a style decides."""
        options = self.accepted(options, changes)
        return dataclasses.replace(
            options,
            rate=first_not_none(options.rate, 1.0) if options.style is None else options.rate,
            steps=first_not_none(options.steps, DEFAULT_STEPS),
            guidance=first_not_none(options.guidance, DEFAULT_GUIDANCE),
        )

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return self.restyled(text, options).audio

    def stream_timed(self, text: str, options: SpeakOptions) -> Iterator[Speech]:
        speech = self.restyled(text, options)
        return iter([Speech(audio=speech.audio, words=speech.words)])

    def restyled(
        self, text: str, options: SpeakOptions | None = None, **changes: Any
    ) -> speak.RestyledSpeech:
        """What `say` gives, with the latents before and after restyling.

        Raises:
            UserError: nothing to say, an unknown speaker, phonemes in the text, a style that is unknown or
                silent.
        """
        settled: Any = self.settled(options, **changes)  # steps and guidance are not None in it
        speaker = None if settled.speaker is None else self.voice.space.speaker(settled.speaker)
        return self.voice.say(
            text,
            settled.style,
            guidance=settled.guidance,
            steps=settled.steps,
            rate=settled.rate,
            seed=settled.seed,
            speaker=speaker,
        )
