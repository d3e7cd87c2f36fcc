"""The served voices and their options as data, so that a page or a program can offer controls for them."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

from intona.serve import formats
from intona.serve.requests import DESCRIPTION, LIMITS, REFERENCE
from intona.serve.settings import Settings
from intona.serve.voices import Voices
from intona.synth.options import FLAG_TYPES, OPTIONS
from intona.synth.speakers import labelled
from intona.synth.voice import Voice

# First and last value and step of a slider: the range in which speech still sounds natural.
SLIDERS: dict[str, tuple[float, float, float]] = {
    "rate": (0.5, 2, 0.05),
    "pitch": (-12, 12, 0.5),
    "range": (0, 2, 0.05),
    "energy": (-20, 20, 1),
    "steps": (1, 50, 1),
    "temperature": (0, 1.5, 0.05),
    "guidance": (0, 10, 0.1),
    "tries": (1, 10, 1),
}
# What an option that is left to the voice amounts to.
NEUTRAL: dict[str, float] = {"rate": 1.0, "pitch": 0.0, "range": 1.0, "energy": 0.0}
# Shown before the others, in this order.
BASIC = (
    "speaker",
    "language",
    "reference",
    "reference_text",
    "style",
    "rate",
    "pitch",
    "range",
    "energy",
    "seed",
)
HIDDEN = ("strict", "ssml")  # the server decides them
# Where the command line accepts more than the server does, or has no default to show.
_HELP = {
    "style": 'A description, such as "calm, low".',
    "speaker": "Who speaks. Automatic: the default speaker of each language.",
    "language": "The language of the text. Automatic: that of each sentence is recognized by its script.",
}
_SYSTEMS = re.compile(r" \([a-z]+(?:, [a-z]+)*\)")  # those that take an option: here the voice does
_LABELS = {"range": "Pitch range", "tries": "Attempts", "phonemes": "The text is phonemes"}
_LARGEST_INTEGER = 2**53 - 1  # that JSON numbers hold exactly in every language
_KINDS = {int: "integer", float: "number", bool: "flag", str: "text", Path: "recording"}


def description(voices: Voices, settings: Settings) -> dict[str, Any]:
    """What `GET /v1/intona/voices` answers; every voice is loaded."""
    loaded = {name: voices.load(name) for name in voices.names}
    return {
        "voices": [
            voice_description(name, voice, voices.cards[name].summary, voices.vocoder_of(voice))
            for name, voice in loaded.items()
        ],
        "formats": [f for f in typing.get_args(formats.Format) if formats.available(f)],
        "limits": {
            "characters": settings.max_characters,
            "reference_seconds": settings.max_reference_seconds,
            "reference_bytes": settings.max_reference_bytes,
        },
    }


def voice_description(name: str, voice: Voice, summary: str, vocoder: str | None = None) -> dict[str, Any]:
    """A voice, the name of its vocoder, and the options that it takes."""
    capabilities = voice.capabilities
    options = [option_description(option, voice) for option in OPTIONS if capabilities.takes(option)]
    shown = [option for option in options if option is not None]
    return {
        "id": name,
        "summary": summary,
        "system": capabilities.system,
        "languages": list(voice.languages),
        "speakers": list(voice.speakers),
        "speaker_info": dict(voice.info.get("speaker_info", {})),
        "default_speakers": dict(voice.info.get("default_speakers", {})),
        "sample_rate": voice.sample_rate,
        "streams": capabilities.streams,
        "times": capabilities.times,
        "vocoder": vocoder,
        "needs_reference_text": capabilities.needs_reference_text,
        "options": sorted(shown, key=lambda o: BASIC.index(o["name"]) if o["name"] in BASIC else len(BASIC)),
    }


def option_description(name: str, voice: Voice) -> dict[str, Any] | None:
    """An option of a voice: its type, limits, default and help; None where there is nothing to select."""
    choices = _choices(name, voice)
    if name in HIDDEN or (choices is not None and len(choices) < 2):
        return None
    option, default = OPTIONS[name], getattr(voice.settled(), name)
    if default is None:
        default = NEUTRAL.get(name)
    out: dict[str, Any] = {
        "name": name,
        "label": _LABELS.get(name, name.replace("_", " ").capitalize()),
        "help": _HELP.get(name) or re.sub(r"--(\w+)", r"the \1", _SYSTEMS.sub("", option.help)),
        "type": "choice" if choices else _type(name),
        "default": None if name == REFERENCE else default,
        "advanced": name not in BASIC,
    }
    if choices:
        out["choices"] = choices
        if name == "speaker" and (labels := labelled(choices, voice.info.get("speaker_info", {}))):
            out["labels"] = labels
    elif out["type"] in ("number", "integer"):
        low, high = LIMITS.get(name, option.limits or (-_LARGEST_INTEGER, _LARGEST_INTEGER))
        out |= {"min": low, "max": min(high, _LARGEST_INTEGER)}
        if name in SLIDERS:
            first, last, step = SLIDERS[name]
            out["slider"] = [max(first, low), min(last, high), step]
    elif out["type"] == "text":
        out["max"] = DESCRIPTION
    return out


def _choices(name: str, voice: Voice) -> list[str] | None:
    """The values of an option that is one of a few names; None for other options."""
    if name == "speaker":
        return list(voice.speakers) if voice.capabilities.named_speakers else []
    if name == "language":
        return list(voice.languages)
    return voice.info.get("solvers") if name == "solver" else None


def _type(name: str) -> str:
    kinds = typing.get_args(FLAG_TYPES[name]) or (FLAG_TYPES[name],)
    return next(_KINDS[kind] for kind in kinds if kind in _KINDS)
