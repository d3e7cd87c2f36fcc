"""OpenAI's route that transcribes: `POST /v1/audio/transcriptions`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from intona.serve import transcripts
from intona.serve.errors import LEFT, ApiError
from intona.serve.requests import TranscriptionRequest, validated
from intona.serve.server import Server
from intona.serve.settings import TRANSCRIPTIONS
from intona.serve.transcribers import TranscriptionModel, TranscriptionOptions
from intona.serve.transcripts import MEDIA_TYPES, Segment, Transcription
from intona.serve.uploads import blocks_of, form_of, require_file

_SCHEMA = TranscriptionRequest.model_json_schema()
_FORM = {
    **_SCHEMA,
    "properties": {**_SCHEMA["properties"], "file": {"type": "string", "format": "binary"}},
    "required": ["file", "model"],
}
_CONTENT = {"multipart/form-data": {"schema": _FORM}}


def router(server: Server) -> APIRouter:
    """`POST /v1/audio/transcriptions`."""
    routes, settings = APIRouter(), server.settings

    @routes.post(TRANSCRIPTIONS, openapi_extra={"requestBody": {"required": True, "content": _CONTENT}})
    async def transcribe(request: Request) -> Response:
        # The place in the queue comes first, so that no more uploads than that are held at once.
        with contextlib.closing(server.worker.job()) as job:
            async with form_of(request) as fields:
                body: TranscriptionRequest = validated(TranscriptionRequest, fields)
                file = require_file(fields, "file", max_bytes=settings.max_upload_bytes).file
                words = "word" in body.granularities
                if body.response_format != "verbose_json" and words:
                    raise ApiError(
                        400,
                        'timestamp_granularities[]: words need response_format "verbose_json"',
                        param="timestamp_granularities[]",
                    )
                name = server.transcribers.select(body.model)
                options = TranscriptionOptions(
                    language=body.language, prompt=body.prompt, temperature=body.temperature, words=words
                )
                ignored: list[str] = ["stream"] if body.stream else []
                results: list[Segment | Transcription] = []

                def start() -> Iterator[bytes]:
                    transcriber = server.transcribers.load(name)
                    ignored.extend(_ignored(transcriber, name, options))
                    blocks = blocks_of(file, param="file", max_seconds=settings.max_audio_seconds)
                    for result in transcriber.transcribe(blocks, options):
                        results.append(result)
                        yield b""

                async for _ in job.pieces(start):
                    if await request.is_disconnected():
                        return Response(status_code=LEFT)
        (transcript,) = (r for r in results if isinstance(r, Transcription))
        server.metrics.transcribed.inc(transcript.duration)
        response = _response(transcript, body)
        if ignored:
            response.headers["X-Intona-Ignored"] = ", ".join(ignored)
        return response

    return routes


def _ignored(transcriber: TranscriptionModel, name: str, options: TranscriptionOptions) -> list[str]:
    """Fields that the transcriber does not obey.

    Raises:
        ApiError: 400 where times of words were requested that it does not have.
    """
    if options.words and "words" not in transcriber.options:
        raise ApiError(
            400,
            f"timestamp_granularities[]: {name} has no times of words",
            param="timestamp_granularities[]",
        )
    return [option for option in options.changed if option not in transcriber.options]


def _response(transcript: Transcription, body: TranscriptionRequest) -> Response:
    match body.response_format:
        case "json":
            return JSONResponse(transcripts.as_json(transcript))
        case "verbose_json":
            return JSONResponse(transcripts.as_verbose_json(transcript, body.granularities))
        case "srt":
            text = transcripts.as_srt(transcript)
        case "vtt":
            text = transcripts.as_vtt(transcript)
        case "text":
            text = transcript.text + "\n"
    return Response(text, media_type=MEDIA_TYPES[body.response_format])
