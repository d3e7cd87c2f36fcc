"""Transcripts as the bodies of responses, in each format of OpenAI's API."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

TranscriptFormat = Literal["json", "text", "verbose_json", "srt", "vtt"]
MEDIA_TYPES: dict[str, str] = {
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}


@dataclass(frozen=True, kw_only=True)
class TranscribedWord:
    """A word and when it is spoken, in seconds."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of a transcript.

    Args:
        start, end: seconds from the start of the recording.
        words: of the segment, if they were requested.
        average_logprob: mean log probability of its tokens, in nats.
        compression_ratio: of the text; above 2.4 it repeats itself.
        no_speech: probability that there is no speech.
    """

    start: float
    end: float
    text: str
    words: tuple[TranscribedWord, ...] = ()
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    average_logprob: float = 0.0
    compression_ratio: float = 1.0
    no_speech: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Transcription:
    """What is spoken in a recording of `duration` seconds, and in which language (a code)."""

    segments: Sequence[Segment]
    duration: float
    language: str

    @property
    def text(self) -> str:
        return " ".join(filter(None, (s.text.strip() for s in self.segments)))


def as_json(transcript: Transcription) -> dict[str, Any]:
    """The body of the format "json"; usage is counted in seconds."""
    return {"text": transcript.text, "usage": {"type": "duration", "seconds": round(transcript.duration)}}


def as_verbose_json(transcript: Transcription, granularities: Sequence[str]) -> dict[str, Any]:
    """The body of the format "verbose_json".

    Args:
        granularities: "segment", "word", or both.
    """
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": transcript.language,
        "duration": round(transcript.duration, 3),
        **as_json(transcript),
    }
    if "segment" in granularities:
        body["segments"] = [
            {
                "id": i,
                "seek": 0,
                "start": round(s.start, 3),
                "end": round(s.end, 3),
                "text": s.text,
                "tokens": list(s.tokens),
                "temperature": s.temperature,
                "avg_logprob": s.average_logprob,
                "compression_ratio": s.compression_ratio,
                "no_speech_prob": s.no_speech,
            }
            for i, s in enumerate(transcript.segments)
        ]
    if "word" in granularities:
        words = [w for s in transcript.segments for w in s.words]
        body["words"] = [{"word": w.word, "start": round(w.start, 3), "end": round(w.end, 3)} for w in words]
    return body


def as_srt(transcript: Transcription) -> str:
    """SubRip subtitles, one per segment with text."""
    blocks = [
        f"{i}\n{_time(s.start, ',')} --> {_time(s.end, ',')}\n{_line(s.text)}\n"
        for i, s in enumerate(_spoken(transcript), start=1)
    ]
    return "\n".join(blocks)


def as_vtt(transcript: Transcription) -> str:
    """WebVTT subtitles, one per segment with text."""
    blocks = [
        f"{_time(s.start, '.')} --> {_time(s.end, '.')}\n{html.escape(_line(s.text), quote=False)}\n"
        for s in _spoken(transcript)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _spoken(transcript: Transcription) -> list[Segment]:
    return [s for s in transcript.segments if s.text.strip()]


def _line(text: str) -> str:
    """One line, for an empty line would end the subtitle; "-->" would be read as times."""
    return " ".join(text.split()).replace("-->", "→")


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
