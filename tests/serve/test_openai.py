"""OpenAI's contract: formats, events, names of models and voices."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from intona.serve import formats

from .conftest import RATE, Singer

SECONDS = 1.5  # of TEXT
TEXT = "three short words"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "one", "input": TEXT, "voice": "one", **fields}


@pytest.mark.parametrize(
    ("format", "media_type", "rate"),
    [
        ("mp3", "audio/mpeg", RATE),
        ("opus", "audio/ogg", 48_000),  # libsndfile decodes Opus at 48 kHz or at the original rate
        ("flac", "audio/flac", RATE),
        ("wav", "audio/wav", RATE),
    ],
)
def test_every_format_plays(client: TestClient, format: str, media_type: str, rate: int):
    response = client.post("/v1/audio/speech", json=body(response_format=format))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == media_type
    samples, decoded_rate = soundfile.read(io.BytesIO(response.content))
    assert decoded_rate == rate or (format == "opus" and decoded_rate == 24_000)
    assert len(samples) / decoded_rate == pytest.approx(SECONDS, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples))
    peak = np.fft.rfftfreq(len(samples), 1 / decoded_rate)[spectrum.argmax()]
    assert peak == pytest.approx(220, abs=3)


def test_aac(client: TestClient):
    av = pytest.importorskip("av")
    response = client.post("/v1/audio/speech", json=body(response_format="aac"))
    assert response.status_code == 200 and response.headers["content-type"] == "audio/aac"
    with av.open(io.BytesIO(response.content), format="aac") as file:
        n = sum(frame.samples for frame in file.decode(audio=0))
        rate = file.streams.audio[0].codec_context.sample_rate
    assert n / rate == pytest.approx(SECONDS, abs=0.15)


def test_aac_without_pyav(client: TestClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "available", lambda format: format != "aac")
    response = client.post("/v1/audio/speech", json=body(response_format="aac"))
    assert response.status_code == 400 and "PyAV" in response.json()["error"]["message"]


def test_the_default_format_is_mp3(client: TestClient):
    assert client.post("/v1/audio/speech", json=body()).headers["content-type"] == "audio/mpeg"


def test_pcm_is_24_khz(client: TestClient):
    response = client.post("/v1/audio/speech", json=body(response_format="pcm"))
    samples = np.frombuffer(response.content, "<i2") / 32767
    assert len(samples) == pytest.approx(SECONDS * 24_000, abs=2)
    t = np.arange(2000, 10_000)
    np.testing.assert_allclose(samples[t], 0.5 * np.sin(2 * np.pi * 220 * t / 24_000), atol=2e-3)


def test_events(client: TestClient):
    response = client.post("/v1/audio/speech", json=body(stream_format="sse"))
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.removesuffix("\n\n").split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {e["type"] for e in events[:-1]} == {"speech.audio.delta"} and len(events) >= 4
    assert events[-1] == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": len(TEXT), "output_tokens": 0, "total_tokens": len(TEXT)},
    }
    whole = client.post("/v1/audio/speech", json=body(response_format="pcm")).content
    assert b"".join(base64.b64decode(e["audio"]) for e in events[:-1]) == whole


def test_events_carry_pcm_only(client: TestClient):
    response = client.post("/v1/audio/speech", json=body(stream_format="sse", response_format="mp3"))
    assert response.status_code == 400 and response.json()["error"]["param"] == "response_format"


def test_an_error_after_the_first_piece_is_an_event(client: TestClient):
    response = client.post("/v1/audio/speech", json=body(input="one bad", stream_format="sse"))
    assert response.status_code == 200
    assert '"type": "error"' in response.text and "speech.audio.done" not in response.text
    assert "secret" not in response.text


@pytest.mark.parametrize(
    ("model", "voice", "selected", "speaker"),
    [
        ("tts-1", "alloy", "one", None),
        ("tts-1-hd", "two", "two", None),
        ("gpt-4o-mini-tts", "two:boris", "two", "boris"),
        ("two", "anna", "two", "anna"),
        ("two", {"id": "two:anna"}, "two", "anna"),
        ("two", "two", "two", None),
        ("one", None, "one", None),
    ],
)
def test_names(
    client: TestClient,
    voices: dict[str, Singer],
    model: str,
    voice: Any,
    selected: str,
    speaker: str | None,
):
    response = client.post("/v1/audio/speech", json=body(model=model, voice=voice, response_format="wav"))
    assert response.status_code == 200, response.text
    ((_, options),) = voices[selected].calls
    assert options.speaker == speaker
    assert response.headers.get("X-Intona-Ignored") == ("voice" if voice == "alloy" else None)


@pytest.mark.parametrize(
    ("model", "voice", "status", "param"),
    [
        ("three", "three", 404, "model"),  # shipped, but not served
        ("../one", "one", 404, "model"),
        ("/etc", "one", 404, "model"),
        ("one", "../two", 400, "voice"),
        ("two", "two:../anna", 400, "voice"),
        ("one", "two", 400, "voice"),
    ],
)
def test_names_that_are_not_served(client: TestClient, model: str, voice: str, status: int, param: str):
    response = client.post("/v1/audio/speech", json=body(model=model, voice=voice))
    assert response.status_code == status
    assert response.json()["error"]["param"] == param


def test_speed_and_instructions(client: TestClient, voices: dict[str, Singer]):
    fields = {"speed": 1.5, "instructions": "Speak calmly."}
    response = client.post("/v1/audio/speech", json=body(model="two", voice="two", **fields))
    assert "X-Intona-Ignored" not in response.headers
    ((_, options),) = voices["two"].calls
    assert (options.rate, options.style) == (1.5, "Speak calmly.")
    response = client.post("/v1/audio/speech", json=body(**fields))
    assert response.status_code == 200 and response.headers["X-Intona-Ignored"] == "instructions"
    assert voices["one"].calls[0][1].style is None


def test_a_voice_without_a_rate_refuses_a_speed(connect: Any):
    client = connect(models=("three",))
    response = client.post("/v1/audio/speech", json=body(model="three", voice="three", speed=2))
    assert response.status_code == 400 and response.json()["error"]["param"] == "speed"


@pytest.mark.parametrize("style", ["voice.wav", "a/b.FLAC", "x.wav/", "/etc/hostname.wav/.", "x.ogg "])
def test_instructions_never_name_a_file(client: TestClient, style: str):
    response = client.post("/v1/audio/speech", json=body(model="two", voice="two", instructions=style))
    assert response.status_code == 400 and response.json()["error"]["param"] == "instructions"


def test_models_and_voices(client: TestClient):
    models = client.get("/v1/models").json()
    assert models["object"] == "list" and [m["id"] for m in models["data"]] == ["one", "two"]
    rows = client.get("/v1/audio/voices").json()["voices"]
    assert [r["id"] for r in rows] == ["one", "two", "two:anna", "two:boris"]
    assert all(r["name"] for r in rows)
    for row in rows:  # every id that is listed is accepted
        fields = body(model="tts-1", voice=row["id"], response_format="wav")
        assert client.post("/v1/audio/speech", json=fields).status_code == 200


def test_the_only_speaker_of_a_model_is_not_listed_twice(connect: Any, voices: dict[str, Singer]):
    client = connect(models=("three",))
    assert [r["id"] for r in client.get("/v1/audio/voices").json()["voices"]] == ["three"]
    for voice in ("solo", "three:solo"):
        response = client.post("/v1/audio/speech", json=body(model="three", voice=voice))
        assert response.status_code == 200
    assert {options.speaker for _, options in voices["three"].calls} == {None}
