"""Whether anything was spoken at all: loud noise, hum and music are failed outputs, not bad pronunciations.

Two conditions must hold, so that speech is never mistaken for noise. The voice-activity detector that comes
with faster-whisper (Silero) finds speech for less than a tenth of the time that the text takes, and more than
half of the characters of the transcript are wrong. Neither is enough alone: recognizers invent sentences for
noise, and the detector misses whispers and single vowels, which the recognizer may still understand.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from intona.audio import Audio
from intona.evaluation.judges.transcript import Recognizer
from intona.evaluation.judges.wer import character_edits, characters
from intona.evaluation.manifest import Row

THRESHOLD = 0.5  # of the detector's probability: its default
LEAST_SECONDS = 0.128  # four of its windows; its false alarms in noise and tones are shorter
LEAST_SHARE = 0.1  # of the time that the text should take
#: Letters per second of speech, pauses included: festvox-ru, read, 9.4 (5-95 %: 8.2-11.1, 104 utterances);
#: acted English dialogue 11.3 (7.5-14.8, 91).
LETTERS_PER_SECOND = 10.0


def detector_id() -> str | None:
    """The rule in words, with the detector's version; None where it is not installed."""
    if any(importlib.util.find_spec(package) is None for package in ("faster_whisper", "onnxruntime")):
        return None
    version = importlib.metadata.version("faster-whisper")
    return (
        f"Silero VAD of faster-whisper {version} above {THRESHOLD:g} for less than {LEAST_SECONDS:g} s or "
        f"{LEAST_SHARE:g} of the expected time, and more than half the characters wrong"
    )


def speech_seconds(samples: np.ndarray) -> float:
    """How much of a recording, (S,) float32 at 16 kHz, is speech; needs faster-whisper."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options: dict[str, Any] = {"min_speech_duration_ms": 64, "min_silence_duration_ms": 0, "speech_pad_ms": 0}
    pieces = get_speech_timestamps(np.asarray(samples, np.float32), VadOptions(THRESHOLD, **options))
    return sum(piece["end"] - piece["start"] for piece in pieces) / 16_000


def no_speech(transcribe: Recognizer, normalize: Callable[[str], str], audio: Audio, row: Row) -> str | None:
    """Why a recording counts as one without speech.

    None if it has some, or if the recognizer has no detector of speech.
    """
    text = normalize(row.text)
    if not characters(text):
        return None
    expected = len(characters(text)) / LETTERS_PER_SECOND
    seconds = transcribe.speech_seconds(audio)
    if seconds is None or seconds >= max(LEAST_SECONDS, LEAST_SHARE * expected):
        return None
    transcript = transcribe(audio).text
    edits = character_edits(text, normalize(transcript))
    if 2 * edits.errors <= edits.reference:
        return None
    return f'{seconds:.2f} s of speech, transcript "{transcript[:60]}"'
