"""Sound inside a page: lossless where it fits, compressed where it does not."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import soundfile

from intona.audio import Audio, encode_audio
from intona.evaluation.html.page import data_uri

Coding = Literal["flac", "opus"]
_OPUS_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)


def encode(audio: Audio, coding: Coding) -> bytes:
    """The bytes of a FLAC file (16 bit, same rate), or of Ogg Opus (at the next rate that Opus knows)."""
    if coding == "flac":
        return encode_audio(audio, format="FLAC", clip="scale")
    rate = next((r for r in _OPUS_RATES if r >= audio.sample_rate), 48_000)
    audio = audio.resample(rate)
    buffer = io.BytesIO()
    samples = np.clip(audio.samples, -1, 1)
    soundfile.write(buffer, samples, rate, format="OGG", subtype="OPUS")
    return buffer.getvalue()


def uri(raw: bytes, coding: Coding) -> str:
    return data_uri("audio/flac" if coding == "flac" else "audio/ogg; codecs=opus", raw)
