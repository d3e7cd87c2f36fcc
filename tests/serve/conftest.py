"""A server with quick voices in place of models."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from intona import models, synth
from intona.audio import Audio
from intona.errors import UserError
from intona.serve.app import create_app
from intona.serve.settings import Settings
from intona.synth.capabilities import Capabilities
from intona.synth.options import SpeakOptions
from intona.synth.speech import Mark, Speech, TimedPhone, TimedWord
from intona.synth.voice import BaseVoice

RATE = 22_050
PIECE = RATE // 2  # samples per word


class Singer(BaseVoice):
    """Half a second of a tone per word. "bad" raises, "bug" is a defect, "wait" waits for `gate`."""

    sample_rate = RATE

    def __init__(
        self, *options: str, speakers: tuple[str, ...] = (), times: bool = False, vocoder: bool = False
    ) -> None:
        self.capabilities = Capabilities(
            system="singer",
            options=frozenset(options),
            streams=True,
            times=times,
            vocoder=vocoder,
            named_speakers=bool(speakers),
        )
        self.speakers = speakers
        self.calls: list[tuple[str, SpeakOptions]] = []
        self.n_pieces = 0
        self.started, self.gate, self.closed = threading.Event(), threading.Event(), threading.Event()

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return Audio(np.concatenate([a.samples for a in self.stream_text(text, options)]), RATE)

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        if not text.strip():
            raise UserError("nothing to say")
        if text.startswith("odd"):
            warnings.warn("left out: \u2603\r\nX-Injected: 1", stacklevel=2)
        self.calls.append((text, options))
        return self._words(text)

    def stream_timed(self, text: str, options: SpeakOptions) -> Iterator[Speech]:
        for i, (word, audio) in enumerate(zip(text.split(), self.stream_text(text, options), strict=False)):
            start, end = i * audio.duration, (i + 1) * audio.duration
            phone = TimedPhone(symbol=word[0], start=start, end=end)
            word_times = TimedWord(text=word, start=start, end=end, phones=(phone,))
            yield Speech(audio=audio, words=(word_times,), marks=(Mark(name=word, time=start),))

    def _words(self, text: str) -> Iterator[Audio]:
        try:
            for word in text.split():
                if word == "bad":
                    raise UserError("cannot say that", where="/srv/models/secret")
                if word == "bug":
                    raise ZeroDivisionError("a secret")
                self.started.set()
                if word == "wait":
                    assert self.gate.wait(60)
                self.n_pieces += 1
                t = np.arange(PIECE, dtype=np.float32) / RATE
                yield Audio(0.5 * np.sin(2 * np.pi * 220 * t), RATE)
        finally:
            self.closed.set()


@pytest.fixture
def voices(monkeypatch: pytest.MonkeyPatch) -> dict[str, Singer]:
    """Shipped voices "one" and "two"; `synth.load` opens them and nothing else."""
    singers = {
        "one": Singer("rate", "steps", "temperature", "reference", times=True),
        "two": Singer("rate", "style", "speaker", speakers=("anna", "boris"), vocoder=True),
        "three": Singer(speakers=("solo",)),
    }
    cards = [models.Card(name=name, path=Path(name), summary=f"Voice {name}") for name in singers]
    opened: list[str] = []

    def load(name: str, **_: Any) -> Singer:
        assert name not in opened, "each model is loaded once"
        opened.append(name)
        return singers[name]

    monkeypatch.setattr(models, "shipped", lambda kind=None: cards)
    monkeypatch.setattr(synth, "load", load)
    return singers


@pytest.fixture
def connect(voices: dict[str, Singer]) -> Iterator[Callable[..., TestClient]]:
    """Open clients of servers; the arguments are `Settings`."""
    clients: list[TestClient] = []

    def open_client(**settings: Any) -> TestClient:
        app = create_app(Settings(**{"models": ("one", "two"), "transcribers": (), **settings}))
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield open_client
    for voice in voices.values():
        voice.gate.set()
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(connect: Callable[..., TestClient]) -> TestClient:
    return connect()
