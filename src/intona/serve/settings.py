"""What a server is started with."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
JSON_BYTES_PER_CHARACTER = 12  # an escaped surrogate pair


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and access of a server.

    Args:
        models: names of the shipped voices that are served; the first is the default.
        device: of the models.
        api_key: clients send it as `Authorization: Bearer KEY`; None = no key is needed.
        queue: requests that may be in progress or wait at once.
        max_characters: longest text per request.
        hosts: names that a client may use for this server in `Host`; None = any. A server on the loopback
            address accepts only local names, so that no web page reaches it under a name of its choice.
        body_seconds: longest time to receive the body of a request.
        send_seconds: longest time that a client may take to accept one piece of a response.
    """

    models: tuple[str, ...] = ("ru",)
    device: str = "cpu"
    api_key: str | None = None
    queue: int = 16
    max_characters: int = 4096
    hosts: frozenset[str] | None = LOCAL_HOSTS
    body_seconds: float = 30.0
    send_seconds: float = 60.0

    @property
    def max_body_bytes(self) -> int:
        """Size of the largest request that can be valid: two texts, and room for the other fields."""
        return 2 * JSON_BYTES_PER_CHARACTER * self.max_characters + 16_384


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
