"""What stands before every route: the host name, the API key, and the time a client may take."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intona.serve import page
from intona.serve.errors import ApiError
from intona.serve.settings import Settings

OPEN_PATHS = frozenset({"/health"})  # without a key, and the page


class Guard:
    """ASGI middleware. It answers before any of the body is read."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if error := self._refusal(scope):
            await error.response(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.max_body_seconds(scope["path"])
        most = self.settings.max_body_bytes(scope["path"])
        complete, size = False, 0

        async def receive_in_time() -> Message:
            nonlocal complete, size
            if complete:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the request was not sent in time") from None
            size += len(message.get("body", b""))
            if size > most:  # of a body without a declared length
                raise HTTPException(413, _too_large(most))
            complete = not message.get("more_body", False)
            return message

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            async with asyncio.timeout(self.settings.send_seconds):
                await send(message)

        await self.app(scope, receive_in_time, send_in_time)

    def _is_public(self, path: str) -> bool:
        return path in OPEN_PATHS or (self.settings.page and page.is_public(path))

    def _refusal(self, scope: Scope) -> ApiError | None:
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, value)
        hosts = self.settings.hosts
        if hosts is not None and _host_name(headers.get(b"host", b"")) not in hosts:
            return ApiError(403, "this server does not answer to that host name", code="unknown_host")
        length = headers.get(b"content-length", b"0")
        most = self.settings.max_body_bytes(scope["path"])
        if not length.isdigit() or int(length[:20]) > most:
            return ApiError(413, _too_large(most))
        if self.settings.api_key is None or self._is_public(scope["path"]):
            return None
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        matches = hmac.compare_digest(key.strip(), self.settings.api_key.encode())
        if scheme.lower() == b"bearer" and matches:
            return None
        return ApiError(
            401,
            "a wrong API key, or none; send it as `Authorization: Bearer KEY`",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _too_large(most: int) -> str:
    return f"a request to this route has at most {most} bytes"


def _host_name(host: bytes) -> Any:
    """The name in a `Host` header, without the port."""
    text = host.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdecimal() else text
