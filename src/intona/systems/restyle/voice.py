"""A restyling model as one of the voices of `intona say`: the same call as any other, with a style."""

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
        """What these come to where None. It has no temperature."""
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
        """Speak; without a style the model speaks as it would for none in particular.

        A rate of 1 is the style's own, where it says one.

        Raises:
            UserError: as `RestyleVoice.say`; phonemes or a temperature, which a frozen VITS does not take.
        """
        for flag, given in (("--phonemes", phonemes), ("--temperature", temperature is not None)):
            if given:
                raise UserError("this kind of voice has no such option", where=flag)
        if speaker is not None:
            self.voice.speaker = self.voice.space.speaker(speaker)
        made = self.voice.say(
            text,
            style,
            **self.settled(steps=steps, guidance=guidance),
            rate=None if rate == 1 else rate,
            seed=seed,
        )
        return made.audio


def load(path: Path | str, **how: Any) -> StyledVoice:
    """A run or checkpoint of restyle.palette or restyle.bridge; `how`: see `speak.load`."""
    return StyledVoice(speak.load(path, **how))
