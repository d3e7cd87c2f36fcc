"""R12 of the reliability figures, with raw sockets: what a hostile or broken client can do to a server."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from intona.serve.memory import release_free, resident_bytes
from intona.serve.settings import Settings

from .conftest import Singer
from .test_ssml import BOMBS
from .test_worker import LIMIT, connected, http, read_until, running

HEAD = "POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ROUTES = ("/v1/audio/speech", "/v1/intona/speech", "/v1/intona/read", "/v1/audio/transcriptions")


@pytest.fixture
def port(voices: dict[str, Singer]) -> Iterator[int]:
    settings = Settings(models=("one",), transcribers=(), header_seconds=0.5, connections=150, queue=16)
    with running(settings) as port:
        yield port


def answer(client: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def ask(port: int, payload: bytes) -> bytes:
    with closing(connected(port, payload)) as client:
        return answer(client)


def post(body: bytes, path: str = "/v1/audio/speech", extra: str = "") -> bytes:
    head = HEAD.replace("/v1/audio/speech", path)
    return f"{head}{extra}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("path", ROUTES)
def test_a_declared_length_over_the_cap_is_refused_before_the_body(port: int, path: str):
    head = HEAD.replace("/v1/audio/speech", path)
    with closing(connected(port, f"{head}Content-Length: 1000000000\r\n\r\n".encode())) as client:
        assert status(read_until(client, b"}}")) == 413  # no byte of the body was sent


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 40, "0x10", "1, 2", ""])
def test_lengths_that_are_none(port: int, length: str):
    assert status(ask(port, f"{HEAD}Content-Length: {length}\r\n\r\n".encode())) in (400, 413)


def test_a_chunked_body_over_the_cap_is_refused_while_it_is_sent(port: int, voices: dict[str, Singer]):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with closing(connected(port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())) as client:
        client.settimeout(LIMIT)
        sent = 0
        try:
            for _ in range(10_000):  # 655 MB
                client.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
    assert 0 < sent < 100_000_000
    assert voices["one"].calls == []


def test_a_head_that_is_sent_byte_by_byte(port: int):
    with closing(socket.create_connection(("127.0.0.1", port), timeout=LIMIT)) as client:
        response = b""
        client.settimeout(0.05)
        for byte in (HEAD + "X: " + "y" * 100_000).encode():
            try:
                client.sendall(bytes([byte]))
                response = client.recv(4096)
                break
            except TimeoutError:
                continue
            except OSError:
                break
    assert response == b"" or status(response) == 408


def test_a_connection_that_sends_nothing(port: int):
    assert status(ask(port, b"")) == 408


def test_a_second_request_that_is_sent_slowly(port: int):
    with closing(connected(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")) as client:
        assert status(read_until(client, b"ok")) == 200
        client.sendall(b"GET /health HT")
        assert b"408" in answer(client)


def test_a_slow_body_does_not_end_at_the_limit_of_the_head(voices: dict[str, Singer]):
    with running(Settings(models=("one",), transcribers=(), header_seconds=0.3)) as port:
        whole = http("wait hello")
        with closing(connected(port, whole)) as client:
            assert voices["one"].started.wait(LIMIT)
            with pytest.raises(TimeoutError):
                client.settimeout(1)  # longer than the head's limit: nothing comes, and nothing is refused
                client.recv(1)
            voices["one"].gate.set()
            client.settimeout(LIMIT)
            assert status(read_until(client, b"WAVE")) == 200


def test_a_head_that_is_too_large(port: int):
    assert status(ask(port, (HEAD + "X: " + "y" * 100_000).encode())) == 400
    assert status(ask(port, b"G" * 100_000)) == 400


def test_a_hundred_at_once(port: int):
    with ThreadPoolExecutor(100) as pool:
        text = post(json.dumps({"model": "one", "input": "a b"}).encode())
        answers = list(pool.map(lambda _: ask(port, text), range(100)))
    codes = [status(a) for a in answers]
    assert set(codes) <= {200, 429} and codes.count(200) >= 16
    for refusal in (a for a, code in zip(answers, codes, strict=True) if code == 429):
        assert b"retry-after: 2" in refusal and b"queue_full" in refusal
    assert status(ask(port, text)) == 200


def test_more_connections_than_are_accepted(voices: dict[str, Singer]):
    settings = Settings(models=("one",), transcribers=(), header_seconds=LIMIT, connections=20)
    with running(settings) as port:
        clients = [socket.create_connection(("127.0.0.1", port), timeout=LIMIT) for _ in range(30)]
        assert {status(answer(c)) for c in clients[20:]} == {503}
        clients[0].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert status(answer(clients[0])) == 200
        for client in clients:
            client.close()


WRONG_BODIES = [
    b"",
    b"{",
    b"nul",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"model": "one", "input": ' + b"[" * 5_000,
    b'{"a": 1, "a": 2}',
    b'{"model": "one", "input": "\\ud800"}',
    b'{"model": "one", "input": {"$gt": ""}}',
    b'{"model": "../../etc/passwd", "input": "a"}',
    b'{"model": "one", "input": "a", "voice": "/etc/passwd"}',
    b'{"model": "one", "input": "a", "voice": "..\\u0000"}',
    b'{"model": "one", "input": "a", "voice": {"id": ["a"]}}',
    b'{"model": "one", "input": "a", "response_format": "wav\\r\\nX-Injected: 1"}',
    b'{"model": "one\\r\\nX-Injected: 1", "input": "a"}',
    b'{"model": "one", "input": "a", "speed": 1e999}',
    b'{"model": "one", "input": "a", "speed": NaN}',
    b'{"model": "one", "input": "a", "instructions": 5}',
    b'{"text": "a", "seed": 1e400}',
    b'{"text": "a", "times": "yes"}',
    b'{"text": "a", "language": "' + b"a" * 5_000 + b'"}',
    b'{"text": "a", "' + b"k" * 5_000 + b'": 1}',
    b'{"text": "a", "reference": "' + b"A" * 50_000 + b'"}',
]


@pytest.mark.parametrize("path", ROUTES[:3])
def test_wrong_bodies(port: int, path: str):
    for body in WRONG_BODIES:
        response = ask(port, post(body, path))
        assert 400 <= status(response) < 500, (body[:80], response[:200])
        head, _, content = response.partition(b"\r\n\r\n")
        assert json.loads(content)["error"]["message"] and b"Traceback" not in content
        assert b"x-injected" not in head.lower() and len(content) < 2_000


NO_HTTP = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,  # TLS
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\n\r\n",  # no Host
    b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nBad Header\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    HEAD.encode() + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD.encode() + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("payload", NO_HTTP, ids=lambda p: repr(p[:24]))
def test_what_is_no_http(port: int, payload: bytes):
    response = ask(port, payload)
    assert 400 <= status(response) < 500, response[:200]
    assert b"Traceback" not in response


def test_a_defect_closes_the_connection_and_says_so(port: int):
    with closing(connected(port, http("bug"))) as client:  # it asks to keep the connection
        head, _, content = answer(client).partition(b"\r\n\r\n")
    assert status(head) == 500 and b"\r\nconnection: close" in head.lower()
    assert json.loads(content)["error"]["type"] == "server_error"


def test_paths(port: int):
    for path in (
        "/../../etc/passwd",
        "/%2e%2e/etc/passwd",
        "/v1/models/%00",
        "//evil",
        "/v1/" + "a/" * 5_000,
    ):
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert status(ask(port, request.encode())) == 404


GOOD = post(b'{"model": "one", "input": "a b c"}')


def assault(port: int) -> None:
    """What R12 lists, but for what only takes time, then a request that succeeds. No answer is a 5xx."""
    codes = []
    large = b'{"model": "one", "input": "' + b"a" * 200_000 + b'"}'
    for path in ROUTES[:3]:
        codes += [status(ask(port, post(body, path))) for body in [*WRONG_BODIES, large]]
    codes += [status(ask(port, payload)) for payload in NO_HTTP]
    codes.append(status(ask(port, f"{HEAD}Content-Length: 1000000000\r\n\r\n".encode())))
    chunks = (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 400  # 26 MB
    with contextlib.suppress(OSError):  # the connection is closed while they are sent
        codes.append(status(ask(port, f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)))
    reference = b'{"text": "a", "reference": "' + b"A" * 11_000_000 + b'"}'
    codes.append(status(ask(port, post(reference, "/v1/intona/speech"))))
    for bomb in BOMBS.values():
        codes.append(status(ask(port, post(json.dumps({"text": bomb, "ssml": True}).encode(), ROUTES[1]))))
    for _ in range(20):
        connected(port, http("word " * 300)).close()
    with ThreadPoolExecutor(100) as pool:
        assert {status(a) for a in pool.map(lambda _: ask(port, GOOD), range(100))} <= {200, 429}
    while (code := status(ask(port, GOOD))) == 429:  # those that left still have their places
        time.sleep(0.05)
    assert code == 200 and [c for c in codes if not 400 <= c < 500] == []


def test_memory_after_hostile_requests_is_that_of_before(port: int, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.ERROR)
    assault(port)
    release_free()
    before = resident_bytes()
    for _ in range(3):
        assault(port)
    release_free()
    assert resident_bytes() < 1.2 * before
    assert not re.search("Traceback|Exception in ASGI", caplog.text)
