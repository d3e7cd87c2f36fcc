"""SSML over HTTP: its field, its sign, bombs, and warnings in a header."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from .conftest import Singer
from .test_requests import error

PATH = "/v1/intona/speech"
OPENAI = "/v1/audio/speech"
SSML = '<speak>one <mark name="here"/> two</speak>'


def post(client: TestClient, text: str, **fields: Any) -> Any:
    return client.post(PATH, json={"text": text, **fields})


@pytest.mark.parametrize("route", [PATH, OPENAI])
def test_a_document_is_read_as_ssml(client: TestClient, voices: dict[str, Singer], route: str):
    body = {"text": SSML} if route == PATH else {"model": "one", "input": SSML}
    assert client.post(route, json=body).status_code == 200
    spoken = " ".join(text for text, _ in voices["one"].calls)
    assert spoken.split() == ["one", "two"]


def test_the_field(client: TestClient, voices: dict[str, Singer]):
    assert post(client, SSML, ssml=True).status_code == 200
    refusal = error(post(client, "no document", ssml=True), 400)
    assert refusal["param"] == "text" and refusal["message"].startswith("SSML")


BOMBS = {
    "entities": '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><speak>&b;</speak>',
    "external": '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><speak>&a;</speak>',
    "dtd": '<!DOCTYPE speak SYSTEM "http://127.0.0.1:1/a.dtd"><speak>a</speak>',
    "deep": "<speak>" + "<p>" * 600 + "a" + "</p>" * 600 + "</speak>",
    "many": "<speak>" + "<s/>" * 1000 + "</speak>",
    "unclosed": "<speak>a<break",
    "include": '<speak xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="/etc/passwd"/></speak>',
    "nul": "<speak>a\u0000b</speak>",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("route", [PATH, OPENAI])
def test_bombs(client: TestClient, bomb: str, route: str):
    if route == OPENAI and not bomb.startswith("<speak"):
        pytest.skip("OpenAI's route reads it as plain text")
    body = {"text": bomb, "ssml": True} if route == PATH else {"model": "one", "input": bomb}
    refusal = error(client.post(route, json=body), 400)
    assert "root:" not in refusal["message"]
    assert refusal["param"] in ({"text", None} if route == PATH else {"input", None})


def test_warnings_are_in_a_header(client: TestClient):
    for fields in ({}, {"response_format": "flac"}, {"stream_format": "sse"}):
        response = post(client, "odd word", **fields)
        assert response.status_code == 200
        assert json.loads(response.headers["X-Intona-Warnings"]) == ["left out: \u2603 X-Injected: 1"]
        assert "X-Injected" not in response.headers
    response = post(client, "<speak>one <audio src='/etc/passwd'/><unknown>two</unknown></speak>")
    assert "<unknown>" in json.loads(response.headers["X-Intona-Warnings"])[0]
    assert "X-Intona-Warnings" not in post(client, "fine").headers
