"""Speech as server-sent events, as OpenAI's API has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from intona.audio import Audio
from intona.errors import UserError
from intona.serve.formats import PcmEncoder

MEDIA_TYPE = "text/event-stream"


def events(pieces: Iterator[Audio], *, n_characters: int) -> Iterator[bytes]:
    """`speech.audio.delta` per piece (base64 of `pcm`), then `speech.audio.done`.

    An error after the first piece is an event too. `usage` counts characters where OpenAI counts tokens.
    """
    encoder = PcmEncoder()
    try:
        for piece in pieces:
            if data := encoder.encode(piece):
                yield _delta(data)
        if data := encoder.finish():
            yield _delta(data)
    except UserError as e:
        if not encoder.begun:
            raise
        yield event({"type": "error", "error": {"message": e.what, "type": "invalid_request_error"}})
        return
    usage = {"input_tokens": n_characters, "output_tokens": 0, "total_tokens": n_characters}
    yield event({"type": "speech.audio.done", "usage": usage})


def event(data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(data)}\n\n".encode()


def _delta(data: bytes) -> bytes:
    return event({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
