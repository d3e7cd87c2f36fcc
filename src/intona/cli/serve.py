"""`intona serve`: voices over HTTP."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from intona.cli.device import Device
from intona.errors import UserError

KEY_VARIABLE = "INTONA_API_KEY"
LONGEST_KEY = 4096  # bytes of the key's file
# oneDNN keeps a compiled kernel and its memory for each layer and length of speech: 1024 of them by default,
# which comes to more than a gigabyte (docs/guide/serve.md). The variable is read when torch is imported.
KERNELS_VARIABLE, KERNELS = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32"


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Serve voices over HTTP, with the API that clients of OpenAI speak.

    SIGTERM finishes the requests in progress, a second one ends them. The API key is read from
    $INTONA_API_KEY or from a file. It is optional on a loopback address and required on any other.
    """

    host: Annotated[str, tyro.conf.arg(metavar="ADDRESS")] = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is every network of the machine."""
    port: Annotated[int, tyro.conf.arg(metavar="INT")] = 8000
    """The port to listen on."""
    models: Annotated[str, tyro.conf.arg(metavar="NAME,…")] = "ru"
    """Shipped voices (`intona models`) and hf://OWNER/NAME[@REVISION], separated by commas; the first is the
    default."""
    transcribers: Annotated[str | None, tyro.conf.arg(metavar="NAME,…")] = None
    """Models that transcribe: served voices that listen, whisper-base, whisper-small, …; or "none". By
    default the voices that listen, and whisper-base where its wheels are installed."""
    workers: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """Processes that share the address; each loads the models."""
    device: Device = "cpu"
    vocoder: Annotated[str | None, tyro.conf.arg(metavar="NAME|DIR")] = None
    """The vocoder of all voices, which must make mel spectrograms; those of their cards if not given."""
    backend: Literal["torch", "onnx"] | None = None
    """What computes. onnx needs no torch, but voices with graphs (intona export), and runs on the CPU.
    Default: onnx where it can, else torch."""
    api_key_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A file that contains the API key."""
    no_auth: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Answer without an API key on any address: whoever reaches the server may use it."""
    no_page: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Leave out the web page at /."""
    queue: Annotated[int, tyro.conf.arg(metavar="INT")] = 16
    """Requests that may be in progress or wait at once; further ones get 429."""
    max_characters: Annotated[int, tyro.conf.arg(metavar="INT")] = 4096
    """Longest text per request."""
    drain_seconds: Annotated[int, tyro.conf.arg(metavar="INT")] = 30
    """Longest time for the requests in progress when the server is stopped."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Serve, prog="intona serve", args=arguments)
    _check(request)
    key = api_key(request, os.environ.get(KEY_VARIABLE, ""))

    os.environ.setdefault(KERNELS_VARIABLE, KERNELS)
    from intona.devices import device_name
    from intona.serve.run import serve
    from intona.serve.settings import LOCAL_HOSTS, Settings, is_loopback

    settings = Settings(
        models=_names(request.models),
        transcribers=None if request.transcribers is None else _names(request.transcribers, none=True),
        device=device_name(request.device),
        vocoder=request.vocoder,
        backend=request.backend,
        api_key=key,
        queue=request.queue,
        page=not request.no_page,
        max_characters=request.max_characters,
        hosts=LOCAL_HOSTS | {request.host.lower()} if is_loopback(request.host) else None,
    )
    serve(
        settings,
        host=request.host,
        port=request.port,
        workers=request.workers,
        drain_seconds=request.drain_seconds,
    )


def _names(text: str, *, none: bool = False) -> tuple[str, ...]:
    """Names separated by commas; with `none`, that word alone means no name."""
    names = tuple(filter(None, map(str.strip, text.split(","))))
    return () if none and names == ("none",) else names


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
    if not 0 <= request.port <= 65_535:
        raise UserError("a port is 0 (any free one) to 65535", where="--port")
    if not 1 <= request.queue <= 10_000:
        raise UserError("1 to 10000 requests", where="--queue")
    if not 1 <= request.max_characters <= 100_000:
        raise UserError("1 to 100000 characters", where="--max-characters")
    if not 1 <= request.workers <= 64:
        raise UserError("1 to 64 processes", where="--workers")
    if not 1 <= request.drain_seconds <= 3600:
        raise UserError("1 to 3600 seconds", where="--drain-seconds")
