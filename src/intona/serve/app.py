"""The application: its routes and what stands before them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Response

import intona
from intona.errors import UserError
from intona.serve import describe, errors, metrics, page, speech, transcription
from intona.serve.guard import Guard
from intona.serve.metrics import Measured, Metrics
from intona.serve.requests import ReadRequest, require_length
from intona.serve.responses import warnings_in
from intona.serve.server import Server
from intona.serve.settings import Settings
from intona.serve.transcribers import Transcribers
from intona.serve.voices import Voices
from intona.serve.worker import Worker
from intona.text.reading import left_out


def create_app(
    settings: Settings, voices: Voices | None = None, transcribers: Transcribers | None = None
) -> FastAPI:
    """The application of a server.

    Args:
        voices, transcribers: those of the settings if None; they are loaded when they are first used.

    Raises:
        UserError: a model that is not shipped.
    """
    figures = Metrics()
    voices = voices or Voices.of(settings)
    server = Server(
        settings=settings,
        voices=voices,
        transcribers=transcribers or Transcribers(settings.transcribers, voices, device=settings.device),
        worker=Worker(settings.queue, figures.queue),
        metrics=figures,
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        server.worker.close()

    app = FastAPI(
        title="intona",
        version=intona.__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from the network
        redoc_url=None,
    )
    app.state.server = server
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Measured, metrics=figures)
    errors.install(app)
    for router in (common(server), speech.router(server), transcription.router(server)):
        app.include_router(router)
    if settings.page:
        app.include_router(page.router())
    return app


def common(server: Server) -> APIRouter:
    """The routes about the server itself, and how a text would be read."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/metrics")
    async def prometheus() -> Response:
        return Response(server.metrics.text(), media_type=metrics.CONTENT_TYPE)

    @router.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        names = dict.fromkeys((*server.voices.names, *server.transcribers.names))
        rows = [{"id": n, "object": "model", "created": 0, "owned_by": "intona"} for n in names]
        return {"object": "list", "data": rows}

    @router.get("/v1/audio/voices")
    async def list_voices() -> dict[str, Any]:
        with contextlib.closing(server.worker.job()) as job:
            return {"voices": await job.run(server.voices.listing)}

    @router.get("/v1/intona/voices")
    async def describe_voices() -> dict[str, Any]:
        with contextlib.closing(server.worker.job()) as job:
            return await job.run(describe.description, server.voices, server.settings)

    @router.post("/v1/intona/read")
    async def read(body: ReadRequest) -> dict[str, Any]:
        require_length(body.text, server.settings.max_characters, param="text")

        def reading() -> dict[str, Any]:
            with warnings_in([]):  # the response has what they say
                utterances = intona.read(body.text, language=body.languages, phonemes=body.phonemes)
                skipped = left_out(body.text, utterances, language=body.languages)
            return {
                "sentences": [u.as_json(phonemes=body.phonemes) for u in utterances],
                "left_out": [{"text": text, "reason": reason(e)} for text, e in skipped],
            }

        def reason(error: UserError) -> str:
            return "; ".join(filter(None, (error.what, error.hint)))

        with contextlib.closing(server.worker.job()) as job:
            return await job.run(reading)

    return router
