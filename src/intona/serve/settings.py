"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intona.synth import Backend

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
TRANSCRIPTIONS, SPEECH = "/v1/audio/transcriptions", "/v1/intona/speech"  # routes that take recordings
JSON_BYTES_PER_CHARACTER = 12  # an escaped surrogate pair


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and access of a server.

    Args:
        models: names of the shipped voices that are served; the first is the default.
        device: of the models. vocoder, backend: of the models too, as in `synth.load`.
        api_key: clients send it as `Authorization: Bearer KEY`; None = no key is needed.
        queue: requests that may be in progress or wait at once.
        max_characters: longest text per request.
        hosts: names that a client may use for this server in `Host`; None = any. A server on the loopback
            address accepts only local names, so that no web page reaches it under a name of its choice.
        page: serve the web page at `/`.
        transcribers: names of models that transcribe; None = those that are installed (`Transcribers`).
        max_upload_bytes: largest recording that is transcribed. max_audio_seconds: longest one.
        max_reference_bytes: largest reference recording. max_reference_seconds: longest one.
        header_seconds: longest time to receive the head of a request.
        body_seconds: longest time to receive the body of a request.
        upload_seconds: the same where the body has a recording.
        send_seconds: longest time that a client may take to accept one piece of a response.
        connections: that may be open at once; further ones get 503.
    """

    models: tuple[str, ...] = ("ru",)
    device: str = "cpu"
    vocoder: str | None = None
    backend: Backend | None = None
    api_key: str | None = None
    queue: int = 16
    max_characters: int = 4096
    hosts: frozenset[str] | None = LOCAL_HOSTS
    page: bool = True
    transcribers: tuple[str, ...] | None = None
    max_upload_bytes: int = 25 << 20
    max_audio_seconds: float = 600.0
    max_reference_bytes: int = 8 << 20
    max_reference_seconds: float = 60.0
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    upload_seconds: float = 120.0
    send_seconds: float = 60.0
    connections: int = 512

    def max_body_bytes(self, path: str) -> int:
        """Size of the largest request that can be valid: two texts, a recording where the route takes one,
        and room for the other fields."""
        size = 2 * JSON_BYTES_PER_CHARACTER * self.max_characters + 16_384
        if path == TRANSCRIPTIONS:
            return size + self.max_upload_bytes
        return size + 4 * (self.max_reference_bytes // 3 + 1) if path == SPEECH else size

    def max_body_seconds(self, path: str) -> float:
        """Longest time to receive the body of a request."""
        return self.upload_seconds if path in (TRANSCRIPTIONS, SPEECH) else self.body_seconds


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
