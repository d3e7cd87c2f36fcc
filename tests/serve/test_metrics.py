"""The figures for Prometheus, memory, and the headers of every response."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from intona.serve.memory import release_free, resident_bytes

from .conftest import Singer
from .test_worker import LIMIT, request

SPEECH = "/v1/intona/speech"


def figures(client: TestClient) -> dict[str, float]:
    """Samples by name and labels: "name{route,status}"."""
    response = client.get("/metrics")
    assert response.status_code == 200 and response.headers["content-type"].startswith("text/plain")
    out = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            labels = ",".join(v for k, v in sorted(sample.labels.items()) if k != "le")
            out[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return out


def test_requests_are_counted(client: TestClient):
    for text in ("one two", "three", "bad"):
        client.post(SPEECH, json=request(text))
    client.post(SPEECH, content=b"{", headers={"Content-Type": "application/json"})
    client.get("/a/path/that/is/not/there")
    client.get("/another")
    rows = figures(client)
    assert rows[f"intona_requests_total{{{SPEECH},200}}"] == 2
    assert rows[f"intona_requests_total{{{SPEECH},400}}"] == 2
    assert rows["intona_requests_total{other,404}"] == 2
    assert rows[f"intona_request_seconds_count{{{SPEECH}}}"] == 4
    assert rows[f"intona_first_byte_seconds_count{{{SPEECH}}}"] == 4
    assert rows["intona_speech_seconds_total"] == pytest.approx(1.5)
    assert rows["intona_resident_bytes"] == pytest.approx(resident_bytes(), rel=0.2)
    assert not any("not/there" in name for name in rows)


def test_refusals_of_the_guard_are_counted(connect: Callable[..., TestClient]):
    client = connect(api_key="secret")
    assert client.get("/metrics").status_code == 401
    client.headers["Authorization"] = "Bearer secret"
    assert figures(client)["intona_requests_total{other,401}"] == 1


def test_the_queue(client: TestClient, voices: dict[str, Singer]):
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(client.post, SPEECH, json=request("wait here")) for _ in range(2)]
        assert voices["one"].started.wait(LIMIT)
        while figures(client)["intona_queue_length"] < 2:
            pass
        voices["one"].gate.set()
        assert [r.result(LIMIT).status_code for r in both] == [200, 200]
    while figures(client)["intona_queue_length"]:
        pass


def test_two_servers_count_separately(connect: Callable[..., TestClient]):
    connect().get("/health")
    assert "intona_requests_total{/health,200}" not in figures(connect(models=("three",)))


def test_no_response_is_taken_for_another_type(client: TestClient):
    for response in (client.get("/health"), client.get("/nothing"), client.post(SPEECH, json=request("a"))):
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_free_memory_is_released():
    blocks = [bytearray(200_000) for _ in range(500)]  # of the size that malloc keeps
    assert len(blocks) == 500 and resident_bytes() > 100_000_000
    del blocks
    release_free()
    assert resident_bytes() > 0
