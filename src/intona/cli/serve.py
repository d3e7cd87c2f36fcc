"""`intona serve`: voices over HTTP."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from intona.errors import UserError

KEY_VARIABLE = "INTONA_API_KEY"
LONGEST_KEY = 4096  # bytes of the key's file
DRAIN_SECONDS = 30  # for requests in progress when the server is stopped


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve voices over HTTP, with the API that clients of OpenAI speak: POST /v1/audio/speech.

    The API key is read from $INTONA_API_KEY or from a file. It is optional on a loopback address and required
    on any other.
    """

    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is every network of the machine."""
    port: Annotated[int, tyro.conf.arg(metavar="INT")] = 8000
    """The port to listen on."""
    models: Annotated[str, tyro.conf.arg(metavar="NAME,…")] = "ru"
    """Shipped voices (`intona models`) and hf://OWNER/NAME[@REVISION], separated by commas; the first is the
    default."""
    device: Annotated[str, tyro.conf.arg(metavar="NAME")] = "cpu"
    """Where the models run: cpu, cuda, cuda:1."""
    api_key_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A file that contains the API key."""
    no_auth: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Answer without an API key on any address: whoever reaches the server may use it."""
    queue: Annotated[int, tyro.conf.arg(metavar="INT")] = 16
    """Requests that may be in progress or wait at once; further ones get 429."""
    max_characters: Annotated[int, tyro.conf.arg(metavar="INT")] = 4096
    """Longest text per request."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Serve, prog="intona serve", args=arguments)
    _check(request)
    key = api_key(request, os.environ.get(KEY_VARIABLE, ""))

    import uvicorn

    from intona.serve.app import create_app
    from intona.serve.settings import LOCAL_HOSTS, Settings, is_loopback
    from intona.serve.voices import Voices

    settings = Settings(
        models=tuple(filter(None, map(str.strip, request.models.split(",")))),
        device=request.device,
        api_key=key,
        queue=request.queue,
        max_characters=request.max_characters,
        hosts=LOCAL_HOSTS | {request.host.lower()} if is_loopback(request.host) else None,
    )
    voices = Voices(settings.models, device=settings.device)
    for name in voices.names:
        voices.load(name)
    app = create_app(settings, voices)
    # uvicorn drains on SIGTERM and then raises it again: a stop that was requested is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"serving {', '.join(voices.names)} on http://{request.host}:{request.port}", file=sys.stderr)
    uvicorn.run(
        app,
        host=request.host,
        port=request.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def api_key(request: Serve, environment: str) -> str | None:
    """The key that clients must send; None if none is required.

    Args:
        environment: the key from the environment, "" if there is none. The file goes before it.

    Raises:
        UserError: no key on an address that others reach, a key and --no-auth, an unreadable or empty file.
    """
    from intona.serve.settings import is_loopback

    key = environment.strip()
    if request.api_key_file is not None:
        key = _key_of(request.api_key_file)
    if key and request.no_auth:
        raise UserError(
            "an API key and --no-auth were both given", where="--no-auth", hint="give one of them"
        )
    if not key and not request.no_auth and not is_loopback(request.host):
        raise UserError(
            f"others can reach {request.host}, and no API key is set",
            where="--host",
            hint=f"set {KEY_VARIABLE}, give --api-key-file, or allow it with --no-auth",
        )
    return key or None


def _key_of(path: Path) -> str:
    try:
        with open(path, "rb") as f:
            key = f.read(LONGEST_KEY + 1)
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None
    text = key.strip().decode("ascii", "replace")
    if not text or len(key) > LONGEST_KEY or not text.isprintable() or not text.isascii():
        raise UserError("no API key: one line of printable ASCII", where=path)
    return text


def _check(request: Serve) -> None:
    if not 1 <= request.port <= 65_535:
        raise UserError("a port is 1 to 65535", where="--port")
    if not 1 <= request.queue <= 10_000:
        raise UserError("1 to 10000 requests", where="--queue")
    if not 1 <= request.max_characters <= 100_000:
        raise UserError("1 to 100000 characters", where="--max-characters")
