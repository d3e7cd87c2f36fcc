"""SSML and marked texts for voices: passages, and plain parts for the voices that read no marks."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from intona.errors import Unspeakable, UserError
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.text import ssml
from intona.text.controls import NEUTRAL, MarkedText, WordControl, read_marks
from intona.text.ssml import Passage

MAX_CHARACTERS = 100_000
_NAMES = {"rate": "rate", "pitch": "pitch", "range": "range", "energy": "volume", "emphasis": "emphasis"}


class AnyVoice(Protocol):
    """The attributes of a voice that are needed here."""

    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def speakers(self) -> Sequence[str]: ...
    @property
    def languages(self) -> Sequence[str]: ...


def check_size(text: str) -> None:
    """Refuse a text that is too long."""
    if len(text) > MAX_CHARACTERS:
        raise Unspeakable(f"{len(text)} characters, more than {MAX_CHARACTERS}", hint="split the text")


def passages_of(text: str, options: SpeakOptions, voice: AnyVoice) -> list[Passage]:
    """A text in passages, each in a language and with a speaker that the voice has, or None.

    Warns of languages and speakers that it does not have.

    Raises:
        UserError: SSML that cannot be read, or phonemes instead of it.
    """
    check_size(text)
    if options.ssml and options.phonemes:
        raise UserError("the text is either SSML or phonemes", where="--phonemes", hint="use <phoneme>")
    if options.phonemes:
        return [Passage(text=MarkedText(text=text))]
    if not options.ssml:
        if ssml.looks_like_ssml(text):
            warnings.warn("the text looks like SSML, but is read as plain text: add --ssml", stacklevel=3)
        return [Passage(text=read_marks(text))]
    passages = ssml.parse(
        text,
        language=options.language or _only(voice.languages),
        phonemes=voice.capabilities.takes("phonemes"),
    )
    languages = {p.language: _among(p.language, voice.languages) for p in passages if p.language}
    if missing := sorted(code for code, match in languages.items() if match is None):
        spoken = ", ".join(voice.languages) or "one language"
        warnings.warn(f"the voice speaks {spoken}; read as that: {', '.join(missing)}", stacklevel=3)
    named = {p.speaker for p in passages if p.speaker}
    if missing := sorted(named - set(voice.speakers)):
        warnings.warn(f"the voice has no such speaker: {', '.join(missing)[:200]}", stacklevel=3)
    return [
        Passage(
            text=p.text,
            language=languages.get(p.language or ""),
            speaker=p.speaker if p.speaker in voice.speakers else None,
        )
        for p in passages
    ]


@dataclass(frozen=True, kw_only=True)
class PlainPart:
    """A stretch of plain text, for a voice that reads no marks.

    Args:
        text: "" for silence only. silence: seconds before it. gain: dB.
    """

    text: str
    options: SpeakOptions
    silence: float = 0.0
    gain: float = 0.0


def parts_of(text: str, options: SpeakOptions, voice: AnyVoice, *, pause: float) -> list[PlainPart] | None:
    """A text in parts between its pauses; None for a text without marks.

    What is left of the marks then is named in one warning.

    Args:
        pause: seconds between two passages.

    Raises:
        UserError: as `passages_of`.
    """
    passages = passages_of(text, options, voice)
    if not options.ssml and not any(p.text for p in passages):
        return None
    parts: list[PlainPart] = []
    ignored: dict[str, None] = {}
    waiting = 0.0
    for i, passage in enumerate(passages):
        base = dataclasses.replace(
            options,
            ssml=False,
            language=passage.language or options.language,
            speaker=passage.speaker or options.speaker,
        )
        waiting = max(waiting, pause) if i else waiting
        for stretch, controls, after in _stretches(passage.text):
            if stretch:
                changed, gain = _obeyed(controls, base, voice, ignored)
                parts.append(PlainPart(text=stretch, options=changed, silence=waiting, gain=gain))
                waiting = 0.0
            waiting += after
        if any(p.mark for p in passage.text.points):
            ignored["marks"] = None
    if waiting:
        parts.append(PlainPart(text="", options=options, silence=waiting))
    if ignored:
        system = voice.capabilities.system
        warnings.warn(f"{system} voices cannot do this for single words: {', '.join(ignored)}", stacklevel=3)
    return parts


def _stretches(marked: MarkedText) -> Iterator[tuple[str, set[WordControl], float]]:
    """The text between pauses, the controls of its words, and the pause after it."""
    at = 0
    pauses = [(p.at, p.pause) for p in marked.points if p.pause is not None]
    for end, pause in [*pauses, (len(marked.text), 0.0)]:
        text = marked.text[at:end].strip()
        speakable = any(c.isalnum() for c in text)
        yield text if speakable else "", marked.controls_in(at, end), pause or 0.0
        at = end


def _obeyed(
    controls: set[WordControl], options: SpeakOptions, voice: AnyVoice, ignored: dict[str, None]
) -> tuple[SpeakOptions, float]:
    """Options and gain for a stretch of text, where all of it has them; the rest is added to `ignored`."""
    whole = next(iter(controls)) if len(controls) == 1 else NEUTRAL
    obeyed = {"energy": whole.energy, "rate": whole.rate if voice.capabilities.takes("rate") else 1.0}
    for name, word in _NAMES.items():
        values = {getattr(c, name) for c in controls}
        if values != {obeyed.get(name, getattr(NEUTRAL, name))}:
            ignored[word] = None
    if obeyed["rate"] != 1:
        rate = min(max((options.rate or 1.0) * obeyed["rate"], 0.25), 4.0)
        options = dataclasses.replace(options, rate=rate)
    return options, obeyed["energy"]


def _among(code: str | None, languages: Sequence[str]) -> str | None:
    """The language of a voice that a code of SSML means: "en" for "en-US"."""
    if code is None:
        return None
    code = code.lower()
    base = code.split("-")[0]
    exact = [n for n in languages if n.lower() == code]
    return next(iter([*exact, *(n for n in languages if n.lower().split("-")[0] == base)]), None)


def _only(languages: Sequence[str]) -> str | None:
    return languages[0] if len(languages) == 1 else None
