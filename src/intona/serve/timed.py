"""Speech with the times of its words and its pitch: as JSON, and as server-sent events."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from intona.audio import Audio, f0_contour
from intona.errors import UserError
from intona.serve.formats import MEDIA_TYPES, Format, PcmEncoder, file_of
from intona.synth import times
from intona.synth.speech import Speech, gathered

EVENTS = "text/event-stream"
HOP_SECONDS = 0.01  # of the pitch contour


def whole(pieces: Iterator[Speech], format: Format, *, f0: bool = False) -> Iterator[bytes]:
    """Empty bytes per piece, then a JSON object: the audio in base64, words and marks with their times.

    With `f0`, "pitch" has the pitch contour: "hop_seconds" and "f0" as in `contour`.

    Raises:
        UserError: nothing was spoken, or NaN or infinite samples.
    """
    spoken = []
    for piece in pieces:
        spoken.append(piece)
        yield b""
    audio = file_of([p.audio for p in spoken], format)
    body = {
        "audio": base64.b64encode(audio).decode(),
        "response_format": format,
        "media_type": MEDIA_TYPES[format],
        **times.as_json(gathered(spoken)),
    }
    if f0:
        body["pitch"] = contour(gathered(spoken).audio)
    yield json.dumps(body, ensure_ascii=False).encode()


def events(pieces: Iterator[Speech], *, n_characters: int, f0: bool = False) -> Iterator[bytes]:
    """OpenAI's events: `speech.audio.delta` per piece (base64 of `pcm`), then `speech.audio.done`.

    `intona.speech.times` follows a piece that has words or marks, with their times from the start of the
    text. With `f0`, `intona.speech.pitch` follows each piece, with its start in seconds and the fields of
    `contour`. An error after the first piece is an event too. `usage` counts characters where OpenAI counts
    tokens.
    """
    encoder, start = PcmEncoder(), 0.0
    try:
        for piece in pieces:
            if data := encoder.encode(piece.audio):
                yield _delta(data)
            if piece.words or piece.marks:
                timed = times.as_json(piece)
                yield event({"type": "intona.speech.times", "words": timed["words"], "marks": timed["marks"]})
            if f0:
                yield event({"type": "intona.speech.pitch", "start": round(start, 4), **contour(piece.audio)})
            start += piece.duration
        if data := encoder.finish():
            yield _delta(data)
    except UserError as e:
        if not encoder.begun:
            raise
        yield event({"type": "error", "error": {"message": e.what, "type": "invalid_request_error"}})
        return
    usage = {"input_tokens": n_characters, "output_tokens": 0, "total_tokens": n_characters}
    yield event({"type": "speech.audio.done", "usage": usage})


def contour(audio: Audio) -> dict[str, Any]:
    """The pitch of audio: "f0" in Hz, 0 where unvoiced; value t is at (t + 1/2) * "hop_seconds"."""
    f0 = f0_contour(audio, HOP_SECONDS)
    return {"hop_seconds": f0.hop_seconds, "f0": [round(float(hz), 1) for hz in f0.f0]}


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data)}\n\n".encode()


def _delta(data: bytes) -> bytes:
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
