"""A restyling model as a voice of `intona say`: the same call as any other voice, with a style."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from intona.audio import Audio
from intona.errors import UserError
from intona.systems.restyle import speak

GUIDANCE, STEPS = 3.0, 10


class StyledVoice:
    """See `load`."""

    def __init__(self, voice: speak.RestyleVoice) -> None:
        self.voice = voice
        self.model = voice.model

    def settled(
        self, *, steps: int | None = None, guidance: float | None = None, temperature: float | None = None
    ) -> dict[str, Any]:
        """The settings with defaults filled in. This kind of voice has no temperature."""
        return {"steps": steps or STEPS, "guidance": GUIDANCE if guidance is None else guidance}

    def say(
        self,
        text: str,
        *,
        style: str | None = None,
        guidance: float | None = None,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        seed: int = 0,
        phonemes: bool = False,
        temperature: float | None = None,
    ) -> Audio:
        """Speak; without a style the model speaks unconditionally.

        With a rate of 1 the rate of the style counts, if it has one.

        Raises:
            UserError: as `RestyleVoice.say`; phonemes or a temperature, which this kind of voice lacks.
        """
        for flag, is_set in (("--phonemes", phonemes), ("--temperature", temperature is not None)):
            if is_set:
                raise UserError("this kind of voice has no such option", where=flag)
        if speaker is not None:
            self.voice.speaker = self.voice.space.speaker(speaker)
        restyled = self.voice.say(
            text,
            style,
            **self.settled(steps=steps, guidance=guidance),
            rate=None if rate == 1 else rate,
            seed=seed,
        )
        return restyled.audio


def load(path: Path | str, **how: Any) -> StyledVoice:
    """A run or checkpoint of restyle.palette or restyle.bridge; `how`: see `speak.load`."""
    return StyledVoice(speak.load(path, **how))
