"""What a text is spoken with: one object that travels from the command line to the model."""

from __future__ import annotations

import dataclasses
import os
import typing
import warnings
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from intona.errors import UserError

if TYPE_CHECKING:
    from intona.audio import Audio

# Keywords of earlier versions, accepted for one version.
RENAMED = {"voice": "reference", "voice_text": "reference_text"}


@dataclass(frozen=True)
class Option:
    """The help and the limits of an option.

    Args:
        help: text for the command line. metavar: placeholder of the value there.
        limits: smallest and largest number that is accepted.
        flag: whether the option is a flag of the command line.
        flag_type: type of the flag, if it differs from the type in Python.
    """

    help: str
    metavar: str | None = None
    limits: tuple[float, float] | None = None
    flag: bool = True
    flag_type: Any = None


@dataclass(frozen=True, kw_only=True)
class SpeakOptions:
    """What a text is spoken with. An option that is None is left to the voice (see `Voice.settled`).

    Numbers outside their limits, NaN and infinity raise UserError with the name of the flag. Which options a
    voice takes is in its `Capabilities`.

    Args:
        speaker: one of the voice's `speakers`.
        language: code of the text's language, for a voice that speaks several; recognized by the script if
            None.
        rate: speaking rate, 0.25 to 4; 1.1 is a tenth faster.
        pitch: semitones added to the whole contour, -12 to 12.
        range: factor on how far the pitch moves from the speaker's mean, 0 to 3; 0 is monotonous.
        energy: dB added, -20 to 20.
        steps: number of steps of the sampler, 1 to 1000.
        temperature: scale of the sampler's noise, 0 to 10; 0 is no noise.
        guidance: strength of classifier-free guidance, 0 to 100; 1 is none.
        solver: name of the sampler's solver.
        seed: the same seed, text, options and voice give the same audio.
        phonemes: the text is phonemes: symbols separated by spaces, words by "|".
        ssml: the text is SSML.
        reference: a recording of the voice to speak with, or its file.
        reference_text: the words in the reference.
        style: a description ("calm, low") or the file of a recording whose style is used.
        length: seconds of the whole utterance, pauses included.
        tries: how often each sentence is drawn; the voice keeps the best.
        strict: a sentence that the model does not finish is an error, not a warning.
    """

    speaker: Annotated[str | None, Option("The speaker, for a voice that has several.", metavar="NAME")] = (
        None
    )
    language: Annotated[
        str | None, Option("The language of the text; recognized by its script if not given.", metavar="CODE")
    ] = None
    rate: Annotated[
        float | None,
        Option("Speaking rate: 1.1 is a tenth faster. 0.25 to 4.", metavar="FLOAT", limits=(0.25, 4)),
    ] = None
    pitch: Annotated[
        float | None,
        Option("Semitones added to the pitch (gradtts). -12 to 12.", metavar="FLOAT", limits=(-12, 12)),
    ] = None
    range: Annotated[
        float | None,
        Option(
            "How lively the intonation is (gradtts): 1.2 is a fifth livelier, 0 monotonous. 0 to 3.",
            metavar="FLOAT",
            limits=(0, 3),
        ),
    ] = None
    energy: Annotated[
        float | None,
        Option(
            "Vocal effort in dB (gradtts): negative is softer. -20 to 20.", metavar="FLOAT", limits=(-20, 20)
        ),
    ] = None
    steps: Annotated[
        int | None,
        Option(
            "Steps of the sampler: more are slower. Each voice has a default.",
            metavar="INT",
            limits=(1, 1000),
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Option("How much the sampler's noise varies the result; 0 is none.", metavar="FLOAT", limits=(0, 10)),
    ] = None
    guidance: Annotated[
        float | None,
        Option("Strength of classifier-free guidance (ditto, restyle).", metavar="FLOAT", limits=(0, 100)),
    ] = None
    solver: Annotated[
        str | None,
        Option(
            "Solver of the sampler (gradtts, ditto): euler, midpoint, dpm2m, ddim or ancestral.",
            metavar="NAME",
        ),
    ] = None
    seed: Annotated[
        int,
        Option("The same seed, text and voice give the same audio.", metavar="INT", limits=(0, 2**63 - 1)),
    ] = 0
    phonemes: Annotated[bool, Option('The text is phonemes: symbols separated by spaces, words by "|".')] = (
        False
    )
    ssml: Annotated[bool, Option("The text is SSML, a subset of version 1.1: <speak>…</speak>.")] = False
    reference: Annotated[
        Audio | str | os.PathLike[str] | None,
        Option(
            "Speak with the voice of this recording (meld, ditto).", metavar="REF.wav", flag_type=Path | None
        ),
    ] = None
    reference_text: Annotated[
        str | None, Option("The words in --reference, for voices that continue it (meld).", metavar="TEXT")
    ] = None
    style: Annotated[
        str | None,
        Option(
            'A description ("calm, low") or a recording whose style is used (restyle).', metavar="TEXT|WAV"
        ),
    ] = None
    length: Annotated[
        float | None,
        Option("Seconds of the whole utterance (ditto).", metavar="SECONDS", limits=(0.01, 3600)),
    ] = None
    tries: Annotated[
        int | None,
        Option(
            "Draw each sentence this often and keep the one that the model recognizes best (meld).",
            metavar="INT",
            limits=(1, 100),
        ),
    ] = None
    strict: Annotated[bool, Option("A sentence that the model does not finish is an error.", flag=False)] = (
        False
    )

    def __post_init__(self) -> None:
        for name, info in OPTIONS.items():
            value = getattr(self, name)
            if info.limits is not None and value is not None:
                check_number(value, info.limits, where=flag_of(name))
        if self.style is not None and not self.style.strip():
            raise UserError("an empty style", where="--style", hint='such as "calm, low, slow"')

    @staticmethod
    def of(options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        """Options with some of them changed; `SpeakOptions()` is changed if there are none.

        Raises:
            UserError: a number outside its limits.
            TypeError: a keyword that is no option.
        """
        for old, new in RENAMED.items():
            if old in changes:
                message = f"{old}= is now {new}=; the old name will be removed in the next version"
                warnings.warn(message, DeprecationWarning, stacklevel=4)
                changes[new] = changes.pop(old)
        options = options or SpeakOptions()
        return dataclasses.replace(options, **changes) if changes else options

    @property
    def changed(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        values = {f.name: (getattr(self, f.name), f.default) for f in dataclasses.fields(SpeakOptions)}
        # A recording is compared with None alone.
        return {k: v for k, (v, default) in values.items() if type(v) is not type(default) or v != default}

    def with_recording(self) -> SpeakOptions:
        """The same with the reference as audio, so that several calls read its file once."""
        if self.reference is None:
            return self
        return dataclasses.replace(self, reference=self.recording())

    def recording(self) -> Audio | None:
        """The reference as audio; a file is read.

        Raises:
            UserError: the file is not audio.
        """
        if isinstance(self.reference, str | os.PathLike):
            from intona.audio import read_audio

            return read_audio(self.reference)
        return self.reference


# Types and options by name, in the order of the fields. (A recording is not a type of the command line.)
_HINTS = typing.get_type_hints(SpeakOptions, localns={"Audio": Any}, include_extras=True)
OPTIONS: dict[str, Option] = {name: hint.__metadata__[0] for name, hint in _HINTS.items()}
FLAG_TYPES: dict[str, Any] = {n: OPTIONS[n].flag_type or hint.__origin__ for n, hint in _HINTS.items()}


def flag_of(name: str) -> str:
    """The flag of an option on the command line."""
    return "--" + name.replace("_", "-")


def check_number(value: Any, limits: tuple[float, float], *, where: str) -> None:
    """Refuse what is not a number within limits; NaN is not.

    Raises:
        UserError: names `where`.
    """
    low, high = limits
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # type: ignore[operator]
        shown = f"{value:g}" if isinstance(value, float) else str(value)
        raise UserError(f"{shown} is not between {low} and {high}", where=where)
