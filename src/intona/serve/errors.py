"""Errors as OpenAI's API gives them: {"error": {"message", "type", "param", "code"}}."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from intona.errors import UserError

LEFT = 499  # the status of a request whose client has left; nobody receives it
LONGEST = 300  # characters of a message or of the name of a field
# An option of speech -> the field of OpenAI's request that sets it.
OPENAI_FIELDS = {"rate": "speed", "style": "instructions", "speaker": "voice"}
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An error with its HTTP status.

    Args:
        param: the field of the request that is wrong.
        code: a name of the error for programs.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, object]:
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        fields = {"message": cleaned(self.message), "type": kind, "param": None, "code": self.code}
        if self.param is not None:
            fields["param"] = cleaned(self.param)
        return {"error": fields}

    @property
    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, headers=self.headers)


def of_user_error(error: UserError, *, openai: bool = False) -> ApiError:
    """A UserError as 400. Its place is named if it is an option or lies in the client's SSML: other places
    may be files of the server.

    Args:
        openai: name the fields of OpenAI's request instead of the options of speech.
    """
    param = None
    if isinstance(error.where, str) and error.where.startswith("--"):
        param = error.where.removeprefix("--").replace("-", "_")
        param = OPENAI_FIELDS.get(param, param) if openai else param
    place = param
    if isinstance(error.where, str) and error.where.startswith("SSML"):
        param, place = "input" if openai else "text", error.where
    message = f"{place}: {error.what}" if place else error.what
    return ApiError(400, "; ".join(filter(None, (message, error.hint))), param=param)


def install(app: FastAPI) -> None:
    """Answer every error of the application in this shape, and none with a traceback."""

    @app.exception_handler(ApiError)
    async def api_error(_: Request, error: ApiError) -> JSONResponse:
        return error.response

    @app.exception_handler(UserError)
    async def user_error(request: Request, error: UserError) -> JSONResponse:
        return of_user_error(error, openai=request.url.path == "/v1/audio/speech").response

    @app.exception_handler(RequestValidationError)
    async def wrong_field(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part != "body"]
        param = ".".join(place) if place and first["type"] != "json_invalid" else None
        message = f"{param}: {first['msg']}" if param else str(first["msg"])
        return ApiError(400, message, param=param, code=str(first["type"])).response

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        return ApiError(error.status_code, str(error.detail), headers=error.headers).response

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=LEFT)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        # uvicorn closes the connection: a client must not send its next request over it.
        headers = {"Connection": "close"}
        return ApiError(500, "the server failed on this request; its log says why", headers=headers).response


def cleaned(text: str) -> str:
    """One line of valid UTF-8 of limited length."""
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
