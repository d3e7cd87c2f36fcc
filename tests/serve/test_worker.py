"""The queue, turns, and what happens when a client leaves."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient

from intona.serve.app import create_app
from intona.serve.errors import ApiError
from intona.serve.run import uvicorn_config
from intona.serve.settings import Settings
from intona.serve.worker import Worker

from .conftest import Singer

LIMIT = 60  # seconds until a wait is given up


def request(text: str, **fields: Any) -> dict[str, Any]:
    return {"text": text, "response_format": "wav", **fields}


def test_a_full_queue(connect: Callable[..., TestClient], voices: dict[str, Singer]):
    client = connect(queue=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/intona/speech", json=request("wait here"))
        assert voices["one"].started.wait(LIMIT)
        refused = client.post("/v1/intona/speech", json=request("next"))
        assert client.get("/health").status_code == client.get("/v1/models").status_code == 200
        voices["one"].gate.set()
        assert first.result(LIMIT).status_code == 200
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "queue_full"
    assert int(refused.headers["Retry-After"]) >= 1


def test_every_place_is_free_again(connect: Callable[..., TestClient]):
    client = connect(queue=1)
    texts = ["good", "bad", "good bad", "bug", "", "good"]
    for text in texts:
        for format in ("wav", "flac"):
            # A place is freed shortly after the last byte of its response.
            for _ in range(200):
                response = client.post("/v1/intona/speech", json=request(text, response_format=format))
                if response.status_code != 429:
                    break
                time.sleep(0.05)
            assert response.status_code != 429, (text, format)


def test_requests_take_turns():
    order: list[str] = []

    def counted(name: str) -> Iterator[bytes]:
        for _ in range(3):
            order.append(name)
            yield b"x"

    async def consume(worker: Worker, name: str) -> None:
        job = worker.job()
        async for _ in job.pieces(lambda: counted(name)):
            pass
        job.close()

    async def both() -> None:
        worker = Worker(2)
        await asyncio.gather(consume(worker, "a"), consume(worker, "b"))
        worker.close()

    asyncio.run(both())
    assert order == ["a", "b"] * 3


def test_a_closed_job_frees_one_place_and_stops():
    advanced: list[int] = []
    closed = threading.Event()

    def numbers() -> Iterator[bytes]:
        try:
            for i in range(1000):
                advanced.append(i)
                yield b"x"
        finally:
            closed.set()

    async def leave() -> None:
        worker = Worker(1)
        job = worker.job()
        pieces = job.pieces(numbers)
        await anext(pieces)
        with pytest.raises(ApiError):
            worker.job()
        job.close()
        job.close()
        assert [p async for p in pieces] == []
        worker.close()
        worker.job()
        with pytest.raises(ApiError):  # the second close freed nothing more
            worker.job()

    asyncio.run(leave())
    assert advanced == [0] and closed.is_set()


@contextmanager
def running(settings: Settings) -> Iterator[int]:
    """A server on a free port of the loopback address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn_config(create_app(settings), settings)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(LIMIT)
        listener.close()
        assert not thread.is_alive()


def connected(port: int, payload: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    client.sendall(payload)
    return client


def http(text: str, format: str = "wav", **fields: Any) -> bytes:
    body = json.dumps(request(text, response_format=format, **fields)).encode()
    head = "POST /v1/intona/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_until(client: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        part = client.recv(65_536)
        assert part, data[:500]
        data += part
    return data


@pytest.mark.parametrize(
    ("payload", "first"),
    [
        (http("first wait last"), b"WAVE"),
        (http("first wait last", "pcm", stream_format="sse"), b"speech.audio.delta"),
        (http("first wait last", "pcm", stream_format="sse", times=True, f0=True), b"intona.speech.pitch"),
    ],
    ids=["wav", "events", "events with times and pitch"],
)
def test_audio_leaves_while_it_is_being_spoken(voices: dict[str, Singer], payload: bytes, first: bytes):
    with running(Settings(models=("one",), transcribers=())) as port, connected(port, payload) as client:
        head = read_until(client, first)
        assert b"200 OK" in head and b"chunked" in head
        assert voices["one"].n_pieces == 1  # the second word waits for the gate
        voices["one"].gate.set()
        read_until(client, b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_nothing_more_is_spoken_for_a_client_that_left(voices: dict[str, Singer], format: str):
    voice = voices["one"]
    with running(Settings(models=("one",), queue=1)) as port:
        with connected(port, http("wait " + "word " * 500, format)):
            assert voice.started.wait(LIMIT)
        voice.gate.set()
        assert voice.closed.wait(LIMIT)
        assert voice.n_pieces < 400
        with connected(port, http("next")) as client:
            read_until(client, b"HTTP/1.1 ")


def test_a_request_that_is_not_sent_in_time(voices: dict[str, Singer]):
    with running(Settings(models=("one",), upload_seconds=0.2)) as port:
        with connected(port, http("hello")[:-3]) as client:
            answer = read_until(client, b"}}")
        assert b" 408 " in answer.split(b"\r\n")[0]


def test_a_client_that_does_not_read_loses_its_place(voices: dict[str, Singer]):
    settings = Settings(models=("one",), max_characters=100_000, queue=1, send_seconds=0.2)
    with running(settings) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.sendall(http("word " * 5_000))  # 110 MB, more than sockets hold
        assert voices["one"].closed.wait(LIMIT)
        assert voices["one"].n_pieces < 5_000
