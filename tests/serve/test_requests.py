"""Wrong and hostile requests: each gets its status in OpenAI's shape, and no traceback."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from intona.serve.requests import IntonaSpeech
from intona.synth.options import FLAG_TYPES, SpeakOptions

from .conftest import Singer

JSON = {"Content-Type": "application/json"}
GOOD = {"model": "one", "input": "two words", "voice": "one"}


def error(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body = response.json()
    assert body.keys() == {"error"} and body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["message"] and "Traceback" not in response.text and "secret" not in response.text
    return body["error"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a"]}, "input"),
        ({"input": "\ud800"}, "input"),
        ({"model": ""}, "model"),
        ({"model": "m" * 201}, "model"),
        ({"voice": {"id": 5}}, "voice"),
        ({"voice": {}}, "voice"),
        ({"speed": 0.2}, "speed"),
        ({"speed": 4.1}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"speed": True}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"response_format": "wav\r\nX-Injected: 1"}, "response_format"),
        ({"stream_format": "ws"}, "stream_format"),
        ({"instructions": "x" * 4097}, "instructions"),
    ],
    ids=repr,
)
def test_a_wrong_field_is_named(client: TestClient, changes: dict[str, Any], param: str):
    response = client.post("/v1/audio/speech", content=json.dumps({**GOOD, **changes}), headers=JSON)
    refusal = error(response, 400)
    assert refusal["param"].split(".")[0] == param and refusal["type"] == "invalid_request_error"
    assert "x-injected" not in response.headers


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 50_000, b'{"input": ' + b"9" * 5000 + b"}"],
    ids=lambda c: repr(c[:8]),
)
def test_a_body_that_is_no_object(client: TestClient, content: bytes):
    error(client.post("/v1/audio/speech", content=content, headers=JSON), 400)


def test_unknown_fields_are_ignored_in_openais_request_only(client: TestClient):
    assert client.post("/v1/audio/speech", json={**GOOD, "new": 1}).status_code == 200
    error(client.post("/v1/intona/speech", content=b'{"text": "a", "\\ud83d": 1}', headers=JSON), 400)
    assert error(client.post("/v1/intona/speech", json={"text": "a", "stepz": 1}), 400)["param"] == "stepz"


def test_the_longest_text(connect: Callable[..., TestClient]):
    client = connect(max_characters=5)
    for path, field in (("audio/speech", "input"), ("intona/speech", "text"), ("intona/read", "text")):
        fields = {"model": "one"} if "audio" in path else {}
        refusal = error(client.post(f"/v1/{path}", json={**fields, field: "123456"}), 400)
        assert (refusal["param"], refusal["code"]) == (field, "string_above_max_length")
    assert client.post("/v1/audio/speech", json={"model": "one", "input": "🐎" * 5}).status_code == 200


def test_a_text_that_cannot_be_spoken(client: TestClient):
    for text in ("", " ", "bad", "one bad"):
        refusal = error(client.post("/v1/audio/speech", json={**GOOD, "input": text}), 400)
        assert refusal["param"] is None


def test_a_defect_has_no_traceback(client: TestClient):
    response = client.post("/v1/audio/speech", json={**GOOD, "input": "bug"})
    assert error(response, 500)["type"] == "server_error"
    assert response.headers["connection"] == "close"  # so that no client sends its next request over it
    assert client.post("/v1/audio/speech", json=GOOD).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_cap(connect: Callable[..., TestClient], voices: dict[str, Singer], chunked: bool):
    client = connect(max_characters=100)
    content = (b" " * 10_000 for _ in range(100)) if chunked else b" " * 1_000_000
    error(client.post("/v1/audio/speech", content=content, headers=JSON), 413)
    assert voices["one"].calls == []


def test_routes_that_are_not_there(client: TestClient):
    error(client.get("/v1/nothing"), 404)
    error(client.get("/v1/audio/speech"), 405)
    error(client.get("/docs"), 404)


def test_the_key(connect: Callable[..., TestClient]):
    client = connect(api_key="correct horse")
    wrong = [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer wrong"}]
    wrong += [{"Authorization": "Basic correct horse"}, {"Authorization": b"Bearer \xff"}]
    for headers in wrong:
        response = client.post("/v1/audio/speech", content=b"{", headers=headers)
        assert error(response, 401)["code"] == "invalid_api_key"
        assert response.headers["WWW-Authenticate"] == "Bearer"
        error(client.get("/openapi.json", headers=headers), 401)
    right = {"Authorization": "Bearer correct horse"}
    assert client.post("/v1/audio/speech", json=GOOD, headers=right).status_code == 200
    assert client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8000", "", "127.0.0.1@evil:1"])
def test_a_page_with_a_name_of_its_choice_is_refused(client: TestClient, host: str):
    error(client.get("/v1/models", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_local_names_are_accepted(client: TestClient, host: str):
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_cors_is_closed(client: TestClient):
    response = client.get("/v1/models", headers={"Origin": "http://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]
    form = {"Content-Type": "text/plain"}  # what a page may send without a preflight request
    error(client.post("/v1/audio/speech", content=json.dumps(GOOD), headers=form), 400)


def test_our_route_has_every_option():
    options = {f.name for f in dataclasses.fields(SpeakOptions)}
    others = {"text", "model", "response_format", "stream_format", "times", "f0"}
    assert set(IntonaSpeech.model_fields) == options | others


def test_no_new_option_of_our_route_may_name_a_file():
    """An option that is a string needs a thought: could a voice take it for the name of a file?"""
    strings = {n for n, kind in FLAG_TYPES.items() if "str" in str(kind)}
    assert strings == {"speaker", "language", "solver", "reference_text", "style"}


def test_options_reach_the_voice(client: TestClient, voices: dict[str, Singer]):
    fields = {"text": "two words", "rate": 2, "steps": 7, "temperature": 0.5, "seed": 3}
    response = client.post("/v1/intona/speech", json=fields)
    assert response.status_code == 200 and response.headers["content-type"] == "audio/wav"
    ((text, options),) = voices["one"].calls
    assert (text, options.changed) == ("two words", {"rate": 2, "steps": 7, "temperature": 0.5, "seed": 3})
    fields = {"text": "two words", "model": "two", "speaker": "boris", "style": "calm"}
    assert client.post("/v1/intona/speech", json=fields).status_code == 200
    assert voices["two"].calls[0][1].speaker == "boris"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guidance": 2}, "guidance"),  # not an option of this voice
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"steps": "7"}, "steps"),
        ({"steps": 10**9}, "steps"),
        ({"reference": "a.wav"}, "reference"),
        ({"style": "a.wav"}, "style"),
        ({"language": "../ru"}, "language"),
        ({"speaker": "nobody"}, "speaker"),
    ],
    ids=repr,
)
def test_wrong_options(client: TestClient, fields: dict[str, Any], param: str):
    assert error(client.post("/v1/intona/speech", json={"text": "hello", **fields}), 400)["param"] == param


def test_read(client: TestClient):
    request = {"text": "Привет, мир! Пока.", "phonemes": False}
    sentences = client.post("/v1/intona/read", json=request).json()["sentences"]
    assert [s["normalized"] for s in sentences] == ["Привет, мир!", "Пока."]
    request = {"text": "Кот. 🙂 A cat, Mr. Smith.", "language": "ru,en", "phonemes": False}
    both = client.post("/v1/intona/read", json=request).json()
    assert [s["normalized"] for s in both["sentences"]] == ["Кот.", "A cat, mister Smith."]
    assert both["left_out"] == []
    error(client.post("/v1/intona/read", json={"text": "a", "language": "xx-nothing"}), 400)
