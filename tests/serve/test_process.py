"""Signals and several processes: a server in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from uvicorn.supervisors.multiprocess import SIGNALS

from intona.serve import run
from intona.serve.settings import Settings

from .conftest import Singer
from .test_sockets import GOOD, answer, ask, assault, post, status
from .test_worker import LIMIT, connected, http, read_until

CHILD = Path(__file__).with_name("child.py")
LAST_CHUNK = b"\r\n0\r\n\r\n"


def test_processes_share_the_cores(voices: dict[str, Singer], monkeypatch: pytest.MonkeyPatch):
    """The variable is set before they start: it is read when torch is imported."""
    shares: list[str] = []
    monkeypatch.setattr(run, "threads", lambda: 7)
    monkeypatch.setattr(run.Supervisor, "run", lambda _: shares.append(os.environ["OMP_NUM_THREADS"]))
    for name in ("OMP_NUM_THREADS", "PROMETHEUS_MULTIPROC_DIR"):
        monkeypatch.setenv(name, "")  # restored at the end
    handlers = {s: signal.getsignal(s) for s in SIGNALS}
    for workers in (2, 3, 16):
        settings = Settings(models=("one",), transcribers=())
        run.serve(settings, host="127.0.0.1", port=0, workers=workers, drain_seconds=1)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert shares == ["3", "2", "1"]


@contextmanager
def server(
    directory: Path, *, workers: int = 1, drain_seconds: int = LIMIT
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, str(CHILD), str(directory), str(workers), str(drain_seconds)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = ""
        while "http://" not in line:
            line = process.stderr.readline()
            assert line, "the server ended"
        port = int(line.rsplit(":", 1)[1])
        ready(port)
        yield process, port
    finally:
        if process.poll() is None and workers > 1:
            process.terminate()  # killed, it would leave its processes behind
            process.wait(10 * LIMIT)
        process.kill()
        process.communicate(timeout=LIMIT)


def ready(port: int) -> None:
    """Wait until the models are loaded: the address accepts connections before that."""
    with socket.create_connection(("127.0.0.1", port), timeout=10 * LIMIT) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert status(answer(client)) == 200


def exists(path: Path) -> None:
    """Wait for a file."""
    for _ in range(LIMIT * 50):
        if path.exists():
            return
        time.sleep(0.02)
    raise AssertionError(f"no {path.name}")


def refused(port: int) -> None:
    """Wait until the server takes no more connections."""
    for _ in range(LIMIT * 50):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("connections are still accepted")


def test_sigterm_finishes_what_is_in_progress(tmp_path: Path):
    with server(tmp_path) as (process, port):
        streamed = connected(port, http("first wait last"))
        begun = read_until(streamed, b"WAVE")
        whole, queued = connected(port, http("second part", "flac")), connected(port, http("third part"))
        exists(tmp_path / "waiting")
        process.send_signal(signal.SIGTERM)
        refused(port)
        (tmp_path / "gate").touch()
        assert (begun + answer(streamed)).endswith(LAST_CHUNK)
        flac = answer(whole)
        assert status(flac) == 200
        length = int(re.search(rb"content-length: (\d+)", flac).group(1))  # type: ignore[union-attr]
        assert len(flac.partition(b"\r\n\r\n")[2]) == length
        assert answer(queued).endswith(LAST_CHUNK)
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("second", [False, True], ids=["grace period", "second signal"])
def test_what_is_not_finished_is_not_sent_as_whole(tmp_path: Path, second: bool):
    with server(tmp_path, drain_seconds=10 * LIMIT if second else 1) as (process, port):
        streamed = connected(port, http("first wait last"))
        begun = read_until(streamed, b"WAVE")
        whole = connected(port, http("wait", "flac"))
        exists(tmp_path / "waiting")
        process.send_signal(signal.SIGTERM)
        refused(port)
        if second:
            process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert not (begun + answer(streamed)).endswith(LAST_CHUNK)
        response = answer(whole)
        assert not response or status(response) >= 500


def test_an_idle_server_stops(tmp_path: Path):
    with server(tmp_path) as (process, port):
        assert status(ask(port, post(b'{"model": "one", "input": "a"}'))) == 200
        kept = connected(port, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status(read_until(kept, b"ok")) == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert answer(kept) == b""


@pytest.mark.slow
def test_memory_of_the_process_after_hostile_requests(tmp_path: Path):
    """R12: within 1.2 times of what it was after a single good request."""
    with server(tmp_path) as (_, port):
        assert status(ask(port, GOOD)) == 200
        before = gauge(port, "intona_resident_bytes")
        for _ in range(3):
            assault(port)
        after = gauge(port, "intona_resident_bytes")
        assert after < 1.2 * before, (before, after)


SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.slow
def test_several_processes(tmp_path: Path):
    count = 'intona_requests_total{route="/v1/audio/speech",status="200"} '
    with server(tmp_path, workers=2, drain_seconds=LIMIT) as (process, port):
        spoken = post(b'{"model": "one", "input": "a b"}')
        for _ in range(20):
            assert status(ask(port, spoken)) == 200
        assert f"{count}20.0" in ask(port, SCRAPE).decode()
        with closing(connected(port, http("first wait last"))) as client:
            begun = read_until(client, b"WAVE")
            exists(tmp_path / "waiting")
            process.send_signal(signal.SIGTERM)
            (tmp_path / "gate").touch()
            assert (begun + answer(client)).endswith(LAST_CHUNK)
        assert process.wait(LIMIT) == 0


@pytest.mark.slow
def test_a_killed_process_is_replaced_and_leaves_no_gauges(tmp_path: Path):
    spoken = post(b'{"model": "one", "input": "a b"}')
    with server(tmp_path, workers=2, drain_seconds=LIMIT) as (_, port):
        assert status(ask(port, spoken)) == 200
        with closing(connected(port, http("first wait last"))) as client:
            begun = read_until(client, b"WAVE")
            exists(tmp_path / "waiting")
            assert gauge(port, "intona_queue_length") == 1
            os.kill(int((tmp_path / "waiting").read_text(encoding="utf-8")), signal.SIGKILL)
            assert not (begun + answer(client)).endswith(LAST_CHUNK)
        for _ in range(LIMIT * 50):
            if gauge(port, "intona_queue_length") == 0:
                break
            time.sleep(0.02)
        assert gauge(port, "intona_queue_length") == 0
        assert status(ask(port, spoken)) == 200


def gauge(port: int, name: str) -> float:
    """A figure of /metrics without labels."""
    return float(re.search(rf"^{name} (\S+)$", ask(port, SCRAPE).decode(), re.MULTILINE).group(1))  # type: ignore[union-attr]
