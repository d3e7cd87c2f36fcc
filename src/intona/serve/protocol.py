"""HTTP/1.1 with a limit on the number of connections, and on the time until the head of a request is there.

uvicorn limits neither: it waits without end for a client that sends one byte of a header at a time.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from intona.serve.errors import ApiError

LINGER_SECONDS = 1.0


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol with limits. Give it to `uvicorn.Config(http=…)` as a `functools.partial`.

    Args:
        header_seconds: longest time from the start of a connection, or from the first byte of a further
            request on it, to the end of the request's head.
        max_connections: that may be open at once; further ones are answered with 503.
    """

    def __init__(self, *args: Any, header_seconds: float, max_connections: int, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.header_seconds, self.max_connections = header_seconds, max_connections
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._refuse(503, "too many connections are open; try again shortly")
            return
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = self.cycle
        if self._deadline is None and (before is None or before.response_complete):
            self._start_timer()  # a further request on this connection
        super().data_received(data)
        if self.cycle is not before:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            # uvicorn would read the rest of a refused body to its end. The connection is closed a moment
            # later: a client that is still sending would otherwise lose the response.
            self.flow.pause_reading()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._stop_timer()
        super().shutdown()

    def _start_timer(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._late)

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408, "the head of the request was not sent in time")

    def _refuse(self, status: int, message: str) -> None:
        """Answer in the shape of every error and close the connection."""
        body = json.dumps(ApiError(status, message).body).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        try:
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            pass  # a response is under way
        self.transport.close()
