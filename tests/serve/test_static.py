"""The page's files, the description of voices that it reads, and what it needs to know beside the audio."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from intona.serve import page

from .conftest import PIECE, RATE, Singer

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
MAX_BYTES = 150_000


def test_files_have_their_types_and_a_policy(client: TestClient):
    for name in page.static_files():
        response = client.get("/" if name == "index.html" else f"/page/{name}")
        assert response.status_code == 200, name
        assert response.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
        policy = response.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy and "http" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"


def test_the_page_is_small_and_loads_nothing_from_elsewhere():
    files = page.static_files()
    assert sum(len(f.content) for f in files.values()) < MAX_BYTES
    for name, file in files.items():
        text = file.content.decode()
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", re.sub(r"^\s*//.*$", "", text, flags=re.M)))
        assert addresses <= {"http://www.w3.org"}, name
    html = files["index.html"].content.decode()
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script>", html)
    for source in re.findall(r'(?:src|href)="page/([\w.]+)"', html):
        assert source in files
    for name, file in files.items():
        for module in re.findall(r'from "\./([\w.]+)"', file.content.decode()):
            assert module in files, f"{name} imports {module}"


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/none.js",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e%2fapp.py",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/index.html%00.js",
        "/page/..\\app.py",
    ],
)
def test_no_path_leads_out_of_the_folder(client: TestClient, path: str):
    response = client.get(path)
    assert response.status_code == 404
    assert "error" in response.json()


def test_files_are_sent_once(client: TestClient):
    first = client.get("/page/app.js")
    again = client.get("/page/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    assert client.head("/").status_code == 200


def test_without_the_page(connect: Callable[..., TestClient]):
    client = connect(page=False, api_key="secret")
    for path in ("/", "/page/app.js"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"Authorization": "Bearer secret"}).status_code == 404


def test_the_page_needs_no_key_and_all_else_does(connect: Callable[..., TestClient]):
    client = connect(api_key="secret")
    assert client.get("/").status_code == 200
    assert client.get("/page/app.js").status_code == 200
    for path in ("/v1/intona/voices", "/page", "/metrics", "/page/../v1/models"):
        assert client.get(path).status_code in (401, 404), path
    assert client.get("/v1/intona/voices").status_code == 401


def test_voices_are_described(client: TestClient):
    answer = client.get("/v1/intona/voices").json()
    one, two = answer["voices"]
    assert (one["id"], one["summary"], one["times"]) == ("one", "Voice one", True)
    options = {o["name"]: o for o in one["options"]}
    assert options.keys() == {"rate", "steps", "temperature", "reference", "seed"}
    assert options["steps"] | {"help": ""} == {
        "name": "steps",
        "label": "Steps",
        "help": "",
        "type": "integer",
        "default": None,
        "advanced": True,
        "min": 1,
        "max": 200,
        "slider": [1, 50, 1],
    }
    assert options["rate"]["min"] == 0.25 and options["rate"]["type"] == "number"
    assert options["rate"]["default"] == 1.0
    assert options["seed"]["default"] == 0 and options["seed"]["max"] == 2**53 - 1
    assert options["reference"]["type"] == "recording"
    assert (one["vocoder"], two["vocoder"]) == (None, "hifigan")
    help = " ".join(o["help"] for v in (one, two) for o in v["options"])
    assert not re.search("gradtts|ditto|meld|restyle|--", help)  # what other voices have is no help here
    styles = {o["name"]: o for o in two["options"]}
    assert styles["speaker"]["choices"] == ["anna", "boris"] and styles["style"]["type"] == "text"
    assert set(answer["formats"]) >= {"wav", "mp3", "opus", "flac", "pcm"}
    assert answer["limits"]["characters"] == 4096


def test_a_vocoder_is_described_without_its_folder(connect: Callable[..., TestClient]):
    client = connect(vocoder="/srv/vocoders/bright")
    answer = client.get("/v1/intona/voices")
    assert answer.json()["voices"][1]["vocoder"] == "bright" and "/srv" not in answer.text


def test_every_limit_of_the_description_is_that_of_the_route(client: TestClient):
    (voice, _) = client.get("/v1/intona/voices").json()["voices"]
    for option in voice["options"]:
        if "max" not in option:
            continue
        body = {"text": "a", "model": "one", option["name"]: option["max"]}
        assert client.post("/v1/intona/speech", json=body).status_code == 200, option
        if option["name"] != "seed":
            body[option["name"]] = option["max"] * 1.01 if option["type"] == "number" else option["max"] + 1
            assert client.post("/v1/intona/speech", json=body).status_code == 400, option


def events_of(response: Any) -> list[dict[str, Any]]:
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


def test_pitch_as_events(client: TestClient):
    body = {"text": "three short words", "model": "one", "stream_format": "sse", "times": True, "f0": True}
    events = events_of(client.post("/v1/intona/speech", json=body))
    pieces = [e for e in events if e["type"] == "intona.speech.pitch"]
    assert [p["start"] for p in pieces] == pytest.approx([0, PIECE / RATE, 2 * PIECE / RATE], abs=1e-3)
    for piece in pieces:
        assert len(piece["f0"]) == pytest.approx(PIECE / RATE / piece["hop_seconds"], abs=1)
        assert np.median(piece["f0"]) == pytest.approx(220, rel=0.01)
    audio = sum(len(base64.b64decode(e["audio"])) for e in events if e["type"] == "speech.audio.delta")
    assert audio == pytest.approx(2 * 24_000 * 3 * PIECE / RATE, abs=8)
    assert len([e for e in events if e["type"] == "intona.speech.times"]) == 3


def test_pitch_as_json_also_without_times(client: TestClient):
    body = {"text": "one two", "model": "two", "f0": True}
    answer = client.post("/v1/intona/speech", json=body).json()
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(answer["audio"])))
    assert answer["words"] == [] and len(samples) == 2 * PIECE and rate == RATE
    assert np.median(answer["pitch"]["f0"]) == pytest.approx(220, rel=0.01)


def test_nothing_is_analysed_unless_requested(client: TestClient, voices: dict[str, Singer]):
    body = {"text": "one two", "model": "one", "stream_format": "sse"}
    kinds = {e["type"] for e in events_of(client.post("/v1/intona/speech", json=body))}
    assert kinds == {"speech.audio.delta", "speech.audio.done"}


@pytest.mark.filterwarnings("ignore:left out")
def test_sentences_that_cannot_be_read_are_named(client: TestClient):
    body = {"text": "Hello there. 日本 is here. Goodbye.", "language": "en", "phonemes": False}
    answer = client.post("/v1/intona/read", json=body).json()
    read = [s["text"] for s in answer["sentences"]]
    (skipped,) = answer["left_out"]
    assert read == ["Hello there.", "Goodbye."] and skipped["text"] == "日本 is here."
    assert "U+65E5" in skipped["reason"]
