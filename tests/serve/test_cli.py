"""`intona serve`: who needs a key, and what is refused before anything is loaded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from intona import synth
from intona.cli.serve import Serve, api_key, main
from intona.errors import UserError
from intona.serve.settings import Settings, is_loopback
from intona.serve.voices import Voices

from .conftest import Singer

LIMIT = 300  # seconds until the server is given up


def test_the_page_can_be_left_out(monkeypatch: pytest.MonkeyPatch):
    settings: list[Settings] = []
    monkeypatch.setattr("intona.serve.run.serve", lambda s, **_: settings.append(s))
    main([])
    main(["--no-page"])
    assert [s.page for s in settings] == [True, False]


def test_the_vocoder_and_the_backend_are_those_of_every_voice(
    voices: dict[str, Singer], monkeypatch: pytest.MonkeyPatch
):
    settings: list[Settings] = []
    monkeypatch.setattr("intona.serve.run.serve", lambda s, **_: settings.append(s))
    monkeypatch.setattr("intona.devices._check_cuda", lambda device: None)
    main(["--models", "one,two", "--vocoder", "some/vocoder", "--backend", "torch", "--device", "cuda:1"])
    opened: dict[str, dict[str, Any]] = {}

    def load(name: str, **parts: Any) -> Singer:
        opened[name] = parts
        return voices[name]

    monkeypatch.setattr(synth, "load", load)
    served = Voices.of(settings[0])
    for name in served.names:
        served.load(name)
    parts = {"device": "cuda:1", "vocoder": "some/vocoder", "backend": "torch"}
    assert opened == {"one": parts, "two": parts}


def test_only_known_backends():
    with pytest.raises(SystemExit):
        main(["--backend", "tensorflow"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str):
    assert is_loopback(host)
    assert api_key(Serve(host=host), "") is None
    assert api_key(Serve(host=host), " secret\n") == "secret"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.2", "example.org", "127.0.0.1.example.org"])
def test_other_addresses_need_one(host: str):
    with pytest.raises(UserError, match="no API key is set"):
        api_key(Serve(host=host), "")
    assert api_key(Serve(host=host), "secret") == "secret"
    assert api_key(Serve(host=host, no_auth=True), "") is None
    with pytest.raises(UserError, match="both given"):
        api_key(Serve(host=host, no_auth=True), "secret")


def test_the_key_of_a_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text("from-file\n", encoding="utf-8")
    assert api_key(Serve(api_key_file=file), "from-environment") == "from-file"
    for wrong in (b"", b" \n", b"two\nlines", "ключ".encode(), b"x" * 5000):
        file.write_bytes(wrong)
        with pytest.raises(UserError, match="no API key"):
            api_key(Serve(api_key_file=file), "")
    with pytest.raises(UserError, match="cannot be read"):
        api_key(Serve(api_key_file=tmp_path / "none"), "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "-1"],
        ["--workers", "0"],
        ["--queue", "0"],
        ["--max-characters", "0"],
        ["--host", "0.0.0.0"],
    ],
    ids=lambda a: a[0],
)
def test_wrong_flags(arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("INTONA_API_KEY", raising=False)
    with pytest.raises(UserError, match=arguments[0]):
        main(arguments)


def test_only_shipped_names_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in ("mine", "./mine", str(tmp_path), "hifigan"):
        with pytest.raises(UserError, match="unknown voice"):
            Voices([name])
    with pytest.raises(UserError, match="no model"):
        Voices([])


@pytest.mark.slow
def test_the_shipped_voice_is_served_and_sigterm_is_a_success():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "intona", "serve", "--port", str(port)]
    environment = {k: v for k, v in os.environ.items() if k != "INTONA_API_KEY"}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    try:
        _wait(port, server)
        wav = _post(
            port, "audio/speech", {"model": "tts-1", "input": "Добрый день!", "response_format": "wav"}
        )
        assert wav[:4] == b"RIFF" and len(wav) > 20_000
        mp3 = _post(port, "audio/speech", {"model": "ru", "input": "Добрый день!", "voice": "ru"})
        assert len(mp3) > 2_000
        (sentence,) = json.loads(_post(port, "intona/read", {"text": "Добрый день!"}))["sentences"]
        assert [w["text"] for w in sentence["words"]] == ["Добрый", "день"]
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(LIMIT)
    assert code == 0


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(LIMIT * 5):
        assert server.poll() is None, server.stderr and server.stderr.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as response:
                assert json.load(response) == {"status": "ok"}
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not start")


def _post(port: int, route: str, fields: dict[str, object]) -> bytes:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/{route}",
        data=json.dumps(fields).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        return response.read()
