"""The application: its routes and what they share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request, Response

import intona
from intona.serve import errors
from intona.serve.errors import ApiError
from intona.serve.guard import Guard
from intona.serve.requests import (
    IntonaSpeech,
    OpenAISpeech,
    ReadRequest,
    require_description,
    require_length,
)
from intona.serve.responses import speech_response
from intona.serve.settings import Settings
from intona.serve.voices import Voices, known_speaker
from intona.serve.worker import Worker
from intona.synth.options import SpeakOptions
from intona.synth.voice import Voice


def create_app(settings: Settings, voices: Voices | None = None) -> FastAPI:
    """The application of a server.

    Args:
        voices: of the settings' models if None; they are loaded when they are first used.

    Raises:
        UserError: a model that is not shipped.
    """
    voices = voices or Voices(settings.models, device=settings.device)
    worker = Worker(settings.queue)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    app = FastAPI(
        title="intona",
        version=intona.__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from the network
        redoc_url=None,
    )
    app.add_middleware(Guard, settings=settings)
    errors.install(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        rows = [{"id": n, "object": "model", "created": 0, "owned_by": "intona"} for n in voices.names]
        return {"object": "list", "data": rows}

    @app.get("/v1/audio/voices")
    async def list_voices() -> dict[str, Any]:
        with contextlib.closing(worker.job()) as job:
            return {"voices": await job.run(voices.listing)}

    @app.post("/v1/audio/speech")
    async def openai_speech(body: OpenAISpeech, request: Request) -> Response:
        require_length(body.input, settings.max_characters, param="input")
        format = body.response_format or ("pcm" if body.stream_format == "sse" else "mp3")
        if body.stream_format == "sse" and format != "pcm":
            raise ApiError(
                400,
                f'response_format: events carry pcm, not {format}; omit it, or use stream_format "audio"',
                param="response_format",
            )
        ignored: list[str] = []

        def start() -> tuple[Voice, SpeakOptions]:
            selection = voices.select(body.model, body.voice_name)
            voice = voices.load(selection.model)
            changes: dict[str, Any] = {"speaker": known_speaker(voice, selection.speaker, param="voice")}
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
            return voice, SpeakOptions(**changes)

        return await speech_response(
            request, worker, start, body.input, format, events=body.stream_format == "sse", ignored=ignored
        )

    @app.post("/v1/intona/speech")
    async def intona_speech(body: IntonaSpeech, request: Request) -> Response:
        require_length(body.text, settings.max_characters, param="text")
        options = body.options()

        def start() -> tuple[Voice, SpeakOptions]:
            selection = voices.select(body.model or voices.names[0], None)
            voice = voices.load(selection.model)
            speaker = known_speaker(voice, body.speaker, param="speaker")
            return voice, SpeakOptions.of(options, speaker=speaker)

        return await speech_response(request, worker, start, body.text, body.response_format)

    @app.post("/v1/intona/read")
    async def read(body: ReadRequest) -> dict[str, Any]:
        require_length(body.text, settings.max_characters, param="text")

        def sentences() -> list[dict[str, Any]]:
            utterances = intona.read(body.text, language=body.language, phonemes=body.phonemes)
            return [u.as_json(phonemes=body.phonemes) for u in utterances]

        with contextlib.closing(worker.job()) as job:
            return {"sentences": await job.run(sentences)}

    return app
