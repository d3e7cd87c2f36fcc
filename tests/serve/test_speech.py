"""Our route that speaks: times of words, a reference recording, forms."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from intona.audio import Audio

from .conftest import RATE, Singer
from .test_requests import error
from .test_transcription import sound

PATH = "/v1/intona/speech"
TEXT = "three short words"
WORDS = [
    {
        "text": w,
        "start": i / 2,
        "end": (i + 1) / 2,
        "phones": [{"symbol": w[0], "start": i / 2, "end": (i + 1) / 2}],
    }
    for i, w in enumerate(TEXT.split())
]


def timed(words: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: word[k] for k in WORDS[0]} for word in words]


@pytest.mark.parametrize("format", ["wav", "mp3"])
def test_times_as_json(client: TestClient, format: str):
    fields = {"text": TEXT, "times": True, "response_format": format}
    response = client.post(PATH, json=fields)
    assert response.status_code == 200, response.text
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert body["response_format"] == format and body["media_type"].startswith("audio/")
    assert timed(body["words"]) == WORDS and body["duration"] == 1.5
    assert body["marks"][1] == {"name": "short", "time": 0.5}
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(body["audio"])))
    assert len(samples) / rate == pytest.approx(1.5, abs=0.1)
    plain = client.post(PATH, json={"text": TEXT, "response_format": format}).content
    assert base64.b64decode(body["audio"]) == plain


def test_times_as_events(client: TestClient):
    response = client.post(PATH, json={"text": TEXT, "times": True, "stream_format": "sse"})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(e.removeprefix("data: ")) for e in response.text.rstrip("\n").split("\n\n")]
    words = [w for e in events if e["type"] == "intona.speech.times" for w in e["words"]]
    assert timed(words) == WORDS and events[-1]["type"] == "speech.audio.done"
    first = [e["type"] for e in events[:2]]
    assert first == ["speech.audio.delta", "intona.speech.times"]
    pcm = b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta")
    assert pcm == client.post(PATH, json={"text": TEXT, "response_format": "pcm"}).content


def test_a_voice_without_times(client: TestClient):
    refusal = error(client.post(PATH, json={"text": TEXT, "model": "two", "times": True}), 400)
    assert refusal["param"] == "times" and "know" in refusal["message"]


def reference(voices: dict[str, Singer]) -> Audio:
    recording = voices["one"].calls[-1][1].reference
    assert isinstance(recording, Audio)
    return recording


def test_a_reference_as_a_file(client: TestClient, voices: dict[str, Singer]):
    data = {"text": TEXT, "rate": "1.5", "seed": "7", "response_format": "flac"}
    files = {"reference": ("../../etc/passwd", sound(2, "MP3"), "audio/mpeg")}
    response = client.post(PATH, data=data, files=files)
    assert response.status_code == 200 and response.headers["content-type"] == "audio/flac"
    assert reference(voices).duration == pytest.approx(2, abs=0.1) and reference(voices).sample_rate == 16_000
    options = voices["one"].calls[-1][1]
    assert (options.rate, options.seed) == (1.5, 7)


@pytest.mark.parametrize("prefix", ["", "data:audio/wav;base64,"])
def test_a_reference_as_base64(client: TestClient, voices: dict[str, Singer], prefix: str):
    content = sound(2)
    fields = {"text": TEXT, "reference": prefix + base64.b64encode(content).decode()}
    assert client.post(PATH, json=fields).status_code == 200
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    np.testing.assert_allclose(reference(voices).samples, samples, atol=1e-6)


def test_a_form_without_a_file(client: TestClient, voices: dict[str, Singer]):
    assert client.post(PATH, files={"text": (None, TEXT)}).status_code == 200
    assert voices["one"].calls[-1][0] == TEXT
    error(client.post(PATH, files={"text": (None, TEXT), "stepz": (None, "1")}), 400)
    error(client.post(PATH, files={"text": (None, TEXT), "rate": (None, "fast")}), 400)
    error(client.post(PATH, files={"text": ("a.txt", b"hello")}), 400)


@pytest.mark.parametrize(
    "value", ["", "no base64!", "a.wav", "/etc/passwd", "file:///etc/passwd", "AAAA", 5, None]
)
def test_what_is_no_reference(client: TestClient, value: Any):
    response = client.post(PATH, json={"text": TEXT, "reference": value})
    if value is None:
        assert response.status_code == 200
    else:
        assert error(response, 400)["param"] == "reference"


def test_limits_of_a_reference(connect: Callable[..., TestClient], voices: dict[str, Singer]):
    client = connect(max_reference_bytes=200_000, max_reference_seconds=3)
    large, long = sound(7), sound(5)
    for content, status in ((large, 413), (long, 400)):
        in_form = client.post(PATH, data={"text": TEXT}, files={"reference": content})
        assert error(in_form, status)["param"] == "reference"
        fields = {"text": TEXT, "reference": base64.b64encode(content).decode()}
        assert error(client.post(PATH, json=fields), status)["param"] == "reference"
    huge = {"text": TEXT, "reference": "A" * 1_000_000}
    error(client.post(PATH, json=huge), 413)
    error(client.post("/v1/audio/speech", json={"model": "one", "input": "a", "voice": "A" * 1_000_000}), 413)
    assert voices["one"].calls == []


def test_a_voice_without_a_reference(client: TestClient):
    fields = {"text": TEXT, "model": "two", "reference": base64.b64encode(sound(2)).decode()}
    assert error(client.post(PATH, json=fields), 400)["param"] == "reference"


def test_the_pitch_of_a_sample_rate(client: TestClient):
    """Times hold for the pcm of 24 kHz, too: a word of half a second is 12,000 samples."""
    pcm = client.post(PATH, json={"text": TEXT, "response_format": "pcm"}).content
    assert len(pcm) / 2 == pytest.approx(1.5 * 24_000, abs=2) and RATE != 24_000
