"""A spoken text as a response: streamed where the format allows it, whole otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from intona.serve import formats
from intona.serve.formats import MEDIA_TYPES, STREAMED, Format
from intona.serve.worker import Job, Worker
from intona.synth.options import SpeakOptions
from intona.synth.voice import Voice

LEFT = 499  # the status of a request whose client has left; nobody receives it


async def speech_response(
    request: Request,
    worker: Worker,
    start: Callable[[], tuple[Voice, SpeakOptions]],
    text: str,
    format: Format,
    *,
    events: bool = False,
    ignored: Sequence[str] = (),
) -> Response:
    """Speak a text. The first piece is awaited, so that an error in the request still has its status.

    Args:
        start: the voice and the options; called in the worker's thread.
        events: send server-sent events.
        ignored: fields of the request without effect, complete when `start` returns; named in a header.

    Raises:
        ApiError, UserError: the queue is full, or the text cannot be spoken.
    """

    def spoken() -> Iterator[bytes]:
        voice, options = start()
        pieces = voice.stream(text, options)
        return formats.events(pieces, n_characters=len(text)) if events else formats.encoded(pieces, format)

    job = worker.job()
    try:
        pieces = job.pieces(spoken)
        begun: list[bytes] = []
        async for piece in pieces:
            if await request.is_disconnected():
                job.close()
                return Response(status_code=LEFT)
            if piece:
                begun.append(piece)
                if events or format in STREAMED:
                    break
    except BaseException:
        job.close()
        raise
    headers = {"X-Intona-Ignored": ", ".join(ignored)} if ignored else {}
    if not (events or format in STREAMED):
        job.close()
        return Response(b"".join(begun), media_type=MEDIA_TYPES[format], headers=headers)
    if events:
        headers["Cache-Control"] = "no-cache"
    media_type = "text/event-stream" if events else MEDIA_TYPES[format]
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


async def _chain(begun: Sequence[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for piece in begun:
        yield piece
    async for piece in rest:
        if piece:
            yield piece
