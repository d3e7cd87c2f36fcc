"""A spoken text as a response: streamed where the format allows it, whole otherwise."""

from __future__ import annotations

import json
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from intona.serve import formats, timed
from intona.serve.errors import LEFT, cleaned
from intona.serve.formats import MEDIA_TYPES, STREAMED, Format
from intona.serve.metrics import Metrics
from intona.serve.server import Server
from intona.serve.worker import Job
from intona.synth.options import SpeakOptions
from intona.synth.speech import Speech
from intona.synth.voice import Voice

MAX_WARNINGS = 8  # in a header


class Spoken(NamedTuple):
    """A text, the voice that speaks it, and its options."""

    voice: Voice
    text: str
    options: SpeakOptions


async def speech_response(
    request: Request,
    server: Server,
    start: Callable[[], Spoken],
    format: Format,
    *,
    events: bool = False,
    times: bool = False,
    f0: bool = False,
    ignored: Sequence[str] = (),
) -> Response:
    """Speak a text. The first piece is awaited, so that an error in the request still has its status.

    Args:
        start: what is spoken; called in the worker's thread.
        events: send server-sent events. times: send the words with their times, too.
        f0: send the pitch contour, too.
        ignored: fields of the request without effect, complete when `start` returns; named in a header.

    Raises:
        ApiError, UserError: the queue is full, or the text cannot be spoken.
    """

    analysed = times or f0
    warned: list[str] = []

    def spoken() -> Iterator[bytes]:
        voice, text, options = start()
        with warnings_in(warned):
            if times:
                voice.capabilities.require_times(where="--times")
                pieces = voice.stream_speech(text, options)
            else:
                pieces = (Speech(audio=audio) for audio in voice.stream(text, options))
        pieces = _counted(pieces, server.metrics)
        if events:
            return timed.events(pieces, n_characters=len(text), f0=f0)
        if analysed:
            return timed.whole(pieces, format, f0=f0)
        return formats.encoded((p.audio for p in pieces), format)

    media_type = timed.EVENTS if events else "application/json" if analysed else MEDIA_TYPES[format]
    streamed = events or (format in STREAMED and not analysed)
    job = server.worker.job()
    try:
        pieces = job.pieces(spoken)
        begun: list[bytes] = []
        async for piece in pieces:
            if await request.is_disconnected():
                job.close()
                return Response(status_code=LEFT)
            if piece:
                begun.append(piece)
                if streamed:
                    break
    except BaseException:
        job.close()
        raise
    headers = {"X-Intona-Ignored": ", ".join(ignored)} if ignored else {}
    if warned:
        headers["X-Intona-Warnings"] = json.dumps(warned[:MAX_WARNINGS])
    if not streamed:
        job.close()
        return Response(b"".join(begun), media_type=media_type, headers=headers)
    if events:
        headers["Cache-Control"] = "no-cache"
    return JobResponse(job, _chain(begun, pieces), media_type=media_type, headers=headers)


class JobResponse(StreamingResponse):
    """A streamed response that ends its job however it ends, also when nothing of it was sent."""

    def __init__(self, job: Job, content: AsyncIterator[bytes], *, media_type: str, headers: dict[str, str]):
        super().__init__(content, media_type=media_type, headers=headers)
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.job.close()


@contextmanager
def warnings_in(messages: list[str]) -> Iterator[None]:
    """Add the warnings of the block to `messages`, cleaned for a header."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    messages += [cleaned(str(w.message)) for w in caught if issubclass(w.category, UserWarning)]


def _counted(pieces: Iterator[Speech], metrics: Metrics) -> Iterator[Speech]:
    for piece in pieces:
        metrics.speech.inc(piece.duration)
        yield piece


async def _chain(begun: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in begun:
        yield piece
    async for piece in rest:
        if piece:
            yield piece
