"""The web page at `/`: static files of this package, which load nothing from elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, Request, Response

from intona.serve.errors import ApiError

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX, FOLDER = "/", "/page/"
# Recordings and downloads are blob: URLs of the page itself.
POLICY = (
    "default-src 'self'; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-cache",  # asked for again by its ETag, so that page and server are of one version
}


@dataclass(frozen=True)
class StaticFile:
    """A file of the page, as it is sent."""

    content: bytes
    media_type: str
    etag: str


def is_public(path: str) -> bool:
    """Whether a path is the page or one of its files, which are sent without an API key."""
    return path == INDEX or path.startswith(FOLDER)


def static_files() -> dict[str, StaticFile]:
    """The files of the page by name. A request selects one by its exact name and never opens a path."""
    out = {}
    for file in resources.files("intona.serve").joinpath("static").iterdir():
        media_type = MEDIA_TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
            out[file.name] = StaticFile(content, media_type, etag)
    return out


def router() -> APIRouter:
    """`GET /` and `GET /page/NAME`."""
    routes, files = APIRouter(), static_files()

    def response(name: str, request: Request) -> Response:
        file = files.get(name)
        if file is None:
            raise ApiError(404, "the page has no such file")
        headers = {**HEADERS, "ETag": file.etag}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    @routes.api_route(INDEX, methods=["GET", "HEAD"], include_in_schema=False)
    async def index(request: Request) -> Response:
        return response("index.html", request)

    @routes.api_route(FOLDER + "{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        return response(name, request)

    return routes
