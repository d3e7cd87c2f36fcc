"""The routes that speak: OpenAI's, and one with every option of speech."""

from __future__ import annotations

from typing import Any, BinaryIO

from fastapi import APIRouter, Request, Response

from intona.audio import Audio
from intona.serve import formats
from intona.serve.errors import ApiError
from intona.serve.formats import Format
from intona.serve.requests import (
    REFERENCE,
    IntonaSpeech,
    OpenAISpeech,
    json_of,
    require_description,
    require_length,
    validated,
)
from intona.serve.responses import Spoken, speech_response
from intona.serve.server import Server
from intona.serve.settings import SPEECH
from intona.serve.uploads import form_of, of_base64, recording_of, require_file
from intona.serve.voices import known_speaker
from intona.synth.options import SpeakOptions
from intona.text.ssml import looks_like_ssml

_SCHEMA = IntonaSpeech.model_json_schema()
_FORM_SCHEMA = {
    **_SCHEMA,
    "properties": {**_SCHEMA["properties"], REFERENCE: {"type": "string", "format": "binary"}},
}
_CONTENT = {"application/json": {"schema": _SCHEMA}, "multipart/form-data": {"schema": _FORM_SCHEMA}}


def router(server: Server) -> APIRouter:
    """`POST /v1/audio/speech` and `POST /v1/intona/speech`."""
    routes, settings, voices = APIRouter(), server.settings, server.voices

    @routes.post("/v1/audio/speech")
    async def openai_speech(body: OpenAISpeech, request: Request) -> Response:
        require_length(body.input, settings.max_characters, param="input")
        format = _format(body.response_format, body.stream_format, default="mp3")
        ignored: list[str] = []

        def start() -> Spoken:
            selection = voices.select(body.model, body.voice_name)
            voice = voices.load(selection.model)
            changes: dict[str, Any] = {"speaker": known_speaker(voice, selection.speaker, param="voice")}
            if looks_like_ssml(body.input):
                changes["ssml"] = True
            if selection.substituted:
                ignored.append("voice")
            if body.speed != 1:
                changes["rate"] = body.speed
            if body.instructions and body.instructions.strip():
                if voice.capabilities.takes("style"):
                    require_description(body.instructions, param="instructions")
                    changes["style"] = body.instructions
                else:
                    ignored.append("instructions")
            return Spoken(voice, body.input, SpeakOptions(**changes))

        events = body.stream_format == "sse"
        return await speech_response(request, server, start, format, events=events, ignored=ignored)

    @routes.post(SPEECH, openapi_extra={"requestBody": {"required": True, "content": _CONTENT}})
    async def intona_speech(request: Request) -> Response:
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            async with form_of(request) as fields:
                if REFERENCE not in fields:
                    return await speak(request, fields, strict=False)
                file = require_file(fields, REFERENCE, max_bytes=settings.max_reference_bytes)
                others = {name: value for name, value in fields.items() if name != REFERENCE}
                return await speak(request, others, strict=False, reference=file.file)
        return await speak(request, await json_of(request), strict=True)

    async def speak(
        request: Request, fields: Any, *, strict: bool, reference: BinaryIO | None = None
    ) -> Response:
        body = validated(IntonaSpeech, fields, strict=strict)
        require_length(body.text, settings.max_characters, param="text")
        format = _format(body.response_format, body.stream_format, default="wav")
        options = body.options()
        if reference is None and body.reference is not None:
            reference = of_base64(body.reference, param=REFERENCE, max_bytes=settings.max_reference_bytes)

        def start() -> Spoken:
            selection = voices.select(body.model or voices.names[0], None)
            voice = voices.load(selection.model)
            changes: dict[str, Any] = {"speaker": known_speaker(voice, body.speaker, param="speaker")}
            if reference is not None:
                changes[REFERENCE] = _reference(reference, settings.max_reference_seconds)
            return Spoken(voice, body.text, SpeakOptions.of(options, **changes))

        events = body.stream_format == "sse"
        return await speech_response(
            request, server, start, format, events=events, times=body.times, f0=body.f0
        )

    return routes


def _format(format: Format | None, stream_format: str, *, default: Format) -> Format:
    """The format of a response.

    Raises:
        ApiError: 400 for one that events do not carry, or that cannot be written here.
    """
    format = format or ("pcm" if stream_format == "sse" else default)
    if stream_format == "sse" and format != "pcm":
        raise ApiError(
            400,
            f'response_format: events carry pcm, not {format}; omit it, or use stream_format "audio"',
            param="response_format",
        )
    if not formats.available(format):
        raise ApiError(400, f"response_format: {format} needs PyAV on the server", param="response_format")
    return format


def _reference(file: BinaryIO, max_seconds: float) -> Audio:
    return recording_of(file, param=REFERENCE, max_seconds=max_seconds)
